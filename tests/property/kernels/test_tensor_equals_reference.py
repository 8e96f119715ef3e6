"""The torch kernels against the float64 reference, and their tokens against NumPy's.

The rounding band within which they may differ is that of `backend_oracle`: like NumPy's they
calculate in float64, and only the order of their sums is another.
"""

from __future__ import annotations

import numpy as np
import pytest
from backend_oracle import (
    DTYPES,
    TOKEN_PIPELINES,
    bitmasks_for,
    by_reference,
    check_huge_ties,
    check_step,
    check_tokens,
    programs,
    rows_of,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from profiles import amount

from decoding.kernels.program import Batch, assemble
from decoding.kernels.rows import widen
from decoding.testing import strategies

pytest.importorskip("torch")

from decoding.kernels.tensor.kernel import TensorKernel


@pytest.mark.slow
@settings(
    suppress_health_check=[HealthCheck.filter_too_much],
    max_examples=amount(check=30, full=300, nightly=5000),
)
@given(
    data=st.data(),
    dtype=st.sampled_from(DTYPES),
    # Rows here are short: a capacity below their width is what sends them down every path.
    capacity=st.sampled_from([1, 2, 5, 1024]),
)
def test_a_step_equals_the_reference(data: st.DataObject, dtype: str, capacity: int) -> None:
    check_step(lambda batch: TensorKernel(batch, capacity=capacity), dtype, data)


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_an_edit_equals_the_reference(data: st.DataObject, dtype: str) -> None:
    logits, history = data.draw(strategies.batches())
    size, vocab_size = logits.shape
    drawn = [data.draw(programs(vocab_size)) for _ in range(size)]
    rows = rows_of(logits, dtype)
    wide = widen(rows)
    expected = np.array([by_reference(wide[row], drawn[row], history, row) for row in range(size)])
    program = assemble(drawn)
    nobody = np.zeros(size, np.int64)
    kernel = TensorKernel(Batch(program, nobody.astype(np.uint64), nobody == 0, nobody))
    edited, emptied = kernel.edit(
        rows,
        bitmasks_for(program, vocab_size),
        history.token_ids,
        history.lengths,
        history.prompt_lengths,
    )
    assert emptied.tolist() == [-1] * size
    assert edited.dtype == np.float64
    assert not np.shares_memory(edited, rows)
    assert np.array_equal(np.isneginf(edited), np.isneginf(expected))
    alive = expected > -np.inf
    assert np.allclose(edited[alive], expected[alive], rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", TOKEN_PIPELINES)
def test_the_tokens_are_those_of_numpy(name: str) -> None:
    check_tokens(TensorKernel, name)


@pytest.mark.slow
def test_the_tokens_are_those_of_numpy_at_a_small_capacity() -> None:
    check_tokens(lambda batch: TensorKernel(batch, capacity=8), "others")


def test_the_lowest_of_tokens_that_tie_for_their_size_is_drawn() -> None:
    check_huge_ties(TensorKernel)
