"""Long prompts go through the model in parts, beside the sequences that run."""

from __future__ import annotations

from typing import Any

import pytest
from hashed_models import VOCAB, Counting

from decoding import Engine, GenerationParameters, LanguageModel, Request, generate
from decoding.engine.generation import Generation
from decoding.errors import CancelledError, ForwardError, InvalidLogitsError, ParameterError
from decoding.testing.models import hash_model


class Watched(Counting):
    """Tells how many tokens each call took, by method."""

    def __init__(self, fail_at: int | None = None) -> None:
        super().__init__(fail_at)
        self.taken: list[tuple[str, list[int]]] = []

    def prefill(self, prompts: Any, *, all_positions: bool = False) -> Any:
        self.taken.append(("prefill", [len(item) for item in prompts]))
        return super().prefill(prompts, all_positions=all_positions)

    def extend(self, states: Any, token_ids: Any, *, all_positions: bool = False) -> Any:
        self.taken.append(("extend", [len(item) for item in token_ids]))
        return super().extend(states, token_ids, all_positions=all_positions)


def long_prompt(count: int) -> list[int]:
    return [2 + (7 * index) % 250 for index in range(count)]


def alone(prompt: list[int], **parameters: Any) -> Any:
    return generate(hash_model(VOCAB), prompt, GenerationParameters(**parameters))


def ids(response: Any) -> list[int]:
    return [token.id for token in response.tokens]


OF_THE_LONG: dict[str, Any] = {"max_new_tokens": 3, "seed": 2, "best_of": 2}


def with_two_that_join(
    cached: Watched, tokens: int
) -> tuple[Engine, Generation, Generation, Generation]:
    """An engine with a request that runs, for so many tokens, and a long and a short one to join."""
    engine = Engine(LanguageModel(forward=cached), prefill_chunk=8)
    running = engine.submit(Request([5], GenerationParameters(max_new_tokens=tokens, seed=1)))
    engine.step()
    joining = engine.submit(Request(long_prompt(20), GenerationParameters(**OF_THE_LONG)))
    short = engine.submit(Request([9, 8], GenerationParameters(max_new_tokens=2)))
    cached.taken.clear()
    return engine, running, joining, short


def test_a_long_prompt_delays_a_running_sequence_by_a_chunk_a_step() -> None:
    cached = Watched()
    engine, running, joining, short = with_two_that_join(cached, 20)
    for written in (2, 3, 4):
        assert running.take_events()
        engine.step()
        assert len(running.sequences[0].samples) == written
    assert cached.taken == [
        ("prefill", [8]),
        ("extend", [1]),
        ("extend", [1, 8]),
        ("prefill", [2]),
        ("extend", [1, 4]),
    ]
    assert joining.timing.started is not None
    while engine.busy:
        engine.step()
    assert not cached.live
    assert ids(joining.result()) == ids(alone(long_prompt(20), **OF_THE_LONG))
    assert ids(short.result()) == ids(alone([9, 8], max_new_tokens=2))
    assert ids(running.result()) == ids(alone([5], max_new_tokens=20, seed=1))


class Starting(Watched):
    """Has states of no tokens; a call with token 13 fails."""

    def start(self) -> Any:
        state = self.inner.start()
        self._note([state])
        return state

    def prefill(self, prompts: Any, *, all_positions: bool = False) -> Any:
        self.refuse(prompts)
        return super().prefill(prompts, all_positions=all_positions)

    def extend(self, states: Any, token_ids: Any, *, all_positions: bool = False) -> Any:
        logits = super().extend(states, token_ids, all_positions=all_positions)
        self.refuse(token_ids)
        return logits

    def refuse(self, token_ids: Any) -> None:
        if any(13 in item for item in token_ids):
            raise IndexError("13 brings bad luck")


def test_a_prompt_goes_through_in_one_call_with_running_sequences() -> None:
    cached = Starting()
    engine, running, joining, short = with_two_that_join(cached, 6)
    for _ in range(4):
        engine.step()
    calls = [[1, 8], [1, 8], [1, 2, 4], [1, 1, 1, 1]]
    assert cached.taken == [("extend", lengths) for lengths in calls]
    while engine.busy:
        engine.step()
    assert not cached.live
    assert ids(joining.result()) == ids(alone(long_prompt(20), **OF_THE_LONG))
    assert ids(short.result()) == ids(alone([9, 8], max_new_tokens=2))
    assert ids(running.result()) == ids(alone([5], max_new_tokens=6, seed=1))


def test_a_prompt_that_fails_a_common_call_ends_alone() -> None:
    cached = Starting()
    engine = Engine(LanguageModel(forward=cached))
    asked = GenerationParameters(max_new_tokens=9, seed=1)
    running = [engine.submit(Request([item], asked)) for item in (5, 6)]
    engine.step()
    culprit = engine.submit(Request([12, 13], asked))
    beside = engine.submit(Request([9, 8], asked))
    while engine.busy:
        engine.step()
    assert isinstance(culprit.error, ForwardError)
    for generation in (*running, beside):
        assert ids(generation.result()) == ids(
            alone(list(generation.plan.prompt), max_new_tokens=9, seed=1)
        )
    assert not cached.live


