"""Processors by definition, called on whole batches, equal the float64 reference.

Where moving every logit and parameter by 10⁻⁹ changes the reference's own support, a cut lies on a
token: either side of it is right, and the example is passed over.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from profiles import amount

from decoding.history import History
from decoding.kernels.randomness import XTC_COIN
from decoding.kernels.reference import cutoffs, feedback, processors, rescaling, sequences
from decoding.kernels.vector import sequences as vector_sequences
from decoding.processors import (
    AtLeast,
    ClassifierFreeGuidance,
    Dry,
    DynamicTemperature,
    EncoderNoRepeatNgram,
    EncoderRepetitionPenalty,
    EpsilonCutoff,
    EtaCutoff,
    ExponentialLengthDecay,
    FrequencyPenalty,
    MinP,
    NoRepeatNgram,
    Renormalise,
    RepetitionPenalty,
    Scoped,
    SequenceBias,
    TopH,
    TopNSigma,
    TopP,
    Xtc,
)
from decoding.processors.adaptive_p import AdaptiveP, AdaptivePState
from decoding.processors.mirostat import Mirostat1, Mirostat2, MirostatState
from decoding.testing import strategies

Row = list[float]
Definition = Callable[[Row, float], Row]
"""The reference's row, with every parameter of a cut multiplied by a number near 1."""

UNIT = st.floats(0.0, 1.0, exclude_min=True, exclude_max=True)
SMALL = UNIT | st.integers(1, 99).map(lambda u: (u / 100.0) ** 4)
"""As probabilities are: mostly small."""


@dataclass(frozen=True)
class Example:
    """What a row went through, and the tokens it had seen."""

    draw: Callable[[st.SearchStrategy[Any]], Any]
    width: int
    prompt: tuple[int, ...]
    generated: tuple[int, ...]

    @property
    def text(self) -> tuple[int, ...]:
        return (*self.prompt, *self.generated)

    def ids(self) -> tuple[int, ...]:
        chosen: set[int] = self.draw(st.sets(st.integers(0, self.width - 1), max_size=4))
        return tuple(sorted(chosen))


def epsilon(example: Example) -> tuple[Any, Definition]:
    value = example.draw(SMALL)
    return EpsilonCutoff(value), lambda row, by: cutoffs.epsilon_cutoff(row, value * by)


def eta(example: Example) -> tuple[Any, Definition]:
    value = example.draw(SMALL)
    return EtaCutoff(value), lambda row, by: cutoffs.eta_cutoff(row, value * by)


def top_h(example: Example) -> tuple[Any, Definition]:
    # Just below 1 rounding says whether the last token is still within the budget.
    value = example.draw(st.floats(0.001, 0.999) | st.just(1.0))
    candidates = example.draw(st.none() | st.integers(1, example.width))
    moved = (lambda by: value) if value == 1.0 else (lambda by: min(value * by, 1.0 - 1e-12))
    return (
        TopH(value, candidates),
        lambda row, by: cutoffs.top_h(row, moved(by), candidates),
    )


def top_n_sigma(example: Example) -> tuple[Any, Definition]:
    value = example.draw(st.floats(0.01, 5.0))
    return TopNSigma(value), lambda row, by: cutoffs.top_n_sigma(row, value * by)


def xtc(example: Example) -> tuple[Any, Definition]:
    probability, threshold = example.draw(UNIT), example.draw(st.floats(0.0, 0.5))
    seed = example.draw(st.integers(0, 2**64 - 1))
    exempt, minimum = example.ids(), example.draw(st.integers(1, 4))
    acts = cutoffs.coin(seed, len(example.text), XTC_COIN) < probability

    def definition(row: Row, by: float) -> Row:
        return cutoffs.xtc(row, threshold * by, exempt, minimum) if acts else row

    return Xtc(probability, threshold, seed, exempt, minimum), definition


def at_least(example: Example) -> tuple[Any, Definition]:
    p, count = example.draw(UNIT), example.draw(st.integers(0, example.width + 1))
    if example.draw(st.booleans()):
        return (
            AtLeast(TopP(p), count),
            lambda row, by: cutoffs.at_least(row, processors.top_p(row, min(p * by, 1.0)), count),
        )
    return (
        AtLeast(MinP(p), count),
        lambda row, by: cutoffs.at_least(row, processors.min_p(row, min(p * by, 1.0)), count),
    )


