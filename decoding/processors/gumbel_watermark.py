"""The Gumbel-max watermark: keyed noise chooses the token."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from decoding.errors import require
from decoding.facts import DRAW, Facts
from decoding.history import History
from decoding.processors.call import checked_call
from decoding.typing import Logits
from decoding.watermark.gumbel import GumbelScheme


@dataclass(frozen=True, slots=True)
class GumbelWatermark:
    """Keep the one token that the key draws from the row's distribution.

        keep i  <=>  i = argmax_j  logits[j] − ln(−ln u_j),   u_j of (key, last tokens, j)

    Over random keys the token is distributed as the row, so put it last: what comes after it has no
    choice left. The request's seed draws only where nothing is kept apart.

    scheme: key and width; no value is neutral. `decoding.watermark.detect_gumbel` with the same
        scheme finds the mark in the text.

    logits: `(batch, vocab)` float; what stays is untouched, and what is −inf costs nothing. Ties:
    the lowest id. A row is left as it is where it has fewer tokens, prompt included, than
    `scheme.context_width`, and where the context has already drawn one of its generated tokens:
    else the same words would come again, for ever. Source: Aaronson 2022, "My AI safety lecture for
    UT Effective Altruism"; Kuditipudi et al. 2023, "Robust Distortion-free Watermarks for Language
    Models", arXiv:2307.15593.
    """

    scheme: GumbelScheme

    facts: ClassVar[Facts] = replace(
        DRAW,
        only_removes=True,
        idempotent=True,
        needs_history=True,
        formula="the argmax of u^(1/p), u keyed by the last tokens",
        range="a key",
        source="Aaronson 2022; Kuditipudi et al. 2023, arXiv:2307.15593",
    )

    def __post_init__(self) -> None:
        require("scheme", self.scheme, isinstance(self.scheme, GumbelScheme), "a GumbelScheme")

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        result = logits.copy()
        for index, row in enumerate(logits):
            alive = np.flatnonzero(row > -np.inf)
            context = self._context(history.row(index), len(history.generated(index)))
            if context is None or len(alive) == 0:
                continue
            scores = row[alive].astype(np.float64) + self.scheme.noise(context, alive)
            kept = alive[scores.argmax()]
            result[index] = -np.inf
            result[index, kept] = row[kept]
        return result

    def _context(self, token_ids: NDArray[np.int32], generated: int) -> list[int] | None:
        """The tokens that address a row's noise; None where the row gets no watermark."""
        width = self.scheme.context_width
        if len(token_ids) < width:
            return None
        contexts = np.lib.stride_tricks.sliding_window_view(token_ids, width)
        # The last is this step's; as many before it as there are generated tokens drew those.
        drew = contexts[-1 - generated : -1] if generated < len(contexts) else contexts[:-1]
        latest: list[int] = contexts[-1].tolist()
        return None if (drew == contexts[-1]).all(axis=1).any() else latest
