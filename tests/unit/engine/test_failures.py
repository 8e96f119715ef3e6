"""A failure ends its own request, or the whole batch if it must; no model state leaks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hashed_models import VOCAB, Counting

from decoding import (
    Engine,
    GenerationParameters,
    LanguageModel,
    Request,
    chain,
    generate,
)
from decoding.engine.mask_waits import MaskWaits
from decoding.errors import (
    BatchError,
    CancelledError,
    EmptySupportError,
    ForwardError,
    InvalidLogitsError,
    ProcessorError,
    RequestError,
)
from decoding.testing.models import hash_model


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


def test_a_step_that_fails_where_nothing_else_catches_it_ends_its_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cached = Counting()
    engine = Engine(LanguageModel(forward=cached))
    asked = GenerationParameters(max_new_tokens=9)
    lost = [engine.submit(Request([index], asked)) for index in (5, 6)]
    engine.step()
    with monkeypatch.context() as patched:
        patched.setattr(MaskWaits, "draw", lambda *_: 1 / 0)
        assert set(engine.step()) == set(lost)
    for generation in lost:
        with pytest.raises(RequestError, match="a step raised ZeroDivisionError"):
            generation.result()
    assert not engine.busy
    assert not cached.live
    later = engine.submit(Request([5], asked))
    while engine.busy:
        engine.step()
    assert later.result() == generate(hash_model(VOCAB), [5], asked)


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
