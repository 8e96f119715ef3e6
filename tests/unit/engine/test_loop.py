"""`Engine`: requests join and leave at any step and do not affect each other."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import numpy as np
import pytest
from hashed_models import MODEL, VOCAB, ByteTokenizer, Counting
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import amount

from decoding import (
    Engine,
    GenerationParameters,
    LanguageModel,
    Request,
    generate,
    generate_async,
    stream,
    stream_async,
)
from decoding.engine.generation import Generation
from decoding.errors import CancelledError, ParameterError
from decoding.testing.models import hash_model

MIXED = [
    GenerationParameters(max_new_tokens=9),
    GenerationParameters(max_new_tokens=12, temperature=0.7, top_k=40, seed=1, top_n_tokens=3),
    GenerationParameters(max_new_tokens=5, do_sample=True, seed=2, repetition_penalty=1.3),
    GenerationParameters(max_new_tokens=14, top_p=0.8, seed=3, frequency_penalty=0.7, best_of=2),
    GenerationParameters(max_new_tokens=7, typical_p=0.5, seed=4, decoder_input_details=True),
    GenerationParameters(max_new_tokens=11, min_p=0.1, seed=5, presence_penalty=1.0, truncate=3),
    GenerationParameters(max_new_tokens=3, temperature=2.0, seed=6, logit_bias={7: 5.0}),
    GenerationParameters(max_new_tokens=10, do_sample=True, seed=7, stop=["the"]),
]
PROMPTS = [f"prompt number {index}" * (1 + index % 3) for index in range(len(MIXED))]


def alone(index: int) -> Any:
    return generate(MODEL, PROMPTS[index], MIXED[index])


@pytest.fixture(scope="module")
def expected() -> list[Any]:
    return [alone(index) for index in range(len(MIXED))]


def test_a_batch_of_eight_gives_what_each_gives_alone(expected: list[Any]) -> None:
    assert generate(MODEL, PROMPTS, MIXED) == expected


def test_the_reverse_order_changes_nothing(expected: list[Any]) -> None:
    assert generate(MODEL, PROMPTS[::-1], MIXED[::-1]) == expected[::-1]


@pytest.mark.parametrize("max_batch_size", [1, 2, 3, 5])
def test_a_smaller_batch_changes_nothing(max_batch_size: int, expected: list[Any]) -> None:
    engine = Engine(MODEL, max_batch_size=max_batch_size)
    submitted = [engine.submit(Request(*pair)) for pair in zip(PROMPTS, MIXED, strict=True)]
    while engine.busy:
        engine.step()
    assert [generation.result() for generation in submitted] == expected


@settings(max_examples=amount(check=12, full=50, nightly=2500))
@given(st.data())
def test_any_schedule_changes_nothing(expected: list[Any], data: st.DataObject) -> None:
    """Requests join at any step, some are cancelled at any step; the rest are as if alone."""
    engine = Engine(MODEL, max_batch_size=data.draw(st.sampled_from([None, 2, 4])))
    order = data.draw(st.permutations(range(len(MIXED))))
    cancelled = data.draw(st.sets(st.sampled_from(range(len(MIXED))), max_size=3))
    running: dict[int, Any] = {}
    for index in order:
        running[index] = engine.submit(Request(PROMPTS[index], MIXED[index]))
        for _ in range(data.draw(st.integers(0, 4))):
            engine.step()
        for victim in cancelled & set(running):
            if data.draw(st.booleans()):
                engine.cancel(running[victim])
    while engine.busy:
        engine.step()
    for index, generation in running.items():
        assert generation.done
        if not isinstance(generation.error, CancelledError):
            assert generation.result() == expected[index]


def test_a_longer_prompt_continues_the_stream_of_draws() -> None:
    whole = generate(MODEL, [5, 6], GenerationParameters(max_new_tokens=8, top_p=0.9, seed=3))
    ids = [token.id for token in whole.tokens]
    if 0 in ids:
        pytest.fail("pick a seed without an early end")
    rest = generate(
        MODEL, [5, 6, *ids[:4]], GenerationParameters(max_new_tokens=4, top_p=0.9, seed=3)
    )
    assert [token.id for token in rest.tokens] == ids[4:]


def test_a_cached_model_computes_each_token_once_and_gets_every_state_back(
    expected: list[Any],
) -> None:
    cached = Counting()
    model = LanguageModel(forward=cached, tokenizer=ByteTokenizer(), eos_token_ids=frozenset({0}))
    responses = generate(model, PROMPTS, MIXED)
    assert responses == expected
    assert not cached.live
    prompts = sum(response.input_length for response in responses)
    drawn = sum(
        response.generated_tokens
        - 1
        + sum(other.generated_tokens - 1 for other in response.best_of_sequences)
        for response in responses
    )
    assert cached.tokens == prompts + drawn


def test_streaming_is_generating() -> None:
    for prompt, parameters in zip(PROMPTS, MIXED, strict=True):
        if parameters.best_of:
            with pytest.raises(ParameterError, match="best_of must be 1 when streaming"):
                stream(MODEL, prompt, parameters)
            continue
        response = generate(MODEL, prompt, parameters)
        events = list(stream(MODEL, prompt, parameters))
        assert [event.token for event in events] == list(response.tokens)
        assert [event.index for event in events] == list(range(1, len(events) + 1))
        assert "".join(event.text for event in events) == response.generated_text
        assert events[-1].generated_text == response.generated_text
        assert [event.details for event in events[:-1]] == [None] * (len(events) - 1)
        assert events[-1].details is not None
        assert events[-1].details.finish_reason == response.finish_reason


def test_closing_a_stream_gives_the_memory_back() -> None:
    cached = Counting()
    events = stream(LanguageModel(forward=cached), [1], GenerationParameters(max_new_tokens=50))
    next(events)
    assert cached.live
    events.close()
    assert not cached.live


def test_the_async_forms_equal_the_others(expected: list[Any]) -> None:
    async def both() -> tuple[Any, list[Any]]:
        response = await generate_async(MODEL, PROMPTS, MIXED)
        return response, [event async for event in stream_async(MODEL, PROMPTS[1], MIXED[1])]

    responses, events = asyncio.run(both())
    assert responses == expected
    assert events == list(stream(MODEL, PROMPTS[1], MIXED[1]))


def test_cancelling_the_task_stops_the_engine_and_leaks_nothing() -> None:
    cached = Counting()

    async def cancel_midway() -> None:
        model = LanguageModel(forward=cached)
        task = asyncio.create_task(
            generate_async(model, [1], GenerationParameters(max_new_tokens=10**6))
        )
        while True:  # a forward pass in a thread sets no event
            await asyncio.sleep(0.001)
            if cached.calls >= 3:
                break
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel_midway())
    assert not cached.live


def test_the_loop_lets_other_tasks_run() -> None:
    async def watch() -> int:
        ticks = 0
        generating = asyncio.create_task(
            generate_async(MODEL, "x", GenerationParameters(max_new_tokens=30))
        )
        while not generating.done():
            ticks += 1
            await asyncio.sleep(0)
        return ticks

    assert asyncio.run(watch()) > 30


def test_what_only_some_peers_have_runs_alone_and_in_a_batch() -> None:
    asked = [
        GenerationParameters(max_new_tokens=9, seed=3, **fields)
        for fields in (
            {"mirostat": 2, "mirostat_tau": 3.0},
            {"xtc_probability": 0.5, "xtc_threshold": 0.01, "temperature": 1.5},
            {"dynatemp_range": 0.5, "top_h": 0.6, "dry_multiplier": 0.8},
            {"mirostat": 1, "no_repeat_ngram_size": 1, "bad_words_ids": [[5], [6, 7]]},
            {"allowed_token_ids": list(range(20)), "suppress_tokens": [3], "top_n_sigma": 1.0},
        )
    ]
    engine = Engine(hash_model(VOCAB))
    waiting = [engine.submit(Request([1, 2], item)) for item in asked]
    while engine.busy:
        engine.step()
    for item, generation in zip(asked, waiting, strict=True):
        together = generation.result().tokens
        assert together == generate(hash_model(VOCAB), [1, 2], item).tokens
    assert {token.id for token in waiting[-1].result().tokens} <= set(range(20)) - {3}
    texts = [token.id for token in waiting[3].result().tokens]
    assert len({1, 2, *texts}) == 2 + len(texts)


def test_of_sequences_that_tie_the_first_is_the_best() -> None:
    def even(rows: list[list[int]]) -> Any:
        return np.zeros((len(rows), 8), np.float32)

    asked = GenerationParameters(max_new_tokens=3, seed=5, best_of=4)
    response = generate(even, [1], asked)
    assert len({item.seed for item in response.best_of_sequences} | {response.seed}) == 4
    assert response.seed == 5, "TGI takes another sequence only if it is strictly likelier"


def test_events_that_are_made_again_are_given_once() -> None:
    engine = Engine(MODEL)
    generation = engine.submit(Request("abc", GenerationParameters(max_new_tokens=6, seed=1)))
    for _ in range(3):
        engine.step()
    taken = generation.take_events()
    assert [event.index for event in taken] == [1, 2, 3]
    generation.rebuild()  # as after an interrupt
    assert generation.take_events() == []
    while not generation.done:
        engine.step()
    assert [event.index for event in generation.take_events()] == [4, 5, 6]


def test_a_cancelled_request_waits_no_longer() -> None:
    engine = Engine(MODEL, max_batch_size=1)
    asked = GenerationParameters(max_new_tokens=3)
    running, waiting, cancelled = (engine.submit(Request([item], asked)) for item in (5, 6, 7))
    engine.step()
    engine.cancel(cancelled)
    assert engine.waiting == 1
    assert not waiting.done
    engine.cancel(running)
    engine.cancel(waiting)
    assert not engine.busy
    assert [item.error.args for item in (running, cancelled, waiting)] == [
        ("the request was cancelled",)
    ] * 3


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_sequences_run_than_the_batch_may_have(most: int) -> None:
    widths: list[int] = []

    class Watched(Counting):
        def extend(self, states: Any, token_ids: Any, **named: Any) -> Any:
            widths.append(len(states))
            return super().extend(states, token_ids, **named)

    engine = Engine(LanguageModel(forward=Watched()), max_batch_size=most)
    asked = GenerationParameters(max_new_tokens=4)
    pair = GenerationParameters(max_new_tokens=4, best_of=2, seed=1)
    for parameters in (asked, pair, asked, asked, pair, asked, asked):
        engine.submit(Request([5], parameters))
    while engine.busy:
        engine.step()
    # A request of two runs alone where one is the limit.
    assert max(widths) == max(most, 2)
    if most == 3:
        assert widths.count(3) >= 3


def test_a_task_that_is_cancelled_twice_still_waits_for_its_step() -> None:
    cached = Counting()
    begun, end = threading.Event(), threading.Event()

    def forward_slowly(*given: Any, **named: Any) -> Any:
        begun.set()
        end.wait(30)
        return Counting.extend(cached, *given, **named)

    cached.extend = forward_slowly

    async def cancel_twice() -> None:
        model = LanguageModel(forward=cached)
        task = asyncio.create_task(
            generate_async(model, [1], GenerationParameters(max_new_tokens=10**6))
        )
        await asyncio.to_thread(begun.wait, 30)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert cached.live, "the state is in use"
        end.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel_twice())
    assert not cached.live


@pytest.mark.parametrize("max_new_tokens", [1, 3])
@pytest.mark.parametrize("best_of", [1, 2])
def test_a_request_that_is_over_is_freed_without_the_collector_of_circular_garbage(
    max_new_tokens: int, best_of: int
) -> None:
    engine = Engine(MODEL)
    gc.collect()
    gc.disable()
    try:
        others = {id(item) for item in gc.get_objects() if issubclass(type(item), Generation)}
        asked = GenerationParameters(
            max_new_tokens=max_new_tokens, do_sample=True, best_of=best_of, seed=1
        )
        running = engine.submit(Request("beside", GenerationParameters(max_new_tokens=9)))
        generation = engine.submit(Request("prompt", asked))
        while not generation.done:
            engine.step()
        assert len(generation.result().tokens) == max_new_tokens
        del generation
        alive = [item for item in gc.get_objects() if issubclass(type(item), Generation)]
    finally:
        gc.enable()
    assert [item for item in alive if id(item) not in others] == [running]
