"""The loop: requests join, leave, fail alone, and never touch each other."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoding import (
    Engine,
    FinishReason,
    GenerationParameters,
    LanguageModel,
    LogitBias,
    Request,
    chain,
    generate,
    generate_async,
    stream,
    stream_async,
)
from decoding.errors import (
    BatchError,
    CancelledError,
    EmptySupportError,
    ForwardError,
    InvalidLogitsError,
    ParameterError,
    ProcessorError,
    UnsupportedFeatureError,
)
from decoding.models import CallableModel
from decoding.rng import sequence_seed
from decoding.testing.models import hash_model
from decoding.vocabulary import Vocabulary

VOCAB = 300


class ByteTokenizer:
    """Token 0 ends the text; token 1 begins it; the rest are bytes, then some longer pieces."""

    vocabulary = Vocabulary(
        [b"</s>", b"<s>", *(bytes([byte]) for byte in range(256)), *[b"the END of"] * 42],
        frozenset({0, 1}),
    )

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return [byte + 2 for byte in text.encode()]


MODEL = LanguageModel(
    forward=hash_model(VOCAB),
    tokenizer=ByteTokenizer(),
    eos_token_ids=frozenset({0}),
    context_length=200,
)

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


EXPECTED = [alone(index) for index in range(len(MIXED))]


def test_a_batch_of_eight_gives_what_each_gives_alone() -> None:
    assert generate(MODEL, PROMPTS, MIXED) == EXPECTED


def test_the_reverse_order_changes_nothing() -> None:
    assert generate(MODEL, PROMPTS[::-1], MIXED[::-1]) == EXPECTED[::-1]


@pytest.mark.parametrize("max_batch_size", [1, 2, 3, 5])
def test_a_smaller_batch_changes_nothing(max_batch_size: int) -> None:
    engine = Engine(MODEL, max_batch_size=max_batch_size)
    submitted = [engine.submit(Request(*pair)) for pair in zip(PROMPTS, MIXED, strict=True)]
    while engine.busy:
        engine.step()
    assert [generation.result() for generation in submitted] == EXPECTED


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_schedule_changes_nothing(data: st.DataObject) -> None:
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
            assert generation.result() == EXPECTED[index]


def test_a_longer_prompt_continues_the_stream_of_draws() -> None:
    whole = generate(MODEL, [5, 6], GenerationParameters(max_new_tokens=8, top_p=0.9, seed=3))
    ids = [token.id for token in whole.tokens]
    if 0 in ids:
        pytest.fail("pick a seed without an early end")
    rest = generate(
        MODEL, [5, 6, *ids[:4]], GenerationParameters(max_new_tokens=4, top_p=0.9, seed=3)
    )
    assert [token.id for token in rest.tokens] == ids[4:]


class Counting:
    """A cached model over `hash_model` that keeps account of its states."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.inner = CallableModel(hash_model(VOCAB))
        self.live: set[int] = set()
        self.states: list[Any] = []
        self.tokens = 0
        self.calls = 0
        self.fail_at = fail_at

    def _note(self, states: Sequence[Any]) -> None:
        self.states += states
        self.live |= {id(state) for state in states}

    def prefill(self, prompts: Any, *, all_positions: bool = False) -> Any:
        self.tokens += sum(map(len, prompts))
        states, logits = self.inner.prefill(prompts, all_positions=all_positions)
        self._note(states)
        return states, logits

    def extend(self, states: Any, token_ids: Any, *, all_positions: bool = False) -> Any:
        self.calls += 1
        if self.calls == self.fail_at:
            raise MemoryError("out of cache")
        self.tokens += sum(map(len, token_ids))
        return self.inner.extend(states, token_ids, all_positions=all_positions)

    def fork(self, state: Any) -> Any:
        copy = self.inner.fork(state)
        self._note([copy])
        return copy

    def rollback(self, state: Any, count: int) -> None:
        self.inner.rollback(state, count)

    def release(self, state: Any) -> None:
        self.live.remove(id(state))


def test_a_cached_model_computes_each_token_once_and_gets_every_state_back() -> None:
    cached = Counting()
    model = LanguageModel(forward=cached, tokenizer=ByteTokenizer(), eos_token_ids=frozenset({0}))
    responses = generate(model, PROMPTS, MIXED)
    assert responses == EXPECTED
    assert not cached.live
    prompts = sum(response.input_length for response in responses)
    drawn = sum(
        response.generated_tokens
        - 1
        + sum(other.generated_tokens - 1 for other in response.best_of_sequences)
        for response in responses
    )
    assert cached.tokens == prompts + drawn


