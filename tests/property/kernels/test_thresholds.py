"""The bound of stored logits for a bound of biased ones is exact: sums of float64 decide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

numba = pytest.importorskip("numba")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_least_logit_that_a_bias_lifts_to_a_bound(dtype: Any) -> None:
    from decoding.kernels.compiled.formats import Row, format_of
    from decoding.kernels.compiled.passes import smallest_with

    least = numba.njit(smallest_with.py_func)
    row = Row(0, np.int64(format_of(np.dtype(dtype))), np.int64(1), np.int64(0), 0)
    generator = np.random.default_rng(5)
    cases = [(2.0, 2.0), (0.0, 0.0), (-3.0, 5.5), (1e30, 1e-30), (1e-30, 1e30), (-1e9, 2.0)]
    cases += [(float(np.nextafter(2.0, 3.0)), 2.0), (5e-324, 0.0), (1.0, 1e-17)]
    cases += [
        tuple(generator.standard_normal(2) * 10.0 ** generator.integers(-9, 9, 2))
        for _ in range(200)
    ]
    for bound, bias in cases:
        found = dtype(least(row, bound, bias))
        before = np.nextafter(found, dtype(-np.inf))
        assert np.float64(found) + bias >= bound > np.float64(before) + bias, (bound, bias)
    lowest = float(np.finfo(dtype).min)
    assert least(row, -1.7e308, 2.0) == (lowest if dtype is np.float32 else -1.7e308)
    assert least(row, -np.inf, 2.0) == lowest, "what fills a block up, −inf, never is there"
