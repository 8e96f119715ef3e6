"""`numpy.seterr` of the caller does not reach the library's arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from decoding import BatchSampler, History, Sampler, Temperature, TopK, chain
from decoding.processors import DynamicTemperature, FrequencyPenalty, SmoothSampling
from decoding.sampling import Sample
from decoding.typing import Processor

HISTORY = History.of([[1, 2]], [[3, 3]])
FAR_APART = np.array([[0.0, -1e3, 5.0, 1e-310]])


@pytest.mark.parametrize("backend", ["numpy", "numba", "torch"])
@pytest.mark.parametrize(
    "processor",
    [
        TopK(3),
        Temperature(1e-300),
        Temperature(1e308),
        FrequencyPenalty(3.4e38),
        SmoothSampling(0.3),
    ],
    ids=repr,
)
def test_a_step_does_not_depend_on_the_callers_error_state(
    backend: str, processor: Processor
) -> None:
    pytest.importorskip(backend)
    sampler = BatchSampler([Sampler(chain(processor), seed=1)], backend=backend)
    [usual] = sampler(FAR_APART, HISTORY)
    with np.errstate(all="raise"):
        [strict] = sampler(FAR_APART, HISTORY)
        made = processor(FAR_APART, HISTORY)
    assert isinstance(usual, Sample)
    assert strict == usual
    assert np.array_equal(made, processor(FAR_APART, HISTORY))


@pytest.mark.parametrize("backend", ["numpy", "numba", "torch"])
def test_the_highest_temperature_of_a_range_is_finite(backend: str) -> None:
    pytest.importorskip(backend)
    flat = chain(DynamicTemperature(1e308, 1e308, 1.0))
    [sample] = BatchSampler([Sampler(flat, seed=1)], backend=backend)(FAR_APART, HISTORY)
    assert isinstance(sample, Sample)
    assert sample.support_size == 4