def dynamic_temperature(example: Example) -> tuple[Any, Definition]:
    middle, reach = example.draw(st.floats(0.1, 5.0)), example.draw(st.floats(0.01, 5.0))
    exponent = example.draw(st.floats(0.1, 3.0))
    return (
        DynamicTemperature(middle, reach, exponent),
        lambda row, by: rescaling.dynamic_temperature(
            row, max(0.0, middle - reach), middle + reach, exponent
        ),
    )


def renormalise(example: Example) -> tuple[Any, Definition]:
    return Renormalise(), lambda row, by: rescaling.renormalise(row)


def guidance(example: Example) -> tuple[Any, Definition]:
    other, scale = example.draw(strategies.rows(example.width)), example.draw(st.floats(-3.0, 9.0))
    return (
        ClassifierFreeGuidance(scale, lambda _: other[np.newaxis]),
        lambda row, by: (
            row if scale == 1.0 else rescaling.guided(row, other.astype(float).tolist(), scale)
        ),
    )


def length_decay(example: Example) -> tuple[Any, Definition]:
    start, factor = example.draw(st.integers(0, 5)), example.draw(st.floats(0.5, 2.0))
    ids, steps = example.ids(), len(example.generated) - start
    return (
        ExponentialLengthDecay(start, factor, ids),
        lambda row, by: rescaling.length_decay(row, ids, factor, steps),
    )


def no_repeat_ngram(example: Example) -> tuple[Any, Definition]:
    size = example.draw(st.integers(1, 4))
    text = example.text
    return (
        NoRepeatNgram(size),
        lambda row, by: sequences.no_repeat_ngram(row, text, text, size),
    )


def encoder_no_repeat_ngram(example: Example) -> tuple[Any, Definition]:
    size = example.draw(st.integers(1, 4))
    return (
        EncoderNoRepeatNgram(size),
        lambda row, by: sequences.no_repeat_ngram(row, example.prompt, example.text, size),
    )


def encoder_repetition(example: Example) -> tuple[Any, Definition]:
    value = example.draw(st.floats(0.1, 9.0))
    return (
        EncoderRepetitionPenalty(value),
        lambda row, by: sequences.encoder_repetition_penalty(row, example.prompt, value),
    )


def sequence_bias(example: Example) -> tuple[Any, Definition]:
    token_ids = st.integers(0, min(example.width - 1, 3))
    bias = example.draw(
        st.dictionaries(
            st.lists(token_ids, min_size=1, max_size=3).map(tuple),
            st.integers(-9, 9).map(float) | st.just(-math.inf),
            max_size=6,
        )
    )
    return SequenceBias(bias), lambda row, by: sequences.sequence_bias(row, example.text, bias)


def dry(example: Example) -> tuple[Any, Definition]:
    multiplier, base = example.draw(st.floats(0.1, 5.0)), example.draw(st.floats(1.0, 3.0))
    allowed, last_n = example.draw(st.integers(1, 3)), example.draw(st.none() | st.integers(1, 20))
    breakers = example.ids()
    text = example.text if last_n is None else example.text[-last_n:]
    return (
        Dry(multiplier, base, allowed, last_n, breakers),
        lambda row, by: sequences.dry(row, text, multiplier, base, allowed, breakers),
    )


def scoped(example: Example) -> tuple[Any, Definition]:
    part = example.draw(st.sampled_from(["all", "prompt", "generated"]))
    last_n, exempt = example.draw(st.none() | st.integers(0, 9)), example.ids()
    parts = {"all": example.text, "prompt": example.prompt, "generated": example.generated}
    seen = parts[part][-last_n:] if last_n else parts[part] if last_n is None else ()
    seen = tuple(token_id for token_id in seen if token_id not in exempt)
    if example.draw(st.booleans()):
        return (
            Scoped(RepetitionPenalty(1.5), part, last_n, exempt),
            lambda row, by: processors.repetition_penalty(row, seen, 1.5),
        )
    return (
        Scoped(FrequencyPenalty(0.5), part, last_n, exempt),
        lambda row, by: processors.frequency_penalty(row, seen, 0.5),
    )


def mirostat1(example: Example) -> tuple[Any, Definition]:
    mu, sampled = example.draw(st.floats(0.1, 20.0)), example.draw(st.integers(2, 50))
    mirostat = Mirostat1(sampled=sampled)
    return (
        lambda logits, _: mirostat.filter(logits, [MirostatState(mu)]),
        lambda row, by: feedback.zipf_cutoff(row, mu * by, sampled),
    )


