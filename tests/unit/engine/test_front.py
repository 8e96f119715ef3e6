"""The async front: one thread steps, tasks read, and nobody waits for anybody else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hashed_models import MODEL, VOCAB, ByteTokenizer, Counting

from decoding import Engine, GenerationParameters, Grammar, LanguageModel, Request, generate
from decoding.engine import front as front_module
from decoding.engine.front import AsyncEngine
from decoding.engine.plans import Plan
from decoding.engine.request import plan
from decoding.errors import (
    CancelledError,
    ForwardError,
    GrammarError,
    InvalidLogitsError,
    ParameterError,
    RequestError,
    SlowReaderError,
)
from decoding.testing.models import hash_model


def asked(**given: Any) -> GenerationParameters:
    return GenerationParameters(**{"max_new_tokens": 12, "temperature": 1.0, "seed": 1, **given})


def with_front(
    run: Callable[[AsyncEngine], Coroutine[Any, Any, None]], model: Any = MODEL, **options: Any
) -> AsyncEngine:
    async def main() -> AsyncEngine:
        front = AsyncEngine(model if isinstance(model, Engine) else Engine(model), **options)
        try:
            await asyncio.wait_for(run(front), 60)
        finally:
            await front.aclose()
        return front

    return asyncio.run(main())


async def texts(front: AsyncEngine, prompt: str, parameters: GenerationParameters) -> list[str]:
    return [event.text async for event in await front.submit(Request(prompt, parameters))]


@pytest.mark.parametrize("inputs", ["x" * 5000, [7] * 5000, np.full(5000, 7)], ids=type)
def test_a_long_prompt_is_read_beside_the_loop(
    inputs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers: list[threading.Thread] = []

    def noted(request: Request, model: LanguageModel) -> Plan:
        readers.append(threading.current_thread())
        return plan(request, model)

    monkeypatch.setattr(front_module, "plan", noted)

    async def run(front: AsyncEngine) -> None:
        generation = await front.submit(Request(inputs, asked(max_new_tokens=1)))
        assert len((await generation.result()).tokens) == 1
        await front.submit(Request([7], asked(max_new_tokens=1)))

    with_front(run, replace(MODEL, context_length=10_000))
    assert [item is threading.main_thread() for item in readers] == [False, True]


def test_concurrent_streams_equal_each_request_alone() -> None:
    requests = [(f"prompt {n}", asked(seed=n, max_new_tokens=5 + n)) for n in range(20)]

    async def run(front: AsyncEngine) -> None:
        streams = await asyncio.gather(*(texts(front, *request) for request in requests))
        for (prompt, parameters), pieces in zip(requests, streams, strict=True):
            alone = generate(MODEL, prompt, parameters)
            assert "".join(pieces) == alone.generated_text
            assert len(pieces) == alone.generated_tokens

    with_front(run)


def test_a_result_needs_no_reader_of_events() -> None:
    async def run(front: AsyncEngine) -> None:
        handle = await front.submit(Request("hello", asked(best_of=3)), streams=False)
        assert await handle.result() == generate(MODEL, "hello", asked(best_of=3))
        assert handle.done
        assert handle.take_events() == []

    with_front(run)


def test_a_step_wakes_a_loop_once_for_all_its_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    async def run(front: AsyncEngine) -> None:
        nonlocal calls
        loop = asyncio.get_running_loop()
        handles = [await front.submit(Request("a", asked(seed=n)), streams=False) for n in range(8)]
        original = loop.call_soon_threadsafe

        def counted(*given: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            return original(*given, **options)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        await asyncio.gather(*(handle.result() for handle in handles))
        monkeypatch.undo()

    with_front(run)
    assert calls <= 12 + 1  # all join within a step or two


def test_cancelling_frees_the_models_memory() -> None:
    counting = Counting()
    model = LanguageModel(
        forward=counting,
        tokenizer=ByteTokenizer(),
        eos_token_ids=frozenset({0}),
        context_length=10_000,
    )

    async def run(front: AsyncEngine) -> None:
        handles = [
            await front.submit(Request("x", asked(max_new_tokens=9_000, seed=n))) for n in range(9)
        ]
        await handles[0].wait()
        for handle in handles:
            handle.cancel()
        for handle in handles:
            with pytest.raises(CancelledError):
                await handle.result()
        assert front.count == 0
        assert not front.engine.busy

    with_front(run, model)
    assert counting.live == set()


def test_a_slow_reader_ends_with_an_error_and_delays_nobody() -> None:
    async def run(front: AsyncEngine) -> None:
        slow = await front.submit(Request("slow", asked(max_new_tokens=150)))
        fast = await texts(front, "fast", asked(max_new_tokens=30))
        assert "".join(fast) == generate(MODEL, "fast", asked(max_new_tokens=30)).generated_text
        with pytest.raises(SlowReaderError) as caught:
            await slow.result()
        assert caught.value.limit == 40

    model = LanguageModel(forward=hash_model(VOCAB), tokenizer=ByteTokenizer(), context_length=200)
    with_front(run, model, most_unread_events=40)


def test_a_row_that_fails_fails_alone() -> None:
    inner = hash_model(VOCAB)

    def forward(sequences: list[list[int]]) -> Any:
        logits = np.array(inner(sequences))
        for row, sequence in zip(logits, sequences, strict=True):
            if sequence[0] == 7 and len(sequence) > 4:
                row[3] = np.nan
        return logits

    async def run(front: AsyncEngine) -> None:
        bad = await front.submit(Request([7], asked()))
        good = await front.submit(Request([8], asked()), streams=False)
        with pytest.raises(InvalidLogitsError):
            await bad.result()
        assert len(bad.take_events()) == 4
        assert await good.result() == generate(hash_model(VOCAB), [8], asked())

    with_front(run, LanguageModel(forward=forward))


def test_a_model_that_raises_ends_the_requests_and_not_the_engine() -> None:
    counting = Counting(fail_at=3)

    async def run(front: AsyncEngine) -> None:
        first = await front.submit(Request([5], asked()))
        with pytest.raises(ForwardError):
            await first.result()
        second = await front.submit(Request([5], asked()), streams=False)
        assert (await second.result()).generated_tokens == 12

    with_front(run, LanguageModel(forward=counting))
    assert counting.live == set()


def test_bad_requests_fail_as_they_are_submitted() -> None:
    async def run(front: AsyncEngine) -> None:
        with pytest.raises(ParameterError, match="inputs"):
            await front.submit(Request("", asked()))
        with pytest.raises(GrammarError):
            await front.submit(Request("x", asked(grammar=Grammar("regex", "(("))))
        assert front.count == 0

    with_front(run)


def test_a_grammar_that_compiles_delays_no_plain_request(monkeypatch: pytest.MonkeyPatch) -> None:
    from decoding.models import grammars

    may_compile = threading.Event()
    compiled = grammars.compiled

    def slowly(*given: Any) -> Any:
        assert may_compile.wait(60)
        return compiled(*given)

    monkeypatch.setattr(grammars, "compiled", slowly)
    model = LanguageModel(
        forward=hash_model(VOCAB),
        tokenizer=ByteTokenizer(),
        eos_token_ids=frozenset({0}),
        context_length=200,
    )

    async def run(front: AsyncEngine) -> None:
        structured = [
            asyncio.ensure_future(
                texts(front, "x", asked(grammar=Grammar("regex", f"[ab]{{{n}}}")))
            )
            for n in (3, 4)
        ]
        await texts(front, "plain", asked())
        assert not any(task.done() for task in structured)
        may_compile.set()
        assert [len("".join(pieces)) for pieces in await asyncio.gather(*structured)] == [3, 4]
        # What is compiled needs no thread, and is there while others compile.
        may_compile.clear()
        waiting = asyncio.ensure_future(texts(front, "x", asked(grammar=Grammar("regex", "[ab]"))))
        known = await texts(front, "x", asked(grammar=Grammar("regex", "[ab]{3}")))
        assert len("".join(known)) == 3
        assert not waiting.done()
        may_compile.set()
        await waiting

    with_front(run, model)


def test_a_grammar_that_cannot_be_compiled_is_compiled_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from decoding.models import grammars

    counted: list[Grammar] = []
    compiled = grammars.compiled

    def counting(grammar: Grammar, machine: Any) -> Any:
        counted.append(grammar)
        return compiled(grammar, machine)

    monkeypatch.setattr(grammars, "compiled", counting)
    known = LanguageModel(
        forward=hash_model(VOCAB), tokenizer=ByteTokenizer(), eos_token_ids=frozenset({0})
    ).grammars
    assert known is not None
    errors = []
    for _ in range(3):
        with pytest.raises(GrammarError) as caught:
            known.mask_of(Grammar("regex", "(("))
        errors.append(caught.value)
    assert len(counted) == 1
    assert len({id(error) for error in errors}) == 3
    assert len({str(error) for error in errors}) == 1


def test_closing_ends_what_runs_with_a_typed_error_and_takes_no_more() -> None:
    async def main() -> None:
        endless = LanguageModel(forward=hash_model(VOCAB), tokenizer=ByteTokenizer())
        front = AsyncEngine(Engine(endless))
        running = await front.submit(Request("x", asked(max_new_tokens=100_000)))
        await running.wait()
        await front.aclose()
        assert not front.healthy
        with pytest.raises(CancelledError, match="closing"):
            await running.result()
        with pytest.raises(CancelledError, match="closing"):
            await front.submit(Request("x", asked()))
        await front.aclose()

    asyncio.run(main())


def test_closing_can_wait_for_what_runs() -> None:
    async def main() -> None:
        front = AsyncEngine(Engine(MODEL))
        handle = await front.submit(Request("x", asked(max_new_tokens=40)), streams=False)
        await front.aclose(drain_s=60)
        assert await handle.result() == generate(MODEL, "x", asked(max_new_tokens=40))

    asyncio.run(main())


def test_an_engine_that_breaks_leaves_no_reader_waiting() -> None:
    class Broken(Engine):
        def step(self) -> Any:
            raise AssertionError("this is a bug")

    async def run(front: AsyncEngine) -> None:
        handle = await front.submit(Request("x", asked()))
        with pytest.raises(RequestError, match="this is a bug"):
            await handle.result()
        assert not front.healthy
        with pytest.raises(RequestError):
            await front.submit(Request("x", asked()))

    with_front(run, Broken(MODEL))


def test_several_event_loops_share_one_front() -> None:
    front = AsyncEngine(Engine(MODEL))

    async def one() -> str:
        return "".join(await texts(front, "x", asked()))

    found = [asyncio.run(one()) for _ in range(2)]
    assert found == [generate(MODEL, "x", asked()).generated_text] * 2
    asyncio.run(front.aclose())


@pytest.mark.parametrize(
    ("engine", "options"), [(MODEL, {}), (Engine(MODEL), {"most_unread_events": 0})]
)
def test_wrong_arguments_are_refused(engine: Any, options: dict[str, int]) -> None:
    with pytest.raises(ParameterError):
        AsyncEngine(engine, **options)
