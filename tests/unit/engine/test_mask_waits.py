"""Masks that are computed beside the steps: who waits for one delays nobody, and loses nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from hashed_models import MODEL, Counting

from decoding import (
    Engine,
    Generation,
    GenerationParameters,
    Grammar,
    LanguageModel,
    Request,
    generate,
)
from decoding.engine.front import AsyncEngine
from decoding.errors import CancelledError, RequestError
from decoding.processors.grammar_mask import GrammarMask

REGEX = Grammar("regex", "[a-f]{6,9}")
PLAIN = GenerationParameters(max_new_tokens=12, do_sample=True, seed=5)


def asked(**given: Any) -> GenerationParameters:
    return GenerationParameters(
        **{"max_new_tokens": 20, "do_sample": True, "seed": 3, "grammar": REGEX, **given}
    )


class Later:
    """Runs work when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[None], Callable[[], None]]] = []

    def __call__(self, work: Callable[[], None]) -> Future[None]:
        future: Future[None] = Future()
        self.waiting.append((future, work))
        return future

    def run(self) -> None:
        waiting, self.waiting = self.waiting, []
        for future, work in waiting:
            work()
            future.set_result(None)


def engine_that_waits(model: Any = MODEL) -> tuple[Engine, Later]:
    engine, later = Engine(model), Later()
    engine.compute_masks(later)
    return engine, later


def step_on(engine: Engine) -> None:
    while engine.busy:
        engine.step()


def counts_of(generation: Generation) -> list[int]:
    """How many tokens each sequence of a request has written."""
    details = generation.result().details
    return [item.generated_tokens for item in (details, *details.best_of_sequences)]


def test_a_sequence_whose_mask_is_late_delays_no_other_and_draws_the_same() -> None:
    engine, later = engine_that_waits()
    structured = engine.submit(Request("x", asked()))
    plain = engine.submit(Request("y", PLAIN))
    while not plain.done:
        engine.step()
    assert not structured.done
    assert len(structured.sequences[0].samples) == 1
    assert (engine.running, engine.drawing) == (1, 0)
    while not structured.done:
        engine.step()
        later.run()
    assert structured.result() == generate(MODEL, "x", asked())
    assert plain.result() == generate(MODEL, "y", PLAIN)
    assert not engine.busy


def test_a_mask_that_comes_while_the_model_computes_is_in_time() -> None:
    later = Later()

    def forward(sequences: list[list[int]]) -> Any:
        later.run()
        return MODEL.forward(sequences)

    engine = Engine(with_forward(forward))
    engine.compute_masks(later)
    structured = engine.submit(Request("x", asked()))
    plain = engine.submit(Request("y", PLAIN))
    steps = 0
    while engine.busy:
        engine.step()
        steps += 1
    assert steps == max(counts_of(structured) + counts_of(plain))
    assert structured.result().generated_text == generate(MODEL, "x", asked()).generated_text


def test_a_sequence_that_has_waited_is_not_computed_again() -> None:
    calls: list[int] = []

    class Counted(Counting):
        def extend(self, states: Any, token_ids: Any, *, all_positions: bool = False) -> Any:
            calls.append(sum(map(len, token_ids)))
            return super().extend(states, token_ids, all_positions=all_positions)

        def rollback(self, state: Any, count: int) -> None:
            raise AssertionError("rolled back")

    forward = Counted()
    engine, later = engine_that_waits(with_forward(forward))
    structured = engine.submit(Request("x", asked(best_of=2)))
    plain = engine.submit(Request("y", PLAIN))
    while engine.busy:
        for _ in range(3):
            engine.step()
        later.run()
    drawn = counts_of(structured) + counts_of(plain)
    assert sum(calls) == sum(drawn) - len(drawn)  # the first tokens are of the prefill
    assert structured.result() == generate(MODEL, "x", asked(best_of=2))
    assert not forward.live


def test_sequences_that_wait_do_not_hold_the_logits_of_others() -> None:
    engine, later = engine_that_waits()
    engine.submit(Request("x", asked()))
    engine.submit(Request("y", PLAIN))
    engine.step()
    engine.step()
    [waiting] = engine._mask_waits._waiting.values()
    assert waiting is not None
    assert waiting.logits.shape[0] == 1
    assert waiting.logits.base is None or waiting.logits.base.size == waiting.logits.size
    later.run()


def test_a_step_waits_where_all_sequences_do_though_a_request_is_in_the_queue() -> None:
    engine = Engine(MODEL, max_batch_size=1)
    asked_for: list[Future[None]] = []

    def beside(work: Callable[[], None]) -> Future[None]:
        future: Future[None] = Future()
        asked_for.append(future)

        def finish() -> None:
            work()
            future.set_result(None)

        threading.Timer(0.2, finish).start()
        return future

    engine.compute_masks(beside)
    engine.submit(Request("x", asked()))
    engine.submit(Request("y", PLAIN))
    engine.step()
    steps = 0
    while not asked_for[0].done():
        engine.step()
        steps += 1
    assert 1 <= steps < 150  # each waits for 5 ms; one that does not takes 20 microseconds
    while engine.busy:
        engine.step()


