"""Processors that depend on the history against transformers.

Where we differ, each on purpose, is a strict expected failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from profiles import amount

from decoding.history import History
from decoding.processors import (
    BadWords,
    BeginSuppressTokens,
    EncoderNoRepeatNgram,
    EncoderRepetitionPenalty,
    ExponentialLengthDecay,
    ForcedFirstToken,
    ForcedLastToken,
    MinTokens,
    NoRepeatNgram,
    PrefixFunction,
    RepetitionPenalty,
    Scoped,
    SequenceBias,
    SuppressTokens,
)
from decoding.testing.laws import log_softmax

torch = pytest.importorskip("torch")
process = pytest.importorskip("transformers.generation.logits_process")

CASES = amount(check=60, full=200)


@dataclass(frozen=True)
class Case:
    """A row of logits, what it has seen and numbers to make parameters of."""

    logits: Any
    prompt: list[int]
    generated: list[int]
    size: int
    factor: float
    token_ids: tuple[int, ...]
    sequences: dict[tuple[int, ...], float]

    @property
    def history(self) -> History:
        return History.of([self.prompt], [self.generated])


def cases() -> Iterator[Case]:
    generator = np.random.default_rng(13)
    for index in range(CASES):
        width = int(generator.integers(4, 60))
        logits = (3.0 * generator.standard_normal((1, width))).astype(np.float32)
        if index % 4 == 0:
            logits[0, generator.random(width) < 0.3] = -np.inf
            logits[0, 0] = 1.0
        few = min(width, 5)
        text = generator.integers(0, few, int(generator.integers(4, 40))).tolist()
        cut = int(generator.integers(3, len(text) + 1)) if index % 5 else len(text)
        yield Case(
            logits,
            text[:cut],
            text[cut:],
            size=int(generator.integers(1, 4)),
            factor=float(generator.uniform(0.5, 2.0)),
            token_ids=tuple(generator.choice(width, 3, replace=False).tolist()),
            sequences={
                tuple(generator.integers(0, few, int(generator.integers(1, 4))).tolist()): float(
                    generator.integers(-5, 6)
                )
                for _ in range(6)
            },
        )


def tensor(token_ids: list[int]) -> Any:
    return torch.tensor([token_ids], dtype=torch.long)


PAIRS: dict[str, tuple[Callable[[Case], Any], Callable[[Case], Any]]] = {
    "no_repeat_ngram": (
        lambda case: NoRepeatNgram(case.size),
        lambda case: process.NoRepeatNGramLogitsProcessor(case.size),
    ),
    "encoder_no_repeat_ngram": (
        lambda case: EncoderNoRepeatNgram(case.size),
        lambda case: process.EncoderNoRepeatNGramLogitsProcessor(case.size, tensor(case.prompt)),
    ),
    "encoder_repetition_penalty": (
        lambda case: EncoderRepetitionPenalty(case.factor),
        lambda case: process.EncoderRepetitionPenaltyLogitsProcessor(
            case.factor, tensor(case.prompt)
        ),
    ),
    "repetition_penalty of the generated text": (
        lambda case: Scoped(RepetitionPenalty(case.factor), "generated"),
        lambda case: process.RepetitionPenaltyLogitsProcessor(
            case.factor, prompt_ignore_length=len(case.prompt)
        ),
    ),
    "sequence_bias": (
        lambda case: SequenceBias(case.sequences),
        lambda case: process.SequenceBiasLogitsProcessor(case.sequences),
    ),
    "bad_words": (
        lambda case: BadWords(case.sequences),
        lambda case: process.NoBadWordsLogitsProcessor([list(item) for item in case.sequences]),
    ),
    "suppress_tokens": (
        lambda case: SuppressTokens(case.token_ids),
        lambda case: process.SuppressTokensLogitsProcessor(case.token_ids),
    ),
    "begin_suppress_tokens": (
        lambda case: BeginSuppressTokens(case.token_ids),
        lambda case: process.SuppressTokensAtBeginLogitsProcessor(case.token_ids, len(case.prompt)),
    ),
    "min_tokens": (
        lambda case: MinTokens(5, case.token_ids),
        lambda case: process.MinNewTokensLengthLogitsProcessor(
            len(case.prompt), 5, list(case.token_ids)
        ),
    ),
    "exponential_length_decay": (
        lambda case: ExponentialLengthDecay(case.size, case.factor, case.token_ids),
        lambda case: process.ExponentialDecayLengthPenalty(
            (case.size, case.factor), list(case.token_ids), len(case.prompt)
        ),
    ),
    "prefix_function": (
        lambda case: PrefixFunction(lambda history: [0, int(history.row(0)[-1])]),
        lambda case: process.PrefixConstrainedLogitsProcessor(
            lambda _, token_ids: [0, int(token_ids[-1])], 1
        ),
    ),
}
"""Our processor and theirs."""


@pytest.mark.parametrize("name", PAIRS)
def test_logits_are_equal(name: str) -> None:
    ours, peer = PAIRS[name]
    acted = 0
    for case in cases():
        got = ours(case)(case.logits, case.history)
        want = peer(case)(tensor(case.prompt + case.generated), torch.from_numpy(case.logits))
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-5, atol=1e-5)
        acted += not np.array_equal(got, case.logits)
    assert acted >= 5, "too few cases on which it does anything"


def test_forced_tokens_leave_the_same_one() -> None:
    for case in cases():
        for ours, peer, prompt, generated in (
            (ForcedFirstToken(0), process.ForcedBOSTokenLogitsProcessor(0), [1], []),
            (ForcedLastToken((0,), 4), process.ForcedEOSTokenLogitsProcessor(5, 0), [1], [1, 2, 3]),
            (ForcedLastToken((0,), 5), process.ForcedEOSTokenLogitsProcessor(6, 0), [1], [1, 2, 3]),
        ):
            logits = case.logits.copy()
            logits[0, 0] = 0.5
            got = ours(logits, History.of([prompt], [generated]))
            want = peer(tensor(prompt + generated), torch.from_numpy(logits)).numpy()
            np.testing.assert_allclose(log_softmax(got), log_softmax(want), atol=1e-5)


@pytest.mark.xfail(strict=True, reason="they make an impossible token possible to force it")
def test_forcing_an_impossible_token() -> None:
    logits = np.array([[-np.inf, 1.0]], np.float32)
    got = ForcedFirstToken(0)(logits, History.of([[1]]))
    want = process.ForcedBOSTokenLogitsProcessor(0)(tensor([1]), torch.from_numpy(logits)).numpy()
    assert np.array_equal(got > -np.inf, want > -np.inf)


@pytest.mark.xfail(strict=True, reason="they make several forced tokens equally likely")
def test_forcing_one_of_several_tokens() -> None:
    logits = np.array([[3.0, 1.0, 2.0]], np.float32)
    got = ForcedLastToken((0, 1), 1)(logits, History.of([[1]]))
    peer = process.ForcedEOSTokenLogitsProcessor(2, [0, 1])
    want = peer(tensor([1]), torch.from_numpy(logits)).numpy()
    np.testing.assert_allclose(log_softmax(got), log_softmax(want), atol=1e-5)


@pytest.mark.xfail(strict=True, reason="they let impossible tokens return if none else is allowed")
def test_a_constraint_that_cannot_be_met() -> None:
    logits = np.array([[-np.inf, 1.0]], np.float32)
    got = PrefixFunction(lambda _: [0])(logits, History.of([[1]]))
    peer = process.PrefixConstrainedLogitsProcessor(lambda *_: [0], 1)
    want = peer(tensor([1]), torch.from_numpy(logits)).numpy()
    assert np.array_equal(got > -np.inf, want > -np.inf)
