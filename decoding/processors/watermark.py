"""The green-list watermark: a bias on a keyed, context-dependent part of the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from decoding.checks import check_integer
from decoding.errors import require
from decoding.facts import WATERMARK, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode, words_of
from decoding.kernels.vector import dense
from decoding.processors.call import checked_call
from decoding.request_fields import BOOLEAN, RequestField
from decoding.typing import Logits
from decoding.watermark.scheme import Scheme, packed_green, unpacked


@dataclass(frozen=True, slots=True)
class Watermark:
    """Make the tokens of a keyed green list more likely, another list after every context.

        logits[i] + δ · [i is green after the row's last tokens]

    scheme: which tokens are green, and δ; δ = 0 is neutral. `decoding.watermark.detect` with the
        same scheme and vocabulary size finds the mark in the text.
    vocab_size: how many tokens the lists are of; wider logits are padding and left alone. None
        takes the width of the logits, as TGI does; then, and for a scheme that tries the likeliest
        candidates (`SelfHash`), the step is not fused with its neighbours.

    logits: `(batch, vocab)` float; −inf stays. Where a row has fewer tokens, prompt included, than
    `scheme.context_width`, it is left as it is; padding never counts. Candidates that tie with the
    last one tried: the lowest ids. Before a temperature T the bias amounts to δ / T.
    Raises `ParameterError` at construction. Source: Kirchenbauer et al. 2023, "A Watermark for
    Large Language Models", arXiv:2301.10226.
    """

    scheme: Scheme
    vocab_size: int | None = None

    facts: ClassVar[Facts] = replace(
        WATERMARK,
        formula="L + δ on the green list that the last tokens seed",
        neutral="δ = 0",
        range="γ in (0, 1), δ ≥ 0",
        source="Kirchenbauer et al. 2023, arXiv:2301.10226",
        peers=("TGI", "transformers"),
        fields=(RequestField("watermark", BOOLEAN, "watermark the text", initial=False),),
        place=10,
    )

    def __post_init__(self) -> None:
        require("scheme", self.scheme, isinstance(self.scheme, Scheme), "a Scheme")
        if self.vocab_size is not None:
            check_integer(self, "vocab_size", 1)
            self.scheme.share(self.vocab_size)  # refuses a size that has no lists

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.scheme.delta == 0.0:
            return logits
        return dense.edit(
            logits,
            lambda index, row: row + self.scheme.delta * self.green(row, history.row(index)),
        )

    def green(self, row: NDArray[Any], token_ids: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which tokens are green for a row of logits after these tokens; none if those are few.

        row: `(vocab,)`; only a scheme that tries candidates reads more than its length.
        """
        width = len(row)
        if len(token_ids) < self.scheme.context_width:
            return np.zeros(width, np.bool_)
        vocab_size = width if self.vocab_size is None else self.vocab_size
        if not self.scheme.seeding.reads_candidate:
            return unpacked(packed_green(self.scheme, token_ids, vocab_size), width)
        green = np.zeros(width, np.bool_)
        for token_id in _likeliest(row[:vocab_size], self.scheme.candidates):
            green[token_id] = self.scheme.is_green(token_ids, int(token_id), vocab_size)
        return green

    def lower(self) -> tuple[Instruction, ...] | None:
        """One instruction whose words change with every step; see `vocab_size`."""
        if self.scheme.delta == 0.0:
            return ()
        if self.vocab_size is None or self.scheme.seeding.reads_candidate:
            return None
        words = np.zeros(words_of(self.vocab_size), np.int32)
        return (Instruction(Opcode.BITMASK_BIAS, self.scheme.delta, bitmask=words),)

    def bitmask(self, history: History) -> NDArray[np.int32]:
        """The green list of the one row that `history` is of."""
        assert self.vocab_size is not None  # ours: else it is not lowered
        token_ids = history.row(0)
        if len(token_ids) < self.scheme.context_width:
            return np.zeros(words_of(self.vocab_size), np.int32)
        return packed_green(self.scheme, token_ids, self.vocab_size)


def _likeliest(row: NDArray[Any], count: int) -> NDArray[np.int64]:
    """The likeliest possible tokens; of ties at the cut the lowest ids."""
    if count >= len(row):
        return np.flatnonzero(row > -np.inf)
    least = np.partition(row, len(row) - count)[len(row) - count]
    above, tied = np.flatnonzero(row > least), np.flatnonzero(row == least)
    chosen: NDArray[np.int64] = np.concatenate([above, tied[: count - len(above)]])
    possible: NDArray[np.int64] = chosen[row[chosen] > -np.inf]
    return possible