def test_a_forward_pass_that_raises_ends_its_batch_and_leaks_nothing() -> None:
    cached = Counting(fail_at=3)
    engine = Engine(LanguageModel(forward=cached))
    lost = [
        engine.submit(Request([index], GenerationParameters(max_new_tokens=9))) for index in (5, 6)
    ]
    while engine.busy:
        engine.step()
    for generation in lost:
        with pytest.raises(ForwardError, match=r"raised MemoryError: out of cache \(step 3\)"):
            generation.result()
        assert isinstance(generation.error.__cause__, MemoryError)
    assert not cached.live
    later = engine.submit(Request([5], GenerationParameters(max_new_tokens=4)))
    while engine.busy:
        engine.step()
    assert later.result() == generate(
        hash_model(VOCAB), [5], GenerationParameters(max_new_tokens=4)
    )


def test_a_fork_that_raises_leaks_no_sequence_of_the_batch() -> None:
    class Unforkable(Counting):
        def fork(self, state: Any) -> Any:
            raise MemoryError("no room")

    cached = Unforkable()
    wide = GenerationParameters(max_new_tokens=2, top_p=0.9, best_of=2)
    plain = GenerationParameters(max_new_tokens=2)
    with pytest.raises(BatchError) as caught:
        generate(LanguageModel(forward=cached), [[5], [6], [7]], [plain, wide, plain])
    assert all(isinstance(result, ForwardError) for result in caught.value.results)
    assert not cached.live


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        (lambda n: np.zeros((n + 1, 5), np.float32), "raised ShapeError"),
        (lambda n: np.zeros((n, 5), np.int32), "raised ShapeError"),
        (lambda _: None, "raised ShapeError"),
    ],
)
def test_what_is_not_logits_is_a_forward_error(output: Any, problem: str) -> None:
    with pytest.raises(ForwardError, match=problem):
        generate(lambda rows: output(len(rows)), [1], GenerationParameters(max_new_tokens=1))


def poisoned(value: float, prompt: int, step: int) -> Any:
    """`hash_model`, but for one prompt at one step, whose row is spoiled."""
    inner = hash_model(VOCAB)

    def forward(rows: list[list[int]]) -> Any:
        logits = inner(rows)
        for index, row in enumerate(rows):
            if row[0] == prompt and len(row) == step + 1:
                logits[index] = value
        return logits

    return forward


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (math.nan, InvalidLogitsError),
        (math.inf, InvalidLogitsError),
        (-math.inf, EmptySupportError),
    ],
)
@pytest.mark.parametrize("step", [0, 2])
def test_a_bad_row_ends_its_request_only(value: float, kind: type, step: int) -> None:
    parameters = GenerationParameters(max_new_tokens=5, top_p=0.9, seed=1, top_n_tokens=2)
    with pytest.raises(BatchError, match=r"1 of 3 requests failed \(indices \[1\]\)") as caught:
        generate(poisoned(value, 7, step), [[5], [7], [9]], parameters)
    good, bad, also_good = caught.value.results
    assert good == generate(hash_model(VOCAB), [5], parameters)
    assert also_good == generate(hash_model(VOCAB), [9], parameters)
    assert isinstance(bad, kind)
    assert bad.step == step


def test_a_raising_processor_ends_its_request_only() -> None:
    def raises_late(logits: Any, history: Any) -> Any:
        if history.lengths[0] == 3:
            raise ZeroDivisionError("late")
        return logits

    engine = Engine(hash_model(VOCAB))
    parameters = GenerationParameters(max_new_tokens=5, top_p=0.9, seed=1)
    bad = engine.submit(Request([1], parameters, chain(raises_late)))
    good = engine.submit(Request([2], parameters))
    while engine.busy:
        engine.step()
    with pytest.raises(ProcessorError, match=r"raises_late.*ZeroDivisionError: late .*step 2"):
        bad.result()
    assert len(bad.take_events()) == 2, "what came before the failure is not lost"
    assert good.result() == generate(hash_model(VOCAB), [2], parameters)


def test_a_failing_prompt_logprob_ends_its_request_only() -> None:
    parameters = GenerationParameters(max_new_tokens=2, decoder_input_details=True)
    with pytest.raises(BatchError) as caught:
        generate(poisoned(math.nan, 7, 1), [[5, 5, 5], [7, 7, 7]], parameters)
    assert isinstance(caught.value.results[1], InvalidLogitsError)
    assert caught.value.results[0] == generate(hash_model(VOCAB), [5, 5, 5], parameters)


