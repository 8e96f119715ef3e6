"""A row copied by a temperature holds the quotients of NumPy, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

njit = pytest.importorskip("numba", reason="numba is not installed").njit
memory = pytest.importorskip("decoding.kernels.compiled.memory")
passes = pytest.importorskip("decoding.kernels.compiled.passes")
step = pytest.importorskip("decoding.kernels.compiled.step")
WIDTH = 2_003


@njit(nogil=True, error_model="numpy")
def copied(logits: Any, end: Any, temperature: Any, out: Any) -> Any:
    """Copy a row of float32; its largest quotient."""
    row = step.row_of(logits.ctypes.data, 0, len(logits), end)
    largest, lowest = -np.inf, passes.lowest_finite(row)
    for block in range(passes.blocks_of(row)):
        start = block * passes.BLOCK
        top = passes.copy_block(row, block, lowest, np.inf, temperature, out[start:])
        largest = max(largest, top)
    return largest


def test_quotients_are_rounded_as_those_of_a_division() -> None:
    doubles, _, shadow, _ = memory.allocate(WIDTH)
    generator = np.random.default_rng(4)
    for case in range(300):
        if case % 2:
            bits = generator.integers(0, 2**32, WIDTH, dtype=np.uint64).astype(np.uint32)
            row = bits.view(np.float32)
            row = np.where(row < np.inf, row, np.float32(-np.inf))  # no NaN, no +inf
        else:
            scale = generator.choice([1e-40, 1e-3, 1.0, 30.0, 1e30])
            row = (generator.standard_normal(WIDTH) * scale).astype(np.float32)
        temperature = float(np.exp(generator.uniform(-41.0, 41.0)))
        if case % 3 == 0:
            nearly = generator.choice([0.5, 1.0, 2.0])
            temperature = float(np.nextafter(nearly, generator.choice([0.0, 9.0])))
        want = row.astype(np.float64) / temperature
        top = copied(row, doubles[memory.RAW_END], temperature, shadow)
        np.testing.assert_array_equal(shadow[:WIDTH], want)
        assert top == want.max()
