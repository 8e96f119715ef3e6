"""Min-k keeps what the paper's algorithm keeps, at every scale of the logits."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from decoding.errors import ParameterError
from decoding.history import History
from decoding.processors import MinK


def kept_by(tau: float, row: NDArray[np.float64]) -> list[bool]:
    return (MinK(tau)(row[None], History.empty(1))[0] > -np.inf).tolist()


def kept_by_definition(tau: int, row: list[int]) -> list[bool]:
    """Algorithm 1 in rational numbers; what ties with the last token that is kept stays."""
    logits = sorted(row, reverse=True)
    spread = logits[0] - logits[-1]
    if spread == 0:
        return [True] * len(row)
    drops = [Fraction(logits[i - 1] - logits[i], i) for i in range(1, len(logits))]
    cliff = 1 + drops.index(max(drops))
    count = min(len(row), max(cliff, tau // spread))
    return [logit >= logits[count - 1] for logit in row]


@given(
    st.integers(0, 40),
    st.lists(st.integers(-20, 20), min_size=1, max_size=12),
    st.sampled_from([1.0, 2.0**-1000, 2.0**1000]),
)
def test_it_keeps_what_its_definition_keeps(tau: int, row: list[int], scale: float) -> None:
    logits = np.array(row, np.float64)
    assert kept_by(tau, logits) == kept_by_definition(tau, row)
    # A power of two is exact; the fallback alone depends on the scale.
    assert kept_by(0.0, logits * scale) == kept_by_definition(0, row)
    masked = np.append(logits, -np.inf)
    assert kept_by(tau, masked) == [*kept_by_definition(tau, row), False]


def test_the_ends_of_the_range() -> None:
    row = np.array([9.0, 8.5, 2.0, 1.0])
    assert kept_by(0.0, row) == [True, True, False, False]
    assert kept_by(24.0, row) == [True, True, True, False]
    assert kept_by(1e308, row) == [True] * 4
    limit = np.finfo(np.float64).max
    assert kept_by(3.0, np.array([limit, 0.0, -limit])) == [True, False, False]
    least = 5e-324
    assert kept_by(0.0, np.array([3 * least, least, 0.0])) == [True, False, False]
    assert kept_by(3.0, np.array([0.01, 0.0, 0.02])) == [True] * 3, "a flat row"


@pytest.mark.parametrize("tau", [-1.0, float("inf"), float("nan")])
def test_other_constants_are_refused(tau: float) -> None:
    with pytest.raises(ParameterError, match="min_k_tau must be"):
        MinK(tau)
