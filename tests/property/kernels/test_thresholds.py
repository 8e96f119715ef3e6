"""The bound of stored logits for a bound of edited ones is exact: sums of float64 decide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

numba = pytest.importorskip("numba")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_least_logit_that_a_bias_lifts_to_a_bound(dtype: Any) -> None:
    from decoding.kernels.compiled.formats import Row, format_of
    from decoding.kernels.compiled.passes import smallest_at_least

    least = numba.njit(smallest_at_least.py_func)
    row = Row(0, np.int64(format_of(np.dtype(dtype))), np.int64(1), np.int64(0), 0)
    generator = np.random.default_rng(5)
    cases = [(2.0, 2.0), (0.0, 0.0), (-3.0, 5.5), (1e30, 1e-30), (1e-30, 1e30), (-1e9, 2.0)]
    cases += [(float(np.nextafter(2.0, 3.0)), 2.0), (5e-324, 0.0), (1.0, 1e-17)]
    cases += [
        tuple(generator.standard_normal(2) * 10.0 ** generator.integers(-9, 9, 2))
        for _ in range(200)
    ]
    for bound, bias in cases:
        for temperature in (1.0, 0.8, 1.7e-18, 1e17):
            found = dtype(least(row, bound, temperature, bias))
            before = np.nextafter(found, dtype(-np.inf))
            given = (bound, bias, temperature)
            quotients = [(np.float64(z) + bias) / temperature for z in (before, found)]
            assert quotients[0] < bound <= quotients[1] or found == np.inf, given
    lowest, largest = float(np.finfo(dtype).min), float(np.finfo(dtype).max)
    assert least(row, -1.7e308, 1.0, 2.0) == (lowest if dtype is np.float32 else -1.7e308)
    assert least(row, -np.inf, 1.0, 2.0) == lowest, "what fills a block up, −inf, never is there"
    assert least(row, largest, 1.0, 0.0) == largest
    assert least(row, np.inf, 1.0, 0.0) == np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_stored_logits_that_a_temperature_makes_one_number(dtype: Any) -> None:
    from decoding.kernels.compiled.formats import Row, format_of
    from decoding.kernels.compiled.passes import stored_bounds

    bounds = numba.njit(stored_bounds.py_func)
    row = Row(0, np.int64(format_of(np.dtype(dtype))), np.int64(1), np.int64(0), 0)
    generator = np.random.default_rng(6)
    for temperature in (1.0, 0.8, 1.0 / 3.0, 77.0):
        for stored in generator.standard_normal(50).astype(dtype):
            tie = float(stored) / temperature
            least, most = (dtype(bound) for bound in bounds(row, tie, tie, temperature))
            assert least <= stored <= most
            for inside, outside in ((least, -np.inf), (most, np.inf)):
                beyond = np.nextafter(inside, dtype(outside))
                assert float(inside) / temperature == tie != float(beyond) / temperature
    largest = float(np.finfo(dtype).max)
    assert bounds(row, -np.inf, np.inf, 0.8) == (-largest, largest)
