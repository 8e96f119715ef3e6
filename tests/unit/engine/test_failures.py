"""A failure ends its own request, or the whole batch if it must; no model state leaks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hashed_models import VOCAB, ByteTokenizer, Counting

from decoding import (
    Engine,
    GenerationParameters,
    History,
    LanguageModel,
    RepetitionPenalty,
    Request,
    chain,
    generate,
)
from decoding.errors import (
    BatchError,
    CancelledError,
    EmptySupportError,
    ForwardError,
    InvalidLogitsError,
    ProcessorError,
    RequestError,
)
from decoding.kernels.program import Instruction, Opcode
from decoding.sampling.batch import BatchSampler, Sample, Sampler
from decoding.testing.models import hash_model
from decoding.vocabulary import Vocabulary


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


def test_a_fork_that_raises_ends_its_request_only_and_leaks_nothing() -> None:
    class Unforkable(Counting):
        def fork(self, state: Any) -> Any:
            raise MemoryError("no room")

    cached = Unforkable()
    wide = GenerationParameters(max_new_tokens=2, top_p=0.9, best_of=2)
    plain = GenerationParameters(max_new_tokens=2)
    with pytest.raises(BatchError) as caught:
        generate(LanguageModel(forward=cached), [[5], [6], [7]], [plain, wide, plain])
    alone = [generate(hash_model(VOCAB), [item], plain) for item in (5, 7)]
    assert [caught.value.results[0], caught.value.results[2]] == alone
    assert isinstance(caught.value.results[1], ForwardError)
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


# What a model may return


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "torch float16"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"temperature": 0.7, "seed": 1, "top_n_tokens": 2},
        {"best_of": 2, "seed": 1},
        {"decoder_input_details": True},
    ],
)
def test_a_model_with_a_cache_may_return_half_precision(kind: str, fields: dict[str, Any]) -> None:
    def rounded(logits: Any) -> Any:
        if kind == "float16":
            return logits.astype(np.float16)
        if kind == "float32":
            return torch.tensor(logits)
        return torch.tensor(logits).to(getattr(torch, kind.rsplit(maxsplit=1)[-1]))

    class Half(Counting):
        def prefill(self, prompts: Any, *, all_positions: bool = False) -> Any:
            states, logits = super().prefill(prompts, all_positions=all_positions)
            return states, rounded(logits)

        def extend(self, *given: Any, **named: Any) -> Any:
            return rounded(super().extend(*given, **named))

    cached = Half()
    inner = hash_model(VOCAB)

    def plain(rows: list[list[int]]) -> Any:
        return rounded(inner(rows))

    asked = GenerationParameters(max_new_tokens=3, **fields)
    prompts = [[5], [6, 7]]
    got = generate(LanguageModel(forward=cached), prompts, asked)
    for one, other in zip(got, generate(plain, prompts, asked), strict=True):
        assert [token.id for token in one.tokens] == [token.id for token in other.tokens]
        logprobs = [token.logprob for token in (*one.tokens, *one.prefill[1:])]
        others = [token.logprob for token in (*other.tokens, *other.prefill[1:])]
        assert logprobs == pytest.approx(others, abs=1e-5)
        assert one.seed == other.seed
    assert not cached.live


def of_widths(*widths: int) -> Any:
    """Rows as wide as the text is long, by a table."""

    def forward(rows: list[list[int]]) -> Any:
        width = widths[min(max(map(len, rows)), len(widths)) - 1]
        return np.zeros((len(rows), width), np.float32)

    return forward


def test_logits_that_change_their_width_end_who_saw_another() -> None:
    engine = Engine(of_widths(10, 10, 12, 12, 12))
    old = engine.submit(Request([1], GenerationParameters(max_new_tokens=9)))
    engine.step()
    engine.step()
    engine.step()
    with pytest.raises(
        ForwardError, match=r"rows of 10, as before or as the model states, got rows of 12"
    ):
        old.result()
    assert not engine.busy
    new = engine.submit(Request([1, 1, 1], GenerationParameters(max_new_tokens=2)))
    while engine.busy:
        engine.step()
    assert new.error is None


def test_logits_of_another_width_than_stated_are_a_forward_error() -> None:
    model = LanguageModel(forward=of_widths(12), logits_width=10)
    with pytest.raises(
        ForwardError, match=r"rows of 10, as before or as the model states, got rows of 12"
    ):
        generate(model, [1], GenerationParameters(max_new_tokens=2))


@pytest.mark.parametrize(
    "returned",
    [
        lambda states, logits: None,
        lambda states, logits: (states,),
        lambda states, logits: (states[:1], logits),
        lambda states, logits: ([*states, []], logits),
        lambda states, logits: (states, logits[:1]),
    ],
)
def test_a_prefill_that_returns_something_else_ends_its_requests_and_leaks_nothing(
    returned: Any,
) -> None:
    class Wrong(Counting):
        def prefill(self, prompts: Any, *, all_positions: bool = False) -> Any:
            states, logits = self.inner.prefill(prompts, all_positions=all_positions)
            result = returned(states, logits)
            if result is not None and len(result) == 2:
                self._note(result[0])
            return result

    cached = Wrong()
    engine = Engine(LanguageModel(forward=cached))
    asked = GenerationParameters(max_new_tokens=2)
    both = [engine.submit(Request([item], asked)) for item in (5, 6)]
    while engine.busy:
        engine.step()
    assert not cached.live
    assert all(item.error is None or isinstance(item.error, ForwardError) for item in both)
    assert not cached.live


def test_the_lists_that_a_model_is_given_are_its_own() -> None:
    class Greedy(Counting):
        def extend(self, states: Any, token_ids: Any, **named: Any) -> Any:
            logits = super().extend(states, token_ids, **named)
            for ids in token_ids:
                ids[:] = [1] * 7
            del states[:]
            return logits

        def prefill(self, prompts: Any, **named: Any) -> Any:
            result = super().prefill(prompts, **named)
            prompts.clear()
            return result

    asked = GenerationParameters(max_new_tokens=5)
    got = generate(LanguageModel(forward=Greedy()), [[5], [6]], asked)
    assert got == generate(hash_model(VOCAB), [[5], [6]], asked)


# What processors may do


@pytest.mark.parametrize("name", ["token_ids", "lengths", "prompt_lengths"])
def test_a_processor_cannot_write_into_the_history(name: str) -> None:
    def writes(logits: Any, history: Any) -> Any:
        getattr(history, name)[...] = 1
        return logits

    asked = GenerationParameters(max_new_tokens=3)
    with pytest.raises(ProcessorError, match="read-only"):
        generate(hash_model(VOCAB), [5, 6], asked, pipeline=chain(writes, RepetitionPenalty(2.0)))


class Own:
    """A processor that a kernel runs, and whose instruction or mask may misbehave."""

    def __init__(self, misbehave: Any) -> None:
        self.misbehave = misbehave

    def __call__(self, logits: Any, history: Any) -> Any:
        return logits


class OwnMask(Own):
    def lower(self) -> Any:
        return (Instruction(Opcode.BITMASK, bitmask=np.full(10, -1, np.int32)),)

    def bitmask(self, history: Any) -> Any:
        self.misbehave(history)
        return np.full(10, -1, np.int32)


class OwnInstruction(Own):
    def lower(self) -> Any:
        return (Instruction(Opcode.TEMPERATURE, 2.0),)

    def instruction(self, history: Any) -> Any:
        self.misbehave(history)
        return Instruction(Opcode.TEMPERATURE, 2.0)


def raises_at_three(history: Any) -> None:
    if history.lengths[0] == 3:
        raise ZeroDivisionError("late")


def writes_at_three(history: Any) -> None:
    if history.lengths[0] == 3:
        history.token_ids[...] = 1


class Watching:
    """A feedback whose methods fail when they are told to."""

    def __init__(self, at: str) -> None:
        self.at = at

    def __call__(self, logits: Any, history: Any) -> Any:
        return logits

    def start(self) -> int:
        if self.at == "start":
            raise ZeroDivisionError("late")
        return 0

    def filter(self, logits: Any, states: Any) -> Any:
        if self.at == "filter" and states[0] == 2:
            raise ZeroDivisionError("late")
        return logits

    def observe(self, state: int, drawn: Any) -> int:
        if self.at == "observe" and state == 2:
            raise ZeroDivisionError("late")
        return state + 1


def ends_alone(request: Request) -> Any:
    """The error of a request, once its neighbour is known to have got its tokens."""
    engine = Engine(hash_model(VOCAB))
    bad = engine.submit(request)
    good = engine.submit(Request([2], GenerationParameters(max_new_tokens=5, seed=1)))
    while engine.busy:
        engine.step()
    alone = generate(hash_model(VOCAB), [2], GenerationParameters(max_new_tokens=5, seed=1))
    assert good.result().tokens == alone.tokens
    return bad.error


@pytest.mark.parametrize("misbehave", [raises_at_three, writes_at_three])
@pytest.mark.parametrize("kind", [OwnMask, OwnInstruction])
@pytest.mark.parametrize("later", [(), (lambda logits, _: logits,)])
def test_what_a_kernel_asks_of_a_processor_fails_alone(
    misbehave: Any, kind: Any, later: tuple[Any, ...]
) -> None:
    asked = GenerationParameters(max_new_tokens=5)
    error = ends_alone(Request([1], asked, chain(kind(misbehave), *later)))
    assert isinstance(error, ProcessorError)
    assert error.step == 2


@pytest.mark.parametrize("at", ["start", "filter", "observe"])
def test_a_feedback_fails_alone(at: str) -> None:
    asked = GenerationParameters(max_new_tokens=5)
    if at == "start":
        with pytest.raises(ZeroDivisionError):
            Watching(at).start()
    error = ends_alone(Request([1], asked, chain(Watching(at))))
    assert isinstance(error, ProcessorError | RequestError)
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_a_feedback_that_cannot_observe_takes_its_rows_place_only() -> None:
    samplers = [Sampler(chain(Watching("observe")), seed=1), Sampler(seed=1)]
    states = [(2,), ()]
    logits = np.zeros((2, 5), np.float32)
    bad, good = BatchSampler(samplers)(logits, History.empty(2), states)
    assert isinstance(bad, ProcessorError)
    assert isinstance(good, Sample)


def test_an_instruction_that_no_kernel_takes_ends_its_request_only() -> None:
    class Absurd(Own):
        def lower(self) -> Any:
            return (Instruction(Opcode.TOP_K, 10**400, 1.0),)

    error = ends_alone(Request([1], GenerationParameters(max_new_tokens=5), chain(Absurd(None))))
    assert isinstance(error, ProcessorError)
    assert isinstance(error.__cause__, OverflowError)


def test_a_vocabulary_that_raises_ends_its_request_only() -> None:
    class Torn(list[bytes]):
        def __getitem__(self, index: Any) -> Any:
            if index == 7:
                raise OSError("the file is gone")
            return super().__getitem__(index)

    class Tokens(ByteTokenizer):
        vocabulary = Vocabulary(Torn([b"x"] * VOCAB))

    model = LanguageModel(forward=hash_model(VOCAB), tokenizer=Tokens())
    engine = Engine(model)
    asked = GenerationParameters(max_new_tokens=3, allowed_token_ids=[7])
    bad = engine.submit(Request([5], asked))
    good = engine.submit(Request([5], GenerationParameters(max_new_tokens=3, suppress_tokens=[7])))
    while engine.busy:
        engine.step()
    assert isinstance(bad.error, RequestError)
    assert isinstance(bad.error.__cause__, OSError)
    assert good.error is None


# Calls from within a step


def test_a_step_within_a_step_is_refused_and_a_cancellation_waits_for_its_end() -> None:
    cached = Counting()
    engine = Engine(LanguageModel(forward=cached))
    asked = GenerationParameters(max_new_tokens=5)
    plain = engine.submit(Request([2], asked))
    problems: list[Exception] = []

    def meddles(logits: Any, history: Any) -> Any:
        if history.lengths[0] == 3:
            try:
                engine.step()
            except RuntimeError as error:
                problems.append(error)
            engine.cancel(plain)
            engine.submit(Request([4], asked))
        return logits

    other = engine.submit(Request([1], asked, chain(meddles)))
    while engine.busy:
        engine.step()
    assert len(problems) == 1
    assert isinstance(plain.error, CancelledError)
    alone = generate(hash_model(VOCAB), [1], asked)
    assert [token.id for token in other.result().tokens] == [token.id for token in alone.tokens]
    assert not cached.live


def test_a_failing_release_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(Counting):
        def release(self, state: Any) -> None:
            super().release(state)
            raise OSError("cannot let go")

    cached = Stuck()
    asked = GenerationParameters(max_new_tokens=2)
    generate(LanguageModel(forward=cached), [[5], [6]], asked)
    assert not cached.live
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "cannot let go" in caplog.text


@pytest.mark.parametrize("method", ["prefill", "extend", "fork", "release"])
def test_a_model_whose_script_has_ended_fails_as_any_other(method: str) -> None:
    class Scripted(Counting):
        """`next` of its script raises `StopIteration`, which iterators take for an end."""

        def over(self, name: str) -> None:
            if name == method:
                next(iter(()))

        def prefill(self, *given: Any, **named: Any) -> Any:
            self.over("prefill")
            return super().prefill(*given, **named)

        def extend(self, *given: Any, **named: Any) -> Any:
            self.over("extend")
            return super().extend(*given, **named)

        def fork(self, state: Any) -> Any:
            self.over("fork")
            return super().fork(state)

        def release(self, state: Any) -> None:
            super().release(state)
            self.over("release")

    cached = Scripted()
    engine = Engine(LanguageModel(forward=cached))
    asked = GenerationParameters(max_new_tokens=2, best_of=3, seed=1)
    single = GenerationParameters(max_new_tokens=2)
    [first, second] = [engine.submit(Request([5], item)) for item in (asked, single)]
    while engine.busy:
        engine.step()
    assert not cached.live
    for item, fails in ((first, method != "release"), (second, method in ("prefill", "extend"))):
        assert isinstance(item.error, ForwardError if fails else type(None))
        assert not fails or "StopIteration" in str(item.error)


@pytest.mark.parametrize("numbered", [True, False])
def test_states_may_be_numbers_that_come_again_or_nothing_at_all(numbered: bool) -> None:
    inner = hash_model(VOCAB)
    texts: dict[int, list[int]] = {}
    given, taken_back = [], []

    class Slots:
        """Its states are numbers of slots, the lowest that is free; or None, with no memory."""

        def prefill(self, prompts: Any, *, all_positions: bool = False) -> Any:
            states = []
            for prompt in prompts:
                slot = next(number for number in range(9) if number not in texts)
                texts[slot] = list(prompt)
                states.append(slot if numbered else None)
            given.extend(states)
            return states, inner([list(prompt) for prompt in prompts])

        def extend(self, states: Any, token_ids: Any, *, all_positions: bool = False) -> Any:
            if not numbered:
                return inner([[7] for _ in states])
            for slot, ids in zip(states, token_ids, strict=True):
                texts[slot] += ids
            return inner([texts[slot] for slot in states])

        def release(self, state: Any) -> None:
            taken_back.append(state)
            if numbered:
                del texts[state]

    engine = Engine(LanguageModel(forward=Slots()), max_batch_size=2)
    waiting = [
        engine.submit(Request([item], GenerationParameters(max_new_tokens=1 + item)))
        for item in (3, 1, 2, 4, 1)
    ]
    while engine.busy:
        engine.step()
    if numbered:
        assert set(given) == {0, 1}
        for generation in waiting:
            alone = generate(inner, generation.plan.prompt, generation.request.parameters)
            assert generation.result().generated_tokens == alone.generated_tokens
            got, expected = generation.result().tokens, alone.tokens
            assert [token.id for token in got] == [token.id for token in expected]
    assert sorted(map(str, taken_back)) == sorted(map(str, given))
