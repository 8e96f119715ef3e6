"""Values exactly at a limit: described ties, top-H's budget, XTC's threshold, greedy ties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from decoding.history import History
from decoding.kernels.backends import Backend
from decoding.kernels.reference import cutoffs
from decoding.kernels.result import TIES_BEYOND_TOP_N
from decoding.pipeline import Pipeline, chain
from decoding.processors import LogitBias, Temperature, TopH, TopK, Xtc
from decoding.sampling.batch import BatchSampler, Sample, Sampler

HOST = [Backend.NUMPY, Backend.NUMBA, Backend.TORCH]


def drawn(backend: Backend, row: Any, pipeline: Pipeline = chain(), top_n: int = 0) -> Sample:
    pytest.importorskip(backend.value)
    sampler = BatchSampler([Sampler(pipeline, None, top_n)], backend=backend)
    [sample] = sampler(np.asarray(row)[np.newaxis], History.empty(1))
    assert isinstance(sample, Sample)
    return sample


def top_of(sample: Sample) -> list[int]:
    return [item.token_id for item in sample.top]


@pytest.mark.parametrize("backend", HOST)
@pytest.mark.parametrize("pipeline", [chain(), chain(TopK(90)), chain(LogitBias({3: -1.0}))])
def test_of_many_ties_the_32_lowest_ids_beyond_n_are_described(
    backend: Backend, pipeline: Pipeline
) -> None:
    assert TIES_BEYOND_TOP_N == 32
    row = np.zeros(100, np.float32)
    row[60] = 1.0
    ties = [token_id for token_id in range(100) if token_id != 60]
    if pipeline == chain(LogitBias({3: -1.0})):
        ties.remove(3)
    for top_n in (2, 5):
        top = top_of(drawn(backend, row, pipeline, top_n))
        assert top == [60, *ties[: top_n + 31]]
    # Exactly as many as are described, and one more.
    for count in (32, 33, 34):
        row = np.where(np.arange(100) < count, 0.0, -1.0).astype(np.float32)
        assert top_of(drawn(backend, row, chain(), 1)) == list(range(min(count, 33)))


@pytest.mark.parametrize("backend", HOST)
def test_the_likeliest_tokens_are_described_where_thousands_tie_below_them(
    backend: Backend,
) -> None:
    for low, high in ((0.0, 1e-30), (-6e-8, 6e-8), (1.0, np.nextafter(np.float32(1), 2))):
        rows = np.where(np.arange(20_000) % 3 == 0, low, high).astype(np.float32)
        top = top_of(drawn(backend, rows, chain(LogitBias({7: 0.9, 12: 0.9})), 5))
        assert top[:7] == [7, 12, 1, 2, 4, 5, 8]
        assert len(top) == 37


@pytest.mark.parametrize("backend", HOST)
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_top_h_keeps_a_token_that_uses_its_budget_up(backend: Backend, share: float) -> None:
    # Of four equal tokens each has the same share of the entropy, and these sums are exact.
    row = np.zeros(4, np.float32)
    assert drawn(backend, row, chain(TopH(share))).support_size == share * 4
    assert sum(z > -np.inf for z in cutoffs.top_h(row.tolist(), share)) == share * 4


def test_a_probability_that_is_the_threshold_reaches_it() -> None:
    # p = 1/2, 1/4, 1/4, exactly, also as logarithms.
    row = np.array([[np.log(2.0), 0.0, 0.0]])
    assert np.isneginf(Xtc(1.0, 0.25)(row, History.empty(1))).tolist() == [[True, False, False]]
    assert cutoffs.xtc([0.0, 0.0, -np.inf], 0.5) == [0.0, 0.0, -np.inf]


def test_a_threshold_of_one_half_is_not_neutral() -> None:
    # Two tokens have p = 1/2 to the last bit, though one logit is larger.
    row, history = np.array([[1e-30, 0.0]], np.float32), History.empty(1)
    assert np.isneginf(Xtc(1.0, 0.5)(row, history)).tolist() == [[True, False]]
    assert len(Xtc(1.0, 0.5).lower()) == 1
    above = float(np.nextafter(0.5, 1.0))
    assert Xtc(1.0, above)(row, history) is row
    assert Xtc(1.0, above).lower() == ()


@pytest.mark.parametrize("backend", [Backend.NUMPY, Backend.TORCH])
def test_a_threshold_of_one_half_acts_in_the_kernels(backend: Backend) -> None:
    assert drawn(backend, np.array([1e-30, 0.0], np.float32), chain(Xtc(1.0, 0.5))).token_id == 1


@pytest.mark.parametrize("backend", HOST)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_edited_logit_is_not_rounded_before_it_is_compared(backend: Backend, dtype: Any) -> None:
    # 1 + 10⁻⁹ is no float32; nor is 0.1, of which the stored logits hold more or less.
    row = np.array([1.0, 1.0, 0.5], dtype)
    assert drawn(backend, row, chain(LogitBias({1: 1e-9}))).token_id == 1
    row = np.array([1e-40, 2e-40, 0.0], dtype)
    bias = LogitBias({0: 1e-40, 2: 2.0000001e-40})
    want = int(np.argmax(row.astype(np.float64) + np.array([1e-40, 0.0, 2.0000001e-40])))
    for heat in (1.0, 0.7):
        pipeline = chain(bias, Temperature(heat))
        for top_n in (0, 2):
            assert drawn(backend, row, pipeline, top_n).token_id == want


@pytest.mark.parametrize("backend", HOST)
@pytest.mark.parametrize("before", [chain(), chain(TopK(4, keep_ties=False))])
def test_top_h_of_a_certain_row_keeps_its_one_token(backend: Backend, before: Pipeline) -> None:
    row = np.zeros(20, np.float32)
    row[19] = 3e38
    sample = drawn(backend, row, chain(before, TopH(0.5)))
    assert (sample.token_id, sample.support_size) == (19, 1)
