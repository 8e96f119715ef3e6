"""The SynthID-Text watermark: tournaments of the tokens' keyed g-values."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from decoding.errors import require
from decoding.facts import DRAW, Facts
from decoding.history import History
from decoding.kernels.vector import dense
from decoding.processors.call import checked_call
from decoding.typing import Logits
from decoding.watermark.synthid import SynthId


@dataclass(frozen=True, slots=True)
class SynthIdWatermark:
    """Reweight tokens by the law of the winner of g-value tournaments, layer by layer.

        p[i] · (1 + g_l[i] − Σ_j g_l[j] · p[j]),   for each layer l in turn

    which is the law of the winner where two draws of p meet and the greater g wins. Over all keys
    it leaves every probability what it was.

    scheme: keys and sizes; no value is neutral. `decoding.watermark.detect_synthid` with the same
        scheme finds the mark in the text.

    logits: `(batch, vocab)` float; −inf stays, and costs nothing: put it after truncations. A row
    whose context occurred before in its generated text is left as it is. All of that is read off
    the row's generated tokens. Source: Dathathri et al. 2024, "Scalable watermarking for
    identifying large language model outputs", Nature 634, 818-823, doi:10.1038/s41586-024-08025-4.
    """

    scheme: SynthId

    facts: ClassVar[Facts] = replace(
        DRAW,
        needs_history=True,
        formula="p by tournaments of the tokens' g-values",
        range="keys",
        source="Dathathri et al. 2024, doi:10.1038/s41586-024-08025-4",
        peers=("transformers",),
    )

    def __post_init__(self) -> None:
        require("scheme", self.scheme, isinstance(self.scheme, SynthId), "a SynthId")

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        result = logits.copy()
        for index, row in enumerate(logits):
            alive = np.flatnonzero(row > -np.inf)
            context = self._context(history.generated(index))
            if context is not None and len(alive) > 0:
                played = self._play(row[alive].astype(np.float64), alive, context)
                result[index, alive] = dense.narrow(played, logits.dtype)
        return result

    def _play(
        self, row: NDArray[np.float64], token_ids: NDArray[np.int64], context: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The logits of some tokens, all of them possible, after every layer."""
        weights = np.exp(row - row.max())
        probs = weights / weights.sum()
        change = np.zeros(len(row))
        for layer in self.scheme.layers(context, token_ids):
            lost = layer == 0
            # 1 − the mass of the winners; summed, so that it has all its digits and is never < 0.
            losing = float(probs @ lost)
            least = math.log(losing) if losing > 0.0 else -math.inf
            change += np.where(lost, least, math.log1p(losing))
            probs *= np.where(lost, losing, 1.0 + losing)
            probs /= probs.sum()
        return row + change

    def _context(self, generated: NDArray[np.int32]) -> NDArray[np.int64] | None:
        """The hash of the row's context; None where it is not to be marked."""
        scheme = self.scheme
        width = scheme.ngram_len - 1
        first = width if scheme.skips_first else 0
        if len(generated) < first:
            return None
        # The contexts of this step and of those before it that are remembered.
        start = max(first, len(generated) - scheme.history_size)
        padded = np.concatenate([np.zeros(width, np.int64), generated])[start:]
        hashed = scheme.hashes(np.lib.stride_tricks.sliding_window_view(padded, width))
        return None if (hashed[:-1] == hashed[-1]).any() else hashed[-1:]
