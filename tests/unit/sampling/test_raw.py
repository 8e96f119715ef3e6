"""`Sampler(raw=False)`: the same tokens without what is about the row as the model gave it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from decoding.errors import DecodingError, ParameterError
from decoding.history import History
from decoding.kernels.backends import Backend
from decoding.pipeline import Pipeline, chain
from decoding.processors import (
    DynamicTemperature,
    MinP,
    RepetitionPenalty,
    Temperature,
    TopH,
    TopK,
    TopP,
    TypicalP,
    Xtc,
)
from decoding.sampling.batch import BatchSampler, Sample, Sampler

WIDTH = 3_000
PIPELINES = (
    chain(),
    chain(Temperature(0.8)),
    chain(TopP(0.9)),
    chain(TypicalP(0.9)),
    chain(TopH(0.5)),
    chain(Xtc(0.1, 0.9)),
    chain(MinP(0.05), TypicalP(0.9)),
    chain(TopK(WIDTH), TypicalP(0.8)),
    chain(DynamicTemperature(0.5, 1.5)),
    chain(RepetitionPenalty(1.2), Temperature(0.7), TopK(40), TopP(0.9)),
)
SIZE = len(PIPELINES)


def rows() -> NDArray[np.float32]:
    """Uncertain rows, certain ones, and one of equal logits."""
    scales = np.linspace(0.5, 5.0, SIZE, dtype=np.float32)[:, None]
    logits = np.random.default_rng(3).standard_normal((SIZE, WIDTH)).astype(np.float32) * scales
    logits[0] = 1.0
    return logits


def draw(raw: list[bool], backend: str, pipelines: tuple[Pipeline, ...]) -> list[Sample]:
    samplers = [
        Sampler(pipeline, seed, 3, item)
        for seed, (pipeline, item) in enumerate(zip(pipelines, raw, strict=True))
    ]
    drawn = BatchSampler(samplers, backend=backend)(rows(), History.of([[1, 2, 3]] * SIZE))
    assert not any(isinstance(item, DecodingError) for item in drawn)
    return [item for item in drawn if isinstance(item, Sample)]


@pytest.mark.parametrize("turn", range(2))
@pytest.mark.parametrize("backend", [Backend.NUMPY, Backend.NUMBA, Backend.TORCH])
def test_every_second_row_goes_without(backend: str, turn: int) -> None:
    if backend == Backend.NUMBA:
        pytest.importorskip("numba")
    pipelines = PIPELINES[turn:] + PIPELINES[:turn]
    wanted = draw([True] * SIZE, backend, pipelines)
    mixed = draw([row % 2 == 0 for row in range(SIZE)], backend, pipelines)
    assert mixed[::2] == wanted[::2]
    for full, less in zip(wanted[1::2], mixed[1::2], strict=True):
        assert math.isnan(less.raw_logprob)
        assert less.rank == 0
        assert all(math.isnan(item.raw_logprob) for item in less.top)
        assert (less.token_id, less.support_size) == (full.token_id, full.support_size)
        assert less.processed_logprob == pytest.approx(full.processed_logprob, abs=2e-6)
        assert less.entropy == pytest.approx(full.entropy, abs=2e-5)
        tops = [
            [(item.token_id, item.processed_logprob) for item in one.top] for one in (full, less)
        ]
        assert [token_id for token_id, _ in tops[0]] == [token_id for token_id, _ in tops[1]]
        for one, other in zip(*tops, strict=True):
            assert one[1] == pytest.approx(other[1], abs=2e-6)


def test_what_goes_without_is_asked_for_again_when_its_row_is_taken_over() -> None:
    logits, history = rows()[1:2], History.empty(1)
    batch = BatchSampler([Sampler(raw=False)])
    [without] = batch(logits, history)
    batch.add(Sampler())
    batch.remove(0)
    [with_raw] = batch(logits, history)
    assert isinstance(without, Sample)
    assert isinstance(with_raw, Sample)
    assert without.rank == 0
    assert with_raw.rank == 1
    assert with_raw.raw_logprob == with_raw.processed_logprob


def test_raw_is_true_or_false() -> None:
    with pytest.raises(ParameterError, match="raw"):
        Sampler(raw=1)  # type: ignore[arg-type]