def mirostat2(example: Example) -> tuple[Any, Definition]:
    mu = example.draw(st.floats(0.1, 20.0))
    return (
        lambda logits, _: Mirostat2().filter(logits, [MirostatState(mu)]),
        lambda row, by: feedback.surprise_cutoff(row, mu * by),
    )


def adaptive_p(example: Example) -> tuple[Any, Definition]:
    target, mean = example.draw(UNIT), example.draw(UNIT)
    corrected = min(max(2.0 * target - mean, 0.0), 1.0)
    return (
        lambda logits, _: AdaptiveP(target).filter(logits, [AdaptivePState(mean, 1.0)]),
        lambda row, by: feedback.towards(row, corrected),
    )


DEFINITIONS: tuple[Callable[[Example], tuple[Any, Definition]], ...] = (
    epsilon,
    eta,
    top_h,
    top_n_sigma,
    xtc,
    at_least,
    dynamic_temperature,
    renormalise,
    guidance,
    length_decay,
    no_repeat_ngram,
    encoder_no_repeat_ngram,
    encoder_repetition,
    sequence_bias,
    dry,
    scoped,
    mirostat1,
    mirostat2,
    adaptive_p,
)


@pytest.mark.parametrize("make", DEFINITIONS, ids=lambda make: make.__name__)
@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data())
def test_equals_the_reference(
    make: Callable[[Example], tuple[Any, Definition]], data: st.DataObject
) -> None:
    width = data.draw(st.integers(1, strategies.MAX_VOCAB))
    row = data.draw(strategies.rows(width)).astype(np.float64)
    token_ids = st.lists(st.integers(0, min(width, 4)), max_size=16).map(tuple)
    example = Example(data.draw, width, data.draw(token_ids), data.draw(token_ids))
    processor, definition = make(example)
    want = definition(row.tolist(), 1.0)
    support = [z > -math.inf for z in want]
    # Equal logits move together, so that ties stay ties.
    wave = np.sin(1e6 * np.maximum(row, -1e300))
    for move in (-1e-9, 1e-9):
        moved = definition((row + move * wave).tolist(), 1.0 + move)
        assume([z > -math.inf for z in moved] == support)
    history = History.of([list(example.prompt)], [list(example.generated)])
    got = processor(row[np.newaxis], history)[0]
    assert [z > -math.inf for z in got] == support
    # A penalty beyond float64 is cut, there and here, each in its own way.
    finite = np.array(support) & (np.abs(want) < 1e300)
    np.testing.assert_allclose(got[finite], np.array(want)[finite], rtol=1e-8, atol=1e-8)


@given(
    tokens=st.lists(st.integers(0, 2), min_size=1, max_size=80) | st.just([7] * 80),
    limit=st.integers(1, 90),
)
def test_suffix_matches_equal_brute_force(tokens: list[int], limit: int) -> None:
    def matches(place: int) -> int:
        length = 0
        while length <= place and tokens[place - length] == tokens[-1 - length]:
            length += 1
        return min(length, limit)

    want = [*(matches(place) for place in range(len(tokens) - 1)), 0]
    assert vector_sequences.suffix_matches(np.array(tokens, np.int32), limit).tolist() == want


@settings(max_examples=amount(check=6, full=25, nightly=1250))
@given(
    seed=st.integers(0, 2**32 - 1),
    share=st.sampled_from([0.05, 0.3, 0.6, 0.9, 0.99]),
    candidates=st.none() | st.integers(1, 2000),
    grid=st.sampled_from([0.0, 0.25]),
)
def test_top_h_of_wide_rows(seed: int, share: float, candidates: int | None, grid: float) -> None:
    # Wider than what is sorted at first, so that the search has to grow.
    row = 0.5 * np.random.default_rng(seed).standard_normal(1500)
    row = np.round(row / grid) * grid if grid else row
    wants = [cutoffs.top_h(row.tolist(), share + move, candidates) for move in (-1e-9, 0.0, 1e-9)]
    supports = [[z > -math.inf for z in want] for want in wants]
    assume(supports[0] == supports[1] == supports[2])
    got = TopH(share, candidates)(row[np.newaxis], History.empty(1))[0]
    assert (got > -math.inf).tolist() == supports[1]