def test_only_the_prompts_of_a_common_call_that_failed_go_apart() -> None:
    cached = Starting()
    engine = Engine(LanguageModel(forward=cached), prefill_chunk=8)
    asked = GenerationParameters(max_new_tokens=30, seed=1)
    running = [engine.submit(Request([item], asked)) for item in (5, 6)]
    engine.step()
    engine.submit(Request([12, 13], asked))
    beside = engine.submit(Request(long_prompt(20), asked))
    engine.step()
    cached.taken.clear()
    engine.step()
    anew = [("prefill", [1]), ("prefill", [1])]
    assert cached.taken == [*anew, ("prefill", [6]), ("extend", [1, 1])]
    later = engine.submit(Request([7], asked))
    cached.taken.clear()
    while not later.sequences:
        engine.step()
    # The chunks of the prompt that was in the call that failed go apart; the new prompt does not.
    parts = [[8], [1, 1], [6], [1, 1, 1]]
    assert cached.taken == [("extend", lengths) for lengths in parts]
    while engine.busy:
        engine.step()
    for generation in (*running, beside, later):
        assert ids(generation.result()) == ids(
            alone(list(generation.plan.prompt), max_new_tokens=30, seed=1)
        )
    assert not cached.live


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 19, 20, 21, None])
def test_the_logprobs_of_a_prompt_do_not_depend_on_chunks(chunk: int | None) -> None:
    cached = Watched()
    engine = Engine(LanguageModel(forward=cached), prefill_chunk=chunk)
    asked: dict[str, Any] = {"max_new_tokens": 2, "decoder_input_details": True}
    generation = engine.submit(Request(long_prompt(20), GenerationParameters(**asked)))
    while engine.busy:
        engine.step()
    expected = alone(long_prompt(20), **asked)
    assert generation.result().details.prefill == expected.details.prefill
    assert ids(generation.result()) == ids(expected)


def test_a_plain_callable_sees_whole_prompts_a_long_one_alone() -> None:
    inner = hash_model(VOCAB)
    calls: list[list[int]] = []

    def forward(rows: list[list[int]]) -> Any:
        calls.append([len(row) for row in rows])
        return inner(rows)

    engine = Engine(forward, prefill_chunk=8)
    for length in (3, 4, 20, 2):
        engine.submit(Request(long_prompt(length), GenerationParameters(max_new_tokens=1)))
    while engine.busy:
        engine.step()
    assert calls == [[3, 4], [20], [2]]


def test_a_request_can_be_cancelled_between_chunks() -> None:
    cached = Watched()
    engine = Engine(LanguageModel(forward=cached), prefill_chunk=4)
    generation = engine.submit(Request(long_prompt(20), GenerationParameters(max_new_tokens=3)))
    engine.step()
    assert len(cached.live) == 1
    assert engine.busy
    engine.cancel(generation)
    assert not cached.live
    assert not engine.busy
    assert isinstance(generation.error, CancelledError)


@pytest.mark.parametrize("fail_at", [1, 2, 4])
def test_a_chunk_that_fails_ends_its_request_only(fail_at: int) -> None:
    cached = Watched(fail_at)
    engine = Engine(LanguageModel(forward=cached), prefill_chunk=4)
    failing = engine.submit(Request(long_prompt(20), GenerationParameters(max_new_tokens=3)))
    later = engine.submit(Request([6], GenerationParameters(max_new_tokens=3)))
    while engine.busy:
        engine.step()
    assert isinstance(failing.error, ForwardError)
    assert ids(later.result()) == ids(alone([6], max_new_tokens=3))
    assert not cached.live


def test_a_row_of_a_later_chunk_that_is_no_logits_is_named_by_its_place() -> None:
    class Broken(Watched):
        def extend(self, states: Any, token_ids: Any, *, all_positions: bool = False) -> Any:
            logits = super().extend(states, token_ids, all_positions=all_positions).copy()
            logits[1, 7] = float("nan")
            return logits

    cached = Broken()
    engine = Engine(LanguageModel(forward=cached), prefill_chunk=4)
    asked = GenerationParameters(max_new_tokens=3, decoder_input_details=True)
    generation = engine.submit(Request(long_prompt(20), asked))
    while engine.busy:
        engine.step()
    assert isinstance(generation.error, InvalidLogitsError)
    assert (generation.error.row, generation.error.position) == (5, 7)
    assert not cached.live


@pytest.mark.parametrize("name", ["prefill_chunk", "max_waiting", "max_batch_size"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "8"])
def test_limits_are_checked(name: str, value: Any) -> None:
    with pytest.raises(ParameterError, match=f"{name} must be"):
        Engine(hash_model(VOCAB), **{name: value})
