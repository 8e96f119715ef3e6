"""`BatchSampler.process`: the pipeline of each row alone, for a caller who draws."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from decoding import (
    Bitmask,
    Dry,
    LogitBias,
    MinP,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
    Watermark,
    Xtc,
    chain,
)
from decoding.errors import (
    EmptySupportError,
    InvalidLogitsError,
    ParameterError,
    ProcessorError,
    ShapeError,
)
from decoding.history import History
from decoding.processors import Mirostat2
from decoding.sampling import BatchSampler, Sample, Sampler
from decoding.watermark.presets import tgi

GENERATOR = np.random.default_rng(5)
LOGITS = GENERATOR.normal(0.0, 3.0, (4, 300))
SEEN = History.of([[3, 4, 5], [1], [2, 2], [9, 8]], [[3, 4], [], [2, 2, 2], [7]])
PIPELINES = [
    chain(RepetitionPenalty(1.3), Temperature(0.7), TopK(20), TopP(0.9)),
    chain(Watermark(tgi()), LogitBias({5: 2.0, 6: -np.inf})),
    chain(Dry(0.8), MinP(0.05), Xtc(0.5, 0.1, seed=3)),
    chain(),
]


def halved(logits: Any, history: History) -> Any:
    return logits / 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", [None, "numpy"])
def test_it_is_the_pipeline_by_definition(dtype: Any, backend: str | None) -> None:
    logits = LOGITS.astype(dtype)
    before = logits.copy()
    result = BatchSampler([Sampler(item) for item in PIPELINES], backend=backend).process(
        logits, SEEN
    )
    assert result.errors == {}
    assert result.logits.dtype == dtype
    assert np.array_equal(logits, before)
    for row, pipeline in enumerate(PIPELINES):
        want = pipeline(logits[row : row + 1], SEEN.select(row))[0]
        assert np.array_equal(np.isneginf(result.logits[row]), np.isneginf(want)), row
        np.testing.assert_allclose(result.logits[row], want, rtol=2e-6, atol=1e-6)


def test_processors_of_users_run_between() -> None:
    pipeline = chain(TopK(5), halved, TopK(2))
    result = BatchSampler([Sampler(pipeline)]).process(LOGITS[:1], SEEN.select(0))
    want = pipeline(LOGITS[:1], SEEN.select(0))
    np.testing.assert_allclose(result.logits, want)
    assert np.isfinite(result.logits).sum() == 2


def test_errors_stay_in_their_row() -> None:
    def broken(logits: Any, history: History) -> Any:
        raise RuntimeError("no")

    samplers = [
        Sampler(TopK(3)),
        Sampler(Bitmask.of([])),
        Sampler(broken),
        Sampler(TopK(3)),
        Sampler(LogitBias({400: 1.0})),
    ]
    logits = np.concatenate([LOGITS, LOGITS[:1]])
    logits[3, 7] = np.nan
    history = History.of([[1]] * 5)
    result = BatchSampler(samplers).process(logits, history)
    kinds = {row: type(error) for row, error in result.errors.items()}
    assert kinds == {
        1: EmptySupportError,
        2: ProcessorError,
        3: InvalidLogitsError,
        4: ShapeError,
    }
    assert np.isfinite(result.logits[0]).sum() == 3
    for row in (1, 2, 3, 4):
        assert np.array_equal(result.logits[row], logits[row], equal_nan=True)


@pytest.mark.parametrize("backend", [None, "numpy"])
def test_a_row_without_a_possible_token_is_an_error(backend: str | None) -> None:
    logits = np.concatenate([np.full_like(LOGITS[:1], -np.inf), LOGITS[:1]])
    samplers = [Sampler(chain(Temperature(0.5))), Sampler(TopK(3))]
    result = BatchSampler(samplers, backend=backend).process(logits, History.of([[1]] * 2))
    assert {row: type(error) for row, error in result.errors.items()} == {0: EmptySupportError}
    assert np.isneginf(result.logits[0]).all()


def test_a_feedback_moves_by_the_callers_tokens() -> None:
    # The same loop twice: once the sampler draws, once it only processes.
    sampler = BatchSampler([Sampler(Mirostat2(1.0, 0.7), seed=3)])
    one: Any = (sampler._rows[0].sampler.start(),)
    other = one
    token_ids: list[int] = []
    for _ in range(6):
        history = History.of([[1]], [token_ids])
        [drawn] = sampler(LOGITS[:1], history, one)
        assert isinstance(drawn, Sample)
        result = sampler.process(LOGITS[:1], history, other)
        assert np.isfinite(result.logits[0, drawn.token_id])
        other = (result.states_after(0, drawn.token_id, history),)
        one = (drawn.states,)
        assert other == one
        token_ids.append(drawn.token_id)
    assert one[0] != sampler._rows[0].sampler.start()


def test_half_precision_becomes_float32() -> None:
    result = BatchSampler([Sampler(TopK(2))]).process(LOGITS[:1].astype(np.float16), SEEN.select(0))
    assert result.logits.dtype == np.float32
    assert np.isfinite(result.logits).sum() == 2


def test_arguments_are_checked_as_in_a_call() -> None:
    sampler = BatchSampler([Sampler()])
    with pytest.raises(ShapeError):
        sampler.process(LOGITS[:2], SEEN)
    with pytest.raises(ParameterError):
        sampler.process(LOGITS[:1], SEEN.select(0), states=[(), ()])


def test_the_result_pickles() -> None:
    result = BatchSampler([Sampler(TopK(2))]).process(LOGITS[:1], SEEN.select(0))
    for twin in (copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert np.array_equal(twin.logits, result.logits)


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    given = torch.tensor(LOGITS[:1]).to(torch.bfloat16)
    result = BatchSampler([Sampler(TopK(2))]).process(given, SEEN.select(0))
    assert result.logits.dtype == np.float32
    assert np.isfinite(result.logits).sum() >= 2
