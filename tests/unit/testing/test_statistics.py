"""The statistics of drawn tokens: by hand, by tables, and by the error rates that they state."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from decoding.errors import ParameterError
from decoding.testing.statistics import (
    cells_of,
    chi_square,
    chi_square_quantile,
    chi_square_tail,
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
    assert power(10, 1, 0.5, 0.1) == 0.0
    grows = [power(draws, 8, 0.05, 1e-9) for draws in (100, 1000, 10_000, 100_000)]
    assert grows == sorted(grows)
    assert grows[-1] == pytest.approx(1.0)
    needed = sample_size(0.05, cells=8).draws
    assert power(needed, 8, 0.05, 1e-9) >= 0.999 > power(needed, 8, 0.0495, 1e-9)


def test_tails_of_chi_square() -> None:
    # Abramowitz and Stegun 1964, table 26.8.
    for degrees, value in ((1, 10.828), (2, 13.816), (10, 29.588), (30, 59.703), (100, 149.449)):
        assert chi_square_tail(value, degrees) == pytest.approx(1e-3, rel=2e-3)
        assert chi_square_quantile(1e-3, degrees) == pytest.approx(value, rel=1e-4)
    assert chi_square_tail(0.0, 3) == 1.0
    # exp(−x / 2) for two degrees, far into the tail.
    assert chi_square_tail(60.0, 2) == pytest.approx(np.exp(-30.0), rel=1e-9)


def test_error_rates_hold() -> None:
    # 2,000 tests at alpha = 0.01 and 0.9 power: counts within 6 standard deviations.
    generator = np.random.default_rng(2)
    size = sample_size(0.1, cells=8, alpha=0.01, miss=0.1)
    flat = np.full(8, 1.0 / 8)
    bent = flat + np.repeat([1.0, -1.0], 4) * 0.2 / 8
    assert np.abs(bent - flat).sum() / 2.0 == pytest.approx(0.1)
    limit = chi_square_quantile(0.01, 7)
    alarms = sum(
        chi_square(generator.multinomial(size.draws, flat), flat) > limit for _ in range(2000)
    )
    misses = sum(
        chi_square(generator.multinomial(size.draws, bent), flat) <= limit for _ in range(2000)
    )
    assert 0 < alarms < 20 + 6 * 4.5
    assert 200 - 6 * 13.5 < misses < 200 + 6 * 13.5


def test_the_e_process_rarely_exceeds_its_bound() -> None:
    generator = np.random.default_rng(3)
    flat = np.full(4, 0.25)
    exceeded = 0
    for _ in range(300):
        draws = generator.multinomial(100, flat, 20).cumsum(axis=0)
        exceeded += max(log_e_value(counts, flat) for counts in draws) > np.log(20.0)
    assert exceeded <= 300 * 0.05


@pytest.mark.parametrize("options", [{"tv": 0.0}, {"tv": 2.0}, {"miss": 1.0}, {"cells": 1}])
def test_sizes_out_of_range(options: Any) -> None:
    with pytest.raises(ParameterError):
        sample_size(**{"tv": 0.1, **options})


def test_cells_are_about_equal() -> None:
    probs = np.array([0.5, 0.0, 0.25, 0.125, 0.125])
    assert cells_of(probs, 4).tolist() == [0, -1, 1, 2, 3]
    zipf = 1.0 / np.arange(1, 5000)
    zipf /= zipf.sum()
    masses = np.bincount(cells_of(zipf), zipf)
    assert len(masses) <= 64
    assert masses.min() > 1.0 / 150
