"""Who may start: by memory, by the length of the queue, and by deadlines."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hashed_models import VOCAB, Counting
from profiles import spread

from decoding import Engine, GenerationParameters, LanguageModel, Request, generate
from decoding.errors import (
    CapacityError,
    DeadlineError,
    OverloadedError,
    ParameterError,
    UnsupportedFeatureError,
)
from decoding.models import CallableModel
from decoding.testing.models import hash_model


class Bounded(Counting):
    """A cached model whose states take whole pages of a bounded memory."""

    page_tokens = 4

    def __init__(self, capacity_tokens: int) -> None:
        super().__init__()
        self.capacity_tokens = capacity_tokens
        self.held: dict[int, Any] = {}
        self.most = 0

    def used(self) -> int:
        lengths = [len(state) for state in self.held.values()]
        return sum(-(-length // 4) * 4 for length in lengths)

    @property
    def free_tokens(self) -> int:
        return self.capacity_tokens - self.used()

    def check(self) -> None:
        self.most = max(self.most, self.used())
        assert self.free_tokens >= 0

    def prefill(self, prompts: Any, *, all_positions: bool = False) -> Any:
        states, logits = super().prefill(prompts, all_positions=all_positions)
        self.held |= {id(state): state for state in states}
        self.check()
        return states, logits

    def extend(self, states: Any, token_ids: Any, *, all_positions: bool = False) -> Any:
        logits = super().extend(states, token_ids, all_positions=all_positions)
        self.check()
        return logits

    def fork(self, state: Any) -> Any:
        copy = super().fork(state)
        self.held[id(copy)] = copy
        self.check()
        return copy

    def release(self, state: Any) -> None:
        super().release(state)
        del self.held[id(state)]


def ids(response: Any) -> list[int]:
    return [token.id for token in response.tokens]


@pytest.mark.parametrize("chunk", spread([3, 512], 1))
@pytest.mark.parametrize("prefix_tokens", [0, 40])
def test_requests_run_as_their_longest_fits_the_memory_and_in_order(
    chunk: int, prefix_tokens: int
) -> None:
    cached = Bounded(48)
    model = LanguageModel(forward=cached)
    engine = Engine(model, prefill_chunk=chunk, prefix_tokens=prefix_tokens)
    submitted = []
    for number in range(40):
        asked = GenerationParameters(
            max_new_tokens=1 + number % 9, seed=number, best_of=1 + number % 3
        )
        prompt = [2 + number % 4] * (1 + number % 4)
        submitted.append(engine.submit(Request(prompt, asked)))
    started: list[int] = []
    steps = 0
    while engine.busy:
        engine.step()
        for number, item in enumerate(submitted):
            if item.timing.started is not None and number not in started:
                started.append(number)
        steps += 1
        assert steps < 1000
    assert started == list(range(40))
    assert cached.most > 20
    for item in submitted:
        alone = generate(hash_model(VOCAB), list(item.plan.prompt), item.request.parameters)
        assert ids(item.result()) == ids(alone)
    engine.forget_prefixes()
    assert not cached.live


def test_a_request_that_can_never_fit_is_refused() -> None:
    engine = Engine(LanguageModel(forward=Bounded(40)))
    engine.submit(Request([5], GenerationParameters(max_new_tokens=39)))
    with pytest.raises(CapacityError, match=r"44 tokens do not fit .* 40 in all") as caught:
        engine.submit(Request([5], GenerationParameters(max_new_tokens=40)))
    assert (caught.value.wanted, caught.value.room) == (44, 40)
    with pytest.raises(CapacityError):
        engine.submit(Request([5], GenerationParameters(max_new_tokens=20, best_of=2, seed=1)))


def test_the_room_for_an_answer_is_that_of_the_memory() -> None:
    model = LanguageModel(forward=Bounded(40), context_length=1000)
    engine = Engine(model)
    generation = engine.submit(Request([5], GenerationParameters()))
    assert generation.plan.ending.max_new_tokens == 39
    asked = GenerationParameters(best_of=3, seed=1)
    generation = engine.submit(Request([5], asked))
    assert generation.plan.ending.max_new_tokens == 11


def test_a_full_queue_refuses() -> None:
    engine = Engine(hash_model(VOCAB), max_waiting=2, max_batch_size=1)
    asked = GenerationParameters(max_new_tokens=2)
    for token in (5, 6):
        engine.submit(Request([token], asked))
    with pytest.raises(OverloadedError, match="2 requests are waiting") as caught:
        engine.submit(Request([7], asked))
    assert caught.value.limit == 2
    engine.step()
    engine.submit(Request([7], asked))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands where its only entry says."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_request_that_waits_too_long_ends(clock: list[float]) -> None:
    engine = Engine(hash_model(VOCAB), max_batch_size=1)
    asked = GenerationParameters(max_new_tokens=4)
    first = engine.submit(Request([5], asked), queue_timeout=3)
    second = engine.submit(Request([6], asked), queue_timeout=5)
    third = engine.submit(Request([7], asked), queue_timeout=7)
    engine.step()
    clock[0] += 5
    assert second in engine.step()
    assert isinstance(second.error, DeadlineError)
    assert (second.error.stage, second.error.seconds) == ("queue", 5.0)
    assert "5 seconds ran out before it started" in str(second.error)
    assert engine.waiting == 1
    while engine.busy:
        engine.step()
    assert first.error is None
    assert third.error is None


def test_a_request_that_runs_too_long_ends_and_frees_its_slot(clock: list[float]) -> None:
    cached = Counting()
    engine = Engine(LanguageModel(forward=cached), prefill_chunk=2)
    running = engine.submit(
        Request([5], GenerationParameters(max_new_tokens=90, best_of=2, seed=1)), timeout=2
    )
    begun = engine.submit(Request([6] * 9, GenerationParameters(max_new_tokens=4)), timeout=2)
    other = engine.submit(Request([7], GenerationParameters(max_new_tokens=4)), timeout=20)
    engine.step()
    engine.step()
    assert len(cached.live) == 3
    clock[0] += 2
    engine.step()
    for item in (running, begun):
        assert isinstance(item.error, DeadlineError)
        assert item.error.stage == "total"
    assert len(cached.live) == 1
    while engine.busy:
        engine.step()
    assert other.error is None
    assert not cached.live


@pytest.mark.parametrize("name", ["timeout", "queue_timeout"])
@pytest.mark.parametrize("value", [-1, float("nan"), "1", True])
def test_deadlines_are_checked(name: str, value: Any) -> None:
    engine = Engine(hash_model(VOCAB))
    asked = Request([5], GenerationParameters(max_new_tokens=4))
    with pytest.raises(ParameterError, match=f"{name} must be"):
        engine.submit(asked, **{name: value})
    assert not engine.busy


class Shifted(CallableModel):
    """`hash_model`, with adapters that read other tokens in place of a prompt's."""

    def adapted(self, adapter_id: str) -> Any:
        if adapter_id != "mine":
            raise ParameterError("adapter_id", adapter_id, "an adapter of this model")
        return ADAPTED


