"""Processors that write, raise or ask for what cannot be done end their own request only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hashed_models import VOCAB, ByteTokenizer

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
    ProcessorError,
    RequestError,
)
from decoding.kernels.program import Instruction, Opcode
from decoding.sampling.batch import BatchSampler, Sample, Sampler
from decoding.testing.models import hash_model
from decoding.vocabulary import Vocabulary

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


class Torn(list[bytes]):
    """Bytes of tokens, of which those of one cannot be had."""

    def __getitem__(self, index: Any) -> Any:
        if index == 7:
            raise OSError("the file is gone")
        return super().__getitem__(index)


class TornTokenizer(ByteTokenizer):
    vocabulary = Vocabulary(Torn([b"x"] * VOCAB))


TORN = LanguageModel(forward=hash_model(VOCAB), tokenizer=TornTokenizer())


@pytest.mark.parametrize("stop", [[], ["no such text"]])
def test_a_vocabulary_that_raises_ends_its_request_only(stop: list[str]) -> None:
    engine = Engine(TORN)
    asked = GenerationParameters(max_new_tokens=3, allowed_token_ids=[7], stop=stop)
    bad = engine.submit(Request([5], asked))
    good = engine.submit(Request([5], GenerationParameters(max_new_tokens=3, suppress_tokens=[7])))
    while engine.busy:
        engine.step()
    assert isinstance(bad.error, RequestError)
    assert isinstance(bad.error.__cause__, OSError)
    assert bad.response is None
    assert bad.take_events() == []
    with pytest.raises(RequestError, match="writing a token raised OSError"):
        bad.result()
    assert good.error is None
    assert [event.token.text for event in good.take_events()] == ["x"] * 3


def test_a_vocabulary_that_raises_as_events_are_read_ends_the_request_before_its_end() -> None:
    engine = Engine(TORN)
    bad = engine.submit(Request([5], GenerationParameters(max_new_tokens=3, logit_bias={7: 99})))
    engine.step()
    assert not bad.done
    assert bad.take_events() == []
    assert isinstance(bad.error, RequestError)
    engine.step()
    assert not engine.busy