def test_best_of_ranks_by_mean_logprob_and_every_sequence_can_be_had_again() -> None:
    parameters = GenerationParameters(max_new_tokens=6, temperature=1.5, seed=11, best_of=4)
    response = generate(MODEL, "best", parameters)
    sequences = [response.details, *response.best_of_sequences]
    assert len(sequences) == 4
    means = [np.mean([token.logprob for token in item.tokens]) for item in sequences]
    assert means[0] == max(means)
    assert {item.seed for item in sequences} == {sequence_seed(11, index) for index in range(4)}
    for item in sequences:
        again = generate(
            MODEL, "best", GenerationParameters(max_new_tokens=6, temperature=1.5, seed=item.seed)
        )
        assert again.tokens == item.tokens


def test_prompt_logprobs_are_raw_and_need_no_cache() -> None:
    parameters = GenerationParameters(
        max_new_tokens=1, decoder_input_details=True, temperature=0.3, seed=1
    )
    response = generate(MODEL, [10, 20, 30], parameters)
    assert [item.id for item in response.prefill] == [10, 20, 30]
    assert response.prefill[0].logprob is None
    logits = hash_model(VOCAB)([[10], [10, 20]]).astype(np.float64)
    logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert response.prefill[1].logprob == pytest.approx(logprobs[0, 20], abs=1e-12)
    assert response.prefill[2].logprob == pytest.approx(logprobs[1, 30], abs=1e-12)


def scripted(*token_ids: int) -> LanguageModel:
    """A model that says the given tokens, whatever it is asked, after a prompt of one token."""

    def forward(rows: list[list[int]]) -> Any:
        logits = np.zeros((len(rows), VOCAB), np.float32)
        for index, row in enumerate(rows):
            logits[index, token_ids[min(len(row) - 1, len(token_ids) - 1)]] = 50.0
        return logits

    return LanguageModel(forward=forward, tokenizer=ByteTokenizer(), eos_token_ids=frozenset({0}))


def spell(text: str) -> list[int]:
    return ByteTokenizer().encode(text)


PIECE = 258  # "the END of"


@pytest.mark.parametrize(
    ("said", "limit", "stop", "keep", "text", "reason"),
    [
        ([*spell("hi"), 0], 9, [], True, "hi", FinishReason.EOS_TOKEN),
        ([*spell("hi"), 0], 3, [], True, "hi", FinishReason.LENGTH),
        (spell("hello"), 3, [], True, "hel", FinishReason.LENGTH),
        ([PIECE], 5, ["END"], True, "the END", FinishReason.STOP_SEQUENCE),
        ([PIECE], 5, ["END"], False, "the ", FinishReason.STOP_SEQUENCE),
        (spell("a STOP b"), 9, ["STOP", "T"], True, "a ST", FinishReason.STOP_SEQUENCE),
        (spell("a STOP"), 6, ["STOP"], True, "a STOP", FinishReason.LENGTH),
        (spell("a STO"), 5, ["STOP"], False, "a STO", FinishReason.LENGTH),
        ([*spell("x"), 1, *spell("y"), 0], 9, ["<s>"], True, "x", FinishReason.STOP_SEQUENCE),
        (spell("aé")[:2], 2, [], True, "a�", FinishReason.LENGTH),
        ([*spell("an E"), 1, *spell(" x")], 7, ["END"], False, "an E x", FinishReason.LENGTH),
    ],
)
def test_endings(  # noqa: PLR0917
    said: list[int], limit: int, stop: list[str], keep: bool, text: str, reason: FinishReason
) -> None:
    engine = Engine(scripted(*said))
    parameters = GenerationParameters(max_new_tokens=limit, stop=stop)
    generation = engine.submit(Request([5], parameters, keep_stop=keep))
    pieces = []
    while engine.busy:
        engine.step()
        pieces += [event.text for event in generation.take_events()]
    response = generation.result()
    assert response.generated_text == text
    assert "".join(pieces) == text
    assert response.finish_reason == reason


def test_the_end_token_is_shown_but_is_not_text() -> None:
    response = generate(scripted(*spell("é")[:1], 0), [5], GenerationParameters(max_new_tokens=5))
    assert response.generated_text == "�"
    assert [(token.text, token.special) for token in response.tokens] == [
        ("", False),
        ("�</s>", True),
    ]


