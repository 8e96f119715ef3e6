"""When the stages of a request happened, and how many requests wait and run."""

from __future__ import annotations

import time
from itertools import count

import pytest
from hashed_models import VOCAB

from decoding import Engine, GenerationParameters, Request
from decoding.testing.models import hash_model


@pytest.fixture
def _ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is a second on whenever somebody looks at it."""
    ticks = count(1)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))


@pytest.mark.usefixtures("_ticks")
def test_stages_follow_each_other() -> None:
    engine = Engine(hash_model(VOCAB))
    generation = engine.submit(Request([5], GenerationParameters(max_new_tokens=3)))
    timing = generation.timing
    assert (timing.started, timing.first_token, timing.finished) == (None, None, None)
    engine.step()
    assert timing.started is not None
    assert timing.first_token is not None
    assert timing.submitted < timing.started < timing.first_token
    first = timing.first_token
    assert timing.finished is None
    while engine.busy:
        engine.step()
    assert timing.first_token == first
    assert timing.finished is not None
    assert timing.finished > first


@pytest.mark.usefixtures("_ticks")
def test_a_cancelled_request_finished_without_a_token() -> None:
    engine = Engine(hash_model(VOCAB))
    generation = engine.submit(Request([5], GenerationParameters(max_new_tokens=3)))
    engine.cancel(generation)
    assert generation.timing.started is None
    assert generation.timing.first_token is None
    finished = generation.timing.finished
    assert finished is not None
    engine.cancel(generation)
    assert generation.timing.finished == finished


def test_requests_wait_and_sequences_run() -> None:
    engine = Engine(hash_model(VOCAB), max_batch_size=2)
    asked = GenerationParameters(max_new_tokens=2, best_of=2, seed=1)
    assert (engine.waiting, engine.running) == (0, 0)
    for token in (5, 6):
        engine.submit(Request([token], asked))
    assert (engine.waiting, engine.running) == (2, 0)
    engine.step()
    assert (engine.waiting, engine.running) == (1, 2)
    while engine.busy:
        engine.step()
    assert (engine.waiting, engine.running) == (0, 0)
