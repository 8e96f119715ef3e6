"""The NumPy kernels against the float64 reference, and lowered against by definition.

The rounding band within which they may differ is that of `backend_oracle`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from backend_oracle import DTYPES, by_reference, check_step, instructions_of
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from profiles import amount

from decoding.history import History
from decoding.kernels.vector.step import VectorKernel
from decoding.pipeline import chain
from decoding.sampling.batch import BatchSampler, Sample, Sampler
from decoding.testing import laws, strategies


@settings(
    suppress_health_check=[HealthCheck.filter_too_much],
    max_examples=amount(check=50, full=500, nightly=5000),
)
@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_a_step_equals_the_reference(data: st.DataObject, dtype: str) -> None:
    check_step(VectorKernel, dtype, data)


@pytest.mark.slow
@settings(
    suppress_health_check=[HealthCheck.filter_too_much],
    max_examples=amount(check=500, full=500, nightly=5000),
)
@given(data=st.data(), batch=strategies.batches())
def test_lowered_equals_by_definition(data: st.DataObject, batch: tuple[Any, History]) -> None:
    logits, history = batch
    pipelines = [data.draw(strategies.pipelines(logits.shape[1])) for _ in range(len(logits))]
    for row, pipeline in enumerate(pipelines):
        by_reference(logits[row], instructions_of(pipeline), history, row)
    wide = logits.astype(np.float64)
    defined = np.concatenate(
        [
            pipeline(wide[row : row + 1], history.select(row))
            for row, pipeline in enumerate(pipelines)
        ]
    )
    assume((defined > -np.inf).any(axis=1).all())
    samplers = [Sampler(pipeline, None, top_n=logits.shape[1]) for pipeline in pipelines]
    drawn = BatchSampler(samplers, backend="numpy")(logits, history)
    lowered = np.full(defined.shape, -np.inf)
    for row, sample in enumerate(drawn):
        assert isinstance(sample, Sample)
        for alternative in sample.top:
            lowered[row, alternative.token_id] = alternative.processed_logprob
    assert laws.same_distribution(lowered, laws.log_softmax(defined))


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data(), batch=strategies.batches(), seed=st.integers(0, 2**64 - 1))
def test_a_python_processor_splits_the_program_and_changes_nothing(
    data: st.DataObject, batch: tuple[Any, History], seed: int
) -> None:
    logits, history = batch
    logits = logits.astype(np.float64)
    processors = data.draw(strategies.pipelines(logits.shape[1])).processors
    place = data.draw(st.integers(0, len(processors)))
    whole = [Sampler(chain(*processors), seed, top_n=3)] * len(logits)
    split = [
        Sampler(chain(*processors[:place], lambda z, _: z, *processors[place:]), seed, top_n=3)
    ] * len(logits)
    for one, other in zip(
        BatchSampler(whole)(logits, history), BatchSampler(split)(logits, history), strict=True
    ):
        if isinstance(one, Sample):
            assert isinstance(other, Sample)
            assert one.token_id == other.token_id
            assert math.isclose(one.processed_logprob, other.processed_logprob, abs_tol=1e-6)
            assert math.isclose(one.raw_logprob, other.raw_logprob, abs_tol=1e-6)
        else:
            assert str(one) == str(other)