def test_threads_rest_for_sequences_without_a_grammar_only() -> None:
    engine, later = engine_that_waits()
    engine.submit(Request("x", asked()))
    engine.step()
    assert (engine.running, engine.drawing_freely) == (1, 0)
    engine.submit(Request("y", PLAIN))
    engine.step()
    assert (engine.running, engine.drawing_freely) == (2, 1)
    while engine.busy:
        engine.step()
        later.run()
    assert (engine.running, engine.drawing_freely) == (0, 0)


def test_sequences_of_one_request_rest_each_for_itself() -> None:
    engine, later = engine_that_waits()
    generation = engine.submit(Request("x", asked(best_of=3)))
    while not generation.done:
        engine.step()
        later.run()
    assert generation.result() == generate(MODEL, "x", asked(best_of=3))


def test_one_that_rests_ends_with_its_request() -> None:
    model = with_forward(Counting())
    engine, later = engine_that_waits(model)
    generation = engine.submit(Request("x", asked(best_of=2)))
    engine.step()
    engine.step()
    assert (engine.running, engine.drawing) == (2, 0)
    generation.fail(RequestError("it has failed", 1))
    later.run()
    assert engine.step() == [generation]
    assert not engine.busy
    assert not model.forward.live
    assert not engine._mask_waits._masks


def with_forward(forward: Any) -> LanguageModel:
    return LanguageModel(
        forward=forward, tokenizer=MODEL.tokenizer, eos_token_ids=MODEL.eos_token_ids
    )


@pytest.mark.parametrize("rests", [False, True])
def test_one_that_rests_can_be_cancelled(rests: bool) -> None:
    forward = Counting()
    engine, _ = engine_that_waits(with_forward(forward))
    generation = engine.submit(Request("x", asked()))
    for _ in range(1 + rests):
        engine.step()
    assert engine.drawing == (not rests)
    engine.cancel(generation)
    with pytest.raises(CancelledError):
        generation.result()
    assert not engine.busy
    assert not forward.live


def test_an_interrupt_loses_none_that_rests() -> None:
    interrupts = iter([False] * 5 + [True])

    def forward(sequences: list[list[int]]) -> Any:
        if next(interrupts, False):
            raise KeyboardInterrupt
        return MODEL.forward(sequences)

    model = with_forward(forward)
    engine, later = engine_that_waits(model)
    structured = engine.submit(Request("x", asked()))
    plain = engine.submit(Request("y", PLAIN))
    with pytest.raises(KeyboardInterrupt):
        step_on(engine)
    assert not structured.done
    while engine.busy:
        engine.step()
        later.run()
    assert structured.result().generated_text == generate(MODEL, "x", asked()).generated_text
    assert plain.result().generated_text == generate(MODEL, "y", PLAIN).generated_text


def test_a_prepared_mask_is_the_mask() -> None:
    assert MODEL.grammars is not None
    mask = GrammarMask(MODEL.grammars.mask_of(REGEX).grammar)
    before = np.array([2 + ord("a")], np.int32)
    matcher = mask.matcher(before)
    assert matcher is not None
    mask.prepare(before)
    prepared = mask._places.prepared(before)
    assert prepared is not None
    np.testing.assert_array_equal(prepared, matcher.mask().view(np.int32))
    for number in range(300):
        mask.prepare(np.array([number], np.int32))
    assert len(mask._places._prepared) <= 256


class Slow:
    """A compiled grammar whose masks behind the first wait for an event."""

    def __init__(self, inner: Any, event: threading.Event) -> None:
        self.inner, self.event = inner, event

    def matcher(self) -> Any:
        return SlowMatcher(self.inner.matcher(), self.event, 0)


class SlowMatcher:
    def __init__(self, inner: Any, event: threading.Event, taken: int) -> None:
        self.inner, self.event, self.taken = inner, event, taken

    def mask(self) -> Any:
        if self.taken:
            assert self.event.wait(60)
        return self.inner.mask()

    def advance(self, token_id: int) -> bool:
        self.taken += 1
        return bool(self.inner.advance(token_id))

    def fork(self) -> SlowMatcher:
        return SlowMatcher(self.inner.fork(), self.event, self.taken)


def test_a_slow_grammar_delays_no_stream_of_the_front() -> None:
    assert MODEL.grammars is not None
    event = threading.Event()
    grammar: Any = Slow(MODEL.grammars.mask_of(REGEX).grammar, event)

    async def run() -> tuple[Any, Any]:
        async with AsyncEngine(Engine(MODEL)) as front:
            request = Request("x", asked(grammar=None), grammar=grammar)
            structured = await front.submit(request)
            await structured.wait()
            plain = await (await front.submit(Request("y", PLAIN))).result()
            assert not structured.done
            event.set()
            return await structured.result(), plain

    try:
        structured, plain = asyncio.run(asyncio.wait_for(run(), 30))
    finally:
        event.set()
    assert structured.generated_text == generate(MODEL, "x", asked()).generated_text
    assert plain.generated_text == generate(MODEL, "y", PLAIN).generated_text