class Adapted:
    key = "mine"

    def prefill(self, prompts: Any, *, all_positions: bool = False) -> Any:
        moved = [[item + 1 for item in prompt] for prompt in prompts]
        return SHIFTED.prefill(moved, all_positions=all_positions)


SHIFTED, ADAPTED = Shifted(hash_model(VOCAB)), Adapted()


def test_requests_with_an_adapter_and_without_run_together() -> None:
    engine = Engine(LanguageModel(forward=SHIFTED))
    plain = GenerationParameters(max_new_tokens=6)
    adapted = GenerationParameters(max_new_tokens=6, adapter_id="mine")
    submitted = [engine.submit(Request([5, 6], item)) for item in (plain, adapted, plain, adapted)]
    while engine.busy:
        engine.step()
    for item, prompt in zip(submitted, [[5, 6], [6, 7]] * 2, strict=True):
        assert ids(item.result()) == ids(generate(hash_model(VOCAB), prompt, plain))
    with pytest.raises(ParameterError, match="adapter_id must be an adapter of this model"):
        engine.submit(Request([5], GenerationParameters(max_new_tokens=6, adapter_id="other")))
    with pytest.raises(UnsupportedFeatureError, match="the model has no adapters"):
        Engine(hash_model(VOCAB)).submit(Request([5], adapted))


def test_many_short_prompts_join_a_few_at_a_time_beside_others() -> None:
    engine = Engine(hash_model(VOCAB), prefill_chunk=64)
    long = GenerationParameters(max_new_tokens=50)
    first = [engine.submit(Request([token], long)) for token in range(1, 21)]
    engine.step()
    # Nobody waited for them.
    assert engine.running == len(first)
    others = [engine.submit(Request([token, 2], long)) for token in range(1, 21)]
    counts = []
    for _ in range(4):
        engine.step()
        counts.append(engine.running - len(first))
    assert counts == [4, 8, 12, 16]
    engine = Engine(hash_model(VOCAB), prefill_chunk=64)
    engine.submit(Request([1], long))
    engine.step()
    for token in range(10):
        engine.submit(Request([token + 1] * 20, long))
    counts = []
    for _ in range(4):
        engine.step()
        counts.append(engine.running - 1)
    # Longer prompts are limited by their tokens.
    assert counts == [3, 6, 9, 10]
    assert all(item.error is None for item in others)