def test_return_full_text() -> None:
    parameters = GenerationParameters(max_new_tokens=2, return_full_text=True, truncate=1)
    assert generate(scripted(*spell("hi")), "say ", parameters).generated_text == "say hi"
    assert generate(scripted(*spell("hi")), spell("é "), parameters).generated_text == "é hi"


def test_truncate_keeps_the_last_tokens() -> None:
    short = GenerationParameters(max_new_tokens=3, truncate=2)
    whole = GenerationParameters(max_new_tokens=3)
    response = generate(MODEL, [9, 8, 7, 6], short)
    assert response == generate(MODEL, [7, 6], whole)
    assert response.input_length == 2


def test_a_random_seed_is_reported_and_gives_the_same_again() -> None:
    first = generate(MODEL, "x", GenerationParameters(max_new_tokens=6, do_sample=True))
    assert first.seed is not None
    again = GenerationParameters(max_new_tokens=6, do_sample=True, seed=first.seed)
    assert generate(MODEL, "x", again) == first
    assert generate(MODEL, "x", GenerationParameters(max_new_tokens=2)).seed is None


def test_max_new_tokens_defaults_to_the_room_that_is_left() -> None:
    endless = LanguageModel(forward=scripted(5).forward, context_length=10)
    assert generate(endless, [1, 2, 3]).generated_tokens == 7


@pytest.mark.parametrize(
    ("model", "inputs", "parameters", "message"),
    [
        (MODEL, "", {}, "inputs must be not empty"),
        (MODEL, [], {}, "inputs must be at least one token"),
        (MODEL, [1, -2], {}, "inputs must be a string or token ids >= 0"),
        (MODEL, [1] * 200, {}, "inputs must be fewer than 200 tokens"),
        (MODEL, [1] * 190, {"max_new_tokens": 11}, "max_new_tokens must be at most 10"),
        (hash_model(9), "text", {}, "inputs must be token ids for a model without a tokenizer"),
        (hash_model(9), [1], {}, "max_new_tokens must be given"),
        (hash_model(9), [1], {"max_new_tokens": 1, "stop": ["x"]}, "stop must be empty"),
    ],
)
def test_requests_a_model_cannot_serve(
    model: Any, inputs: Any, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        generate(model, inputs, GenerationParameters(**parameters))


def test_machinery_that_is_not_there_says_so() -> None:
    with pytest.raises(UnsupportedFeatureError, match="adapter_id cannot be used"):
        generate(MODEL, "x", GenerationParameters(adapter_id="x"))


def test_a_pipeline_of_ones_own_replaces_the_default() -> None:
    only_five = chain(LogitBias({5: 1000.0}))
    parameters = GenerationParameters(max_new_tokens=3, top_p=0.5, seed=1)
    response = generate(MODEL, "x", parameters, pipeline=only_five)
    assert [token.id for token in response.tokens] == [5, 5, 5]


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


def test_the_async_forms_equal_the_others() -> None:
    async def both() -> tuple[Any, list[Any]]:
        response = await generate_async(MODEL, PROMPTS, MIXED)
        return response, [event async for event in stream_async(MODEL, PROMPTS[1], MIXED[1])]

    responses, events = asyncio.run(both())
    assert responses == EXPECTED
    assert events == list(stream(MODEL, PROMPTS[1], MIXED[1]))


def test_cancelling_the_task_stops_the_engine_and_leaks_nothing() -> None:
    cached = Counting()

    async def cancel_midway() -> None:
        model = LanguageModel(forward=cached)
        task = asyncio.create_task(
            generate_async(model, [1], GenerationParameters(max_new_tokens=10**6))
        )
        while cached.calls < 3:  # noqa: ASYNC110 -- a forward pass in a thread sets no event
            await asyncio.sleep(0.001)
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


def test_the_end_is_held_back_for_min_tokens() -> None:
    model = LanguageModel(
        forward=lambda rows: np.tile([9.0, 1.0, 0.0], (len(rows), 1)), eos_token_ids=frozenset({0})
    )
    asked = GenerationParameters(max_new_tokens=9, min_tokens=3)
    tokens = [token.id for token in generate(model, [2], asked).tokens]
    assert tokens == [1, 1, 1, 0]


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


def test_allowed_tokens_must_be_the_models() -> None:
    model = LanguageModel(forward=hash_model(VOCAB), logits_width=VOCAB)
    asked = GenerationParameters(max_new_tokens=1, allowed_token_ids=[VOCAB])
    with pytest.raises(ParameterError, match="allowed_token_ids must be below 300"):
        Engine(model).submit(Request([1], asked))
