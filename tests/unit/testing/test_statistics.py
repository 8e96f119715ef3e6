"""The statistics of drawn tokens, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from decoding.testing.statistics import (
    chi_square,
    chi_square_quantile,
    chi_square_tail,
    detectable,
    log_e_value,
    power,
    sample_size,
)


def test_chi_square_by_hand() -> None:
    thirds = np.full(3, 1 / 3)
    assert chi_square(np.array([10, 20, 30]), thirds) == pytest.approx(10.0)
    assert chi_square(np.array([20, 20, 20]), thirds) == pytest.approx(0.0, abs=1e-12)
    assert chi_square(np.array([3, 1]), np.array([0.75, 0.25])) == 0.0


def test_an_e_value_by_hand() -> None:
    # One draw: the mixture gives each of two cells a half. A second of the same: 3/4.
    probs = np.array([0.1, 0.9])
    assert log_e_value(np.array([1, 0]), probs) == pytest.approx(math.log(0.5 / 0.1))
    assert log_e_value(np.array([2, 0]), probs) == pytest.approx(math.log(0.375 / 0.01))
    assert log_e_value(np.array([0, 1]), np.array([0.0, 1.0])) == pytest.approx(math.log(0.5))


@pytest.mark.parametrize("degrees", [1, 2, 10, 300])
def test_the_quantile_is_the_inverse_of_the_tail(degrees: int) -> None:
    for alpha in (0.5, 1e-3, 1e-9):
        value = chi_square_quantile(alpha, degrees)
        assert chi_square_tail(value, degrees) == pytest.approx(alpha, rel=1e-6)
    # Two degrees are an exponential distribution.
    assert chi_square_tail(3.0, 2) == pytest.approx(math.exp(-1.5))


def test_power_is_the_level_without_a_fault_and_grows_with_draws() -> None:
    assert power(1000, 8, 0.0, 0.01) == pytest.approx(0.01, rel=1e-6)
    grows = [power(draws, 8, 0.05, 1e-9) for draws in (100, 1000, 10_000, 100_000)]
    assert grows == sorted(grows)
    assert grows[-1] == pytest.approx(1.0)
    needed = sample_size(0.05, cells=8).draws
    assert detectable(needed, 8, 1e-9) == pytest.approx(0.05, rel=0.01)
