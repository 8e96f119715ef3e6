"""Edited logits are the same float64 on every backend, bit for bit but for signs of zeros.

Rows are small and hostile: denormals, ±3e38, ties, neighbours one ulp apart, −inf, and *shadowed*
rows, in which tokens that no edit names stand where float32 would put an edited one. 5,000 rows of
all four formats by default, 1,000 in `make check`, 10⁶ under `make nightly`.
"""

import numpy as np
import pytest
from arithmetic_cases import BATCHES, BY_DEFINITION, arrays_of, bits_of, cases, check

from decoding.kernels.reference import step as reference
from decoding.kernels.vector.step import VectorKernel


def test_numpy_is_the_definition() -> None:
    compared = 0
    for number, found in enumerate(cases()):
        if found.wide.shape[1] > BY_DEFINITION:
            continue
        arrays = arrays_of(found.batch.program, found.rows, found.history)
        edited, emptied = VectorKernel(found.batch).edit(found.rows, *arrays)
        for row in np.flatnonzero(emptied == -1):
            prompt, generated = found.history.prompt(row), found.history.generated(row)
            values = found.wide[row].tolist()
            ran = found.instructions[row]
            want = reference.run(values, ran, prompt.tolist(), generated.tolist())
            assert (bits_of(edited[row]) == bits_of(np.array(want))).all(), (number, row, ran)
            compared += 1
    assert compared > 5 * BATCHES


@pytest.mark.parametrize("limit", [4, 16_384])
def test_numba_is_numpy(limit: int) -> None:
    kernel = pytest.importorskip("decoding.kernels.compiled.kernel")
    for number, found in enumerate(cases()):
        check(lambda batch: kernel.CompiledKernel(batch, 1, limit), found, number)


def test_torch_is_numpy() -> None:
    kernel = pytest.importorskip("decoding.kernels.tensor.kernel")
    for number, found in enumerate(cases()):
        check(kernel.TensorKernel, found, number)
