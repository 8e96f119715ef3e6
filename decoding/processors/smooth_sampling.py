"""Smooth sampling: quadratic and cubic transformations of the logits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from decoding.facts import SCALE, Facts
from decoding.history import History
from decoding.kernels.vector import dense
from decoding.processors.call import checked_call
from decoding.request_fields import NOT_NEGATIVE, RequestField, check, real
from decoding.typing import Logits

_CURVE = real(1.0)


@dataclass(frozen=True, slots=True)
class SmoothSampling:
    """Transform logits by their distance from the largest: raise those near it, lower the others.

        d = max − logits[i],   max − k f d² − s f d³,   k = (3 − c) / 2,   s = (c − 1) / 2

    smoothing_factor: f in [0, inf); 0 is neutral. smoothing_curve: c in [1, inf); 1 is quadratic.
    Above 3 the square is in a token's favour, so that one near the likeliest may overtake it.
    logits: `(batch, vocab)` float; −inf stays, what is finite stays finite. Every backend runs it
    in NumPy between two programs. Raises `ParameterError` at construction. Source:
    text-generation-webui #5403 (quadratic) and #5551 (cubic).

    >>> SmoothSampling(0.5)(np.array([[3.0, 2.0, 1.0]]), History.empty(1))
    array([[3. , 2.5, 1. ]])
    """

    smoothing_factor: float
    smoothing_curve: float = 1.0

    facts: ClassVar[Facts] = replace(
        SCALE,
        argmax_invariant=False,
        formula="max L − k f d² − s f d³, d = max L − L, k = (3 − c) / 2, s = (c − 1) / 2",
        range="f ≥ 0, c ≥ 1",
        source="text-generation-webui #5403, #5551",
        fields=(
            RequestField("smoothing_factor", NOT_NEGATIVE, "bends the logits", "F", 0.0),
            RequestField("smoothing_curve", _CURVE, "from quadratic to cubic", "C", default=1.0),
        ),
        place=145,
    )

    def __post_init__(self) -> None:
        check(self, "smoothing_factor", NOT_NEGATIVE)
        check(self, "smoothing_curve", _CURVE)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        acts = self.smoothing_factor > 0.0
        return dense.edit(logits, lambda _, row: self._bent(row)) if acts else logits

    def _bent(self, row: dense.Row) -> dense.Row:
        largest, curve = max(float(row.max()), -1.7e308), self.smoothing_curve
        with np.errstate(over="ignore"):
            gap = np.minimum(largest - row, 1e100)
            fall = gap * gap * ((3.0 - curve) / 2.0 + (curve - 1.0) / 2.0 * gap)
            bent = np.maximum(largest - self.smoothing_factor * fall, -1.7e308)
        return np.where(row > -np.inf, bent, -np.inf)
