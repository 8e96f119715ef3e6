"""Min-k sampling: truncation at the steepest drop of the sorted logits, weighted by 1 / rank."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from decoding.facts import TRUNCATION, Facts
from decoding.history import History
from decoding.kernels.vector import dense
from decoding.processors.call import checked_call
from decoding.request_fields import NOT_NEGATIVE, RequestField, check
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class MinK:
    """Keep the tokens before the steepest drop of the sorted logits, or more of a flat row.

        drop[i] = (L[i] − L[i + 1]) / i, largest logit first, i from 1
        keep the k largest, k = max(argmax drop, floor(min_k_tau / (L[1] − L[n])))

    n: the tokens above −inf. Of equal drops the first counts; ties with the k-th largest stay.
    min_k_tau: in [0, inf); the paper takes 3. At 0 a temperature applied before changes nothing.
        There is no neutral value: the largest logit's ties alone may stay. A row whose logits are
        all equal stays whole.
    logits: `(batch, vocab)` float; what stays is untouched. Every backend runs it in NumPy between
    two programs. Raises `ParameterError` at construction. Source: Ding et al. 2026, "Min-k
    Sampling", arXiv:2604.11012; vLLM, which has it too, adds 1e-8 to the range of the logits.

    >>> MinK(3.0)(np.array([[9.0, 8.5, 2.0, 1.0]]), History.empty(1)) > -np.inf
    array([[ True,  True, False, False]])
    """

    min_k_tau: float

    facts: ClassVar[Facts] = replace(
        TRUNCATION,
        vocabulary_blind=False,
        formula="the k largest L, k = max(argmax (L[i] − L[i+1]) / i, floor(τ / (L[1] − L[n])))",
        source="Ding et al. 2026, arXiv:2604.11012",
        fields=(RequestField("min_k_tau", NOT_NEGATIVE, "cut at the steepest drop of L", "T"),),
        place=330,
    )

    def __post_init__(self) -> None:
        check(self, "min_k_tau", NOT_NEGATIVE)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        return dense.keep(logits, self._kept)

    def _kept(self, row: dense.Row) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        ordered = np.sort(row[row > -np.inf])[::-1]
        halves = 0.5 * ordered  # so that no difference overflows
        if len(halves) == 0 or halves[0] == halves[-1]:
            return row > -np.inf
        drops = -np.diff(halves) / np.arange(1, len(halves))
        most = min(0.5 * self.min_k_tau / (halves[0] - halves[-1]), float(len(halves)))
        least: np.float64 = ordered[max(int(drops.argmax()), int(most) - 1)]
        return np.greater_equal(row, least)
