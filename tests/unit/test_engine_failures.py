"""What fails ends its own request, or its batch where nothing else is possible; nothing leaks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hashed_models import VOCAB, Counting

from decoding import Engine, GenerationParameters, LanguageModel, Request, chain, generate
from decoding.errors import (
    BatchError,
    EmptySupportError,
    ForwardError,
    InvalidLogitsError,
    ProcessorError,
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
