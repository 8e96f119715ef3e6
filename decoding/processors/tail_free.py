"""Tail-free sampling: a truncation by the second differences of the sorted probabilities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from decoding.facts import TRUNCATION, Facts
from decoding.history import History
from decoding.kernels.vector import dense
from decoding.kernels.vector.distribution import log_softmax
from decoding.processors.call import checked_call
from decoding.request_fields import UNIT, RequestField, check
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class TailFree:
    """Cut the tail of the sorted probabilities where their second differences become small.

        c[j] = |p[j] − 2 p[j+1] + p[j+2]|, most likely first, over their sum
        keep the first token, and token j + 1 as long as c[0] + ... + c[j] <= tfs_z

    tfs_z: in [0, 1]; 1 is neutral. The likeliest token always stays, the least likely never does. A
    row of less than three tokens, or whose probabilities do not bend, stays whole.
    logits: `(batch, vocab)` float; what stays is untouched. Ties by the lowest id. Every backend
    runs it in NumPy between two programs. Raises `ParameterError` at construction. Source: Phénix
    and Egan 2019, "Tail Free Sampling"; text-generation-webui's rule. llama.cpp, which had it until
    2024, keeps one token less.

    >>> TailFree(0.7)(np.log([[0.5, 0.3, 0.15, 0.05]]), History.empty(1)) > -np.inf
    array([[ True,  True, False, False]])
    """

    tfs_z: float

    facts: ClassVar[Facts] = replace(
        TRUNCATION,
        vocabulary_blind=False,
        formula="the likeliest until Σ abs(p″) > z, p″ the second difference of the sorted p",
        source="Phénix and Egan 2019, Tail Free Sampling",
        fields=(RequestField("tfs_z", UNIT, "cut where sorted P stops bending", "Z", 1.0),),
        place=320,
    )

    def __post_init__(self) -> None:
        check(self, "tfs_z", UNIT)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        return logits if self.tfs_z == 1.0 else dense.keep(logits, self._kept)

    def _kept(self, row: dense.Row) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        keep = row > -np.inf
        order = np.argsort(-row, kind="stable")[: np.count_nonzero(keep)]
        bends = np.abs(np.diff(np.exp(log_softmax(row)[order]), 2))
        if bends.sum() > 0.0:
            within = bends.cumsum() <= self.tfs_z * bends.sum()
            keep[order] = [True, *within.tolist(), False]
        return keep
