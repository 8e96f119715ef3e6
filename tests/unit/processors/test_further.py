"""The smallest example of every later processor, and the ends of its range."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from decoding.errors import EmptySupportError, InvalidLogitsError, ParameterError, ShapeError
from decoding.history import History
from decoding.pipeline import Pipeline, chain
from decoding.processors import (
    AllowedTokens,
    AtLeast,
    BadWords,
    BeginSuppressTokens,
    ClassifierFreeGuidance,
    Dry,
    DynamicTemperature,
    EncoderNoRepeatNgram,
    EncoderRepetitionPenalty,
    EpsilonCutoff,
    EtaCutoff,
    ExponentialLengthDecay,
    ForcedFirstToken,
    ForcedLastToken,
    FrequencyPenalty,
    MinP,
    MinTokens,
    NaNPolicy,
    NoRepeatNgram,
    PrefixFunction,
    PresencePenalty,
    Renormalise,
    RepetitionPenalty,
    Scoped,
    SequenceBias,
    SuppressTokens,
    Temperature,
    TopH,
    TopK,
    TopNSigma,
    TopP,
    TypicalP,
    Xtc,
)
from decoding.sampling.batch import Sample, Sampler, sample

GONE = -math.inf
PROBS = np.log(np.array([[0.4, 0.3, 0.2, 0.1]]))


def kept(processor: Any, logits: Any, history: History | None = None) -> list[int]:
    result = processor(logits, history if history is not None else History.empty(len(logits)))
    alive = result[0] > GONE
    assert np.array_equal(result[0, alive], logits[0, alive])
    return [int(index) for index in np.flatnonzero(alive)]


def tokens_of(pipeline: Pipeline) -> set[int]:
    """What thirty seeds draw."""
    rows = np.repeat(PROBS, 30, axis=0)
    drawn = sample(rows, History.empty(30), [Sampler(pipeline, seed=seed) for seed in range(30)])
    return {item.token_id for item in drawn if isinstance(item, Sample)}


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        (EpsilonCutoff(0.15), [0, 1, 2]),
        (EpsilonCutoff(0.9), [0]),
        (EtaCutoff(0.9), [0, 1]),  # η = √0.9 · exp(−1.28) = 0.264
        (TopH(0.6), [0, 1]),  # −p ln p: 0.367, 0.361, 0.322, 0.230
        (TopH(1.0, candidates=3), [0, 1, 2]),
        (TopNSigma(1.0), [0, 1]),  # σ = 0.518; 0.288 and 0.693 below the largest
        (Xtc(1.0, 0.15), [2, 3]),
        (Xtc(1.0, 0.15, exempt=(0, 9)), [0, 2, 3]),
        (Xtc(1.0, 0.15, min_tokens_to_keep=3), [0, 1, 2, 3]),
        (AtLeast(TopP(0.1), 2), [0, 1]),
        (AtLeast(MinP(1.0), 9), [0, 1, 2, 3]),
        (AtLeast(TypicalP(0.1), 1), [0, 1]),  # −ln 0.3 is nearest to H = 1.28
        (AtLeast(TypicalP(0.1), 0), [1]),
        (AllowedTokens((1, 3, 9)), [1, 3]),
        (SuppressTokens((1, 3)), [0, 2]),
    ],
)
def test_cutoffs(processor: Any, expected: list[int]) -> None:
    assert kept(processor, PROBS) == expected
    dead = np.full((1, 4), GONE)
    assert np.array_equal(processor(dead, History.empty(1)), dead)


def test_eta_is_never_above_epsilon() -> None:
    # H = 0.39, so √ε · exp(−H) = 0.15.
    assert kept(EtaCutoff(0.05), np.log(np.array([[0.9, 0.06, 0.04]]))) == [0, 1]


def test_top_h_at_its_neutral_value_keeps_every_token() -> None:
    # transformers drops a token of probability 0.27 here.
    row = np.array([[0.0, 1.0]], np.float32)
    assert TopH(1.0)(row, History.empty(1)) is row
    assert kept(TopH(1.0, candidates=100), row) == [0, 1]


def test_top_n_sigma_in_the_widest_range() -> None:
    logits = np.array([[1.7e308, -1.7e308, 1.7e308]])
    assert kept(TopNSigma(0.5), logits) == [0, 2]


def test_xtc_acts_as_often_as_it_says_and_the_same_in_any_batch() -> None:
    batch = np.repeat(PROBS, 2000, axis=0)
    history = History.of([[0] * length for length in range(2000)])
    result = Xtc(0.3, 0.15, seed=5)(batch, history)
    acts = result[:, 0] == GONE
    # Binomial: 600 ± 20.5; six deviations either way.
    assert 477 < acts.sum() < 723
    alone = [
        bool(Xtc(0.3, 0.15, seed=5)(PROBS, history.select(row))[0, 0] == GONE) for row in (7, 8)
    ]
    assert alone == acts[7:9].tolist()
    assert not np.array_equal(Xtc(0.3, 0.15, seed=6)(batch, history)[:, 0] == GONE, acts)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dynamic_temperature_that_reaches_zero_stays_finite(dtype: Any) -> None:
    # llama.cpp makes all but the first maximum impossible.
    logits = np.array([[900.0, 0.0, -900.0, GONE]], dtype)
    result = DynamicTemperature(0.5, 0.5)(logits, History.empty(1))[0]
    assert np.isfinite(result[:3]).all()
    assert result[3] == GONE
    assert result[0] > result[1] >= result[2]


def test_a_fixed_dynamic_temperature_is_the_temperature() -> None:
    got = DynamicTemperature(0.7)(PROBS, History.empty(1))
    assert np.array_equal(got, Temperature(0.7)(PROBS, History.empty(1)))


SEEN = History.of([[0, 0, 3]], [[1, 1, 9]])


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        (EncoderRepetitionPenalty(2.0), [4.0, -2.0, 1.0, GONE]),
        (Scoped(RepetitionPenalty(2.0), "all"), [1.0, -4.0, 1.0, GONE]),
        (Scoped(RepetitionPenalty(2.0), "prompt"), [1.0, -2.0, 1.0, GONE]),
        (Scoped(RepetitionPenalty(2.0), "generated"), [2.0, -4.0, 1.0, GONE]),
        (Scoped(RepetitionPenalty(2.0), "all", last_n=1), [2.0, -2.0, 1.0, GONE]),
        (Scoped(RepetitionPenalty(2.0), "all", last_n=2), [2.0, -4.0, 1.0, GONE]),
        (Scoped(RepetitionPenalty(2.0), "all", exempt=(0,)), [2.0, -4.0, 1.0, GONE]),
        (Scoped(FrequencyPenalty(0.5), "all"), [1.0, -3.0, 1.0, GONE]),
        (Scoped(FrequencyPenalty(0.5), "all", last_n=2), [2.0, -2.5, 1.0, GONE]),
        (Scoped(PresencePenalty(0.5), "prompt"), [1.5, -2.0, 1.0, GONE]),
        (SequenceBias({(0,): 1.0, (1, 9, 2): 2.0, (9, 9, 1): 3.0}), [3.0, -2.0, 3.0, GONE]),
        (SequenceBias({(9, 0): GONE}), [GONE, -2.0, 1.0, GONE]),
        (BadWords([(0,), (1, 9, 2), (3, 9, 1)]), [GONE, -2.0, GONE, GONE]),
        (ExponentialLengthDecay(1, 1.5, (0, 1, 3)), [4.5, 0.5, 1.0, GONE]),
        (ExponentialLengthDecay(3, 1.5, (0, 1, 3)), [2.0, -2.0, 1.0, GONE]),
        (MinTokens(4, (0, 7)), [GONE, -2.0, 1.0, GONE]),
        (MinTokens(3, (0, 7)), [2.0, -2.0, 1.0, GONE]),
        (ForcedLastToken((1, 2), 4), [GONE, -2.0, 1.0, GONE]),
        (ForcedLastToken((1, 2), 5), [2.0, -2.0, 1.0, GONE]),
        (ForcedFirstToken(1), [2.0, -2.0, 1.0, GONE]),
        (BeginSuppressTokens((1,)), [2.0, -2.0, 1.0, GONE]),
        (NoRepeatNgram(1), [GONE, GONE, 1.0, GONE]),
        (PrefixFunction(lambda history: history.prompt(0)), [2.0, GONE, GONE, GONE]),
    ],
)
def test_what_looks_at_the_history(processor: Any, expected: list[float]) -> None:
    logits = np.array([[2.0, -2.0, 1.0, GONE]], np.float32)
    assert processor(logits, SEEN)[0].tolist() == expected


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        (ForcedFirstToken(2), [2]),
        (BeginSuppressTokens((2,)), [0, 1, 3]),
        (MinTokens(1, (0,)), [1, 2, 3]),
    ],
)
def test_where_nothing_is_generated(processor: Any, expected: list[int]) -> None:
    assert kept(processor, PROBS, History.of([[3, 3]])) == expected


def test_the_ngrams_of_the_prompt_are_not_those_of_the_text() -> None:
    history = History.of([[0, 1, 2]], [[0, 3, 0]])
    assert kept(NoRepeatNgram(2), PROBS, history) == [0, 2]
    assert kept(EncoderNoRepeatNgram(2), PROBS, history) == [0, 2, 3]
    assert kept(EncoderNoRepeatNgram(3), PROBS, History.of([[]], [[0]])) == [0, 1, 2, 3]


def test_dry_prolongs_the_longest_repetition_in_a_window() -> None:
    history = History.of([[1, 2, 3, 0]], [[1, 2, 3]])
    logits = np.zeros((1, 4))
    assert Dry(1.0, 2.0)(logits, history)[0].tolist() == [-2.0, 0.0, 0.0, 0.0]
    assert Dry(1.0, 2.0, last_n=6)(logits, history)[0].tolist() == [-1.0, 0.0, 0.0, 0.0]
    assert Dry(1.0, 2.0, last_n=4)(logits, history)[0].tolist() == [0.0] * 4
    assert Dry(1.0, 2.0, breakers=(2,))(logits, history)[0].tolist() == [0.0] * 4
    assert Dry(1.0, 2.0, breakers=(0,))(logits, history)[0].tolist() == [0.0] * 4
    # 0 stood after "1 2 3" and, later, after "3" alone: the longest counts.
    twice = History.of([[1, 2, 3, 0, 3, 0, 1, 2, 3]])
    assert Dry(1.0, 2.0, 1)(logits, twice)[0].tolist() == [-4.0, 0.0, 0.0, 0.0]


def test_dry_stays_finite_however_long_the_repetition() -> None:
    history = History.of([[1] * 4000])
    result = Dry(1.0, 9.0)(np.zeros((1, 3), np.float32), history)
    assert np.isfinite(result).all()
    assert result[0, 1] == np.finfo(np.float32).min


def test_guidance_by_hand() -> None:
    other = np.log(np.array([[0.25, 0.25, 0.5]]))
    logits = np.log(np.array([[0.5, 0.25, 0.25]])) + 3.0
    got = ClassifierFreeGuidance(2.0, lambda _: other)(logits, History.empty(1))
    np.testing.assert_allclose(got, np.log([[1.0, 0.25, 0.125]]), atol=1e-12)
    np.testing.assert_allclose(
        ClassifierFreeGuidance(0.0, lambda _: other)(logits, History.empty(1)), other
    )


def test_guidance_refuses_what_is_no_row_of_the_same_width() -> None:
    guidance = ClassifierFreeGuidance(2.0, lambda _: np.zeros((1, 2)))
    with pytest.raises(ShapeError, match="unconditional"):
        guidance(np.zeros((1, 3)), History.empty(1))
    guidance = ClassifierFreeGuidance(2.0, lambda _: np.array([[0.0, math.nan, 0.0]]))
    with pytest.raises(InvalidLogitsError, match="token id 1"):
        guidance(np.zeros((1, 3)), History.empty(1))


def test_a_penalty_on_logprobs_is_a_chain() -> None:
    logits = np.log(np.array([[0.5, 0.25, 0.25]])) + 7.0
    got = chain(Renormalise(), RepetitionPenalty(2.0))(logits, History.of([[1]]))
    np.testing.assert_allclose(got, np.log([[0.5, 0.0625, 0.25]]))


def test_nan_policy() -> None:
    broken = np.array([[math.nan, math.inf, 1.0, GONE]], np.float32)
    assert NaNPolicy()(broken, History.empty(1))[0].tolist() == [
        GONE,
        float(np.finfo(np.float32).max),
        1.0,
        GONE,
    ]
    assert NaNPolicy(0.0, 5.0)(broken, History.empty(1))[0].tolist() == [0.0, 5.0, 1.0, GONE]


def test_a_forced_token_that_is_impossible_is_an_empty_support() -> None:
    # transformers gives it the logit 0, whatever came before.
    pipeline = chain(SuppressTokens((2,)), ForcedFirstToken(2))
    [failed] = sample(PROBS, History.empty(1), [Sampler(pipeline, seed=0)])
    assert isinstance(failed, EmptySupportError)
    assert failed.processor == "ForcedFirstToken(token_id=2)"


def test_a_bias_beyond_the_row_is_refused() -> None:
    for processor in (SequenceBias({(9, 7): 1.0}), SuppressTokens((7,))):
        with pytest.raises(ShapeError, match="token id 7"):
            processor(PROBS, History.empty(1))


def test_lowered_is_by_definition() -> None:
    for processor in (AllowedTokens((0, 2, 50)), SuppressTokens((1, 3))):
        for row in (chain(processor, TopK(1)), chain(processor)):
            assert tokens_of(row) <= {0, 2}


def test_a_processor_without_opcodes_works_in_a_pipeline() -> None:
    pipeline = chain(Temperature(0.9), EpsilonCutoff(0.15), TopK(2), Xtc(1.0, 0.1))
    assert tokens_of(pipeline) == {1}


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (EpsilonCutoff, (1.0,)),
        (EpsilonCutoff, (math.nan,)),
        (EtaCutoff, (-0.1,)),
        (TopH, (0.0,)),
        (TopH, (1.1,)),
        (TopH, (0.5, 0)),
        (TopNSigma, (-1.0,)),
        (TopNSigma, (math.inf,)),
        (Xtc, (1.1,)),
        (Xtc, (0.5, -0.1)),
        (Xtc, (0.5, 0.1, 2**64)),
        (Xtc, (0.5, 0.1, 0, (-1,))),
        (Xtc, (0.5, 0.1, 0, (), 0)),
        (DynamicTemperature, (0.0,)),
        (DynamicTemperature, (1.0, -1.0)),
        (DynamicTemperature, (1.0, 1.0, math.nan)),
        (AtLeast, (Temperature(2.0), 1)),
        (AtLeast, (TopP(0.5), -1)),
        (Scoped, (RepetitionPenalty(1.1), "output")),
        (Scoped, (RepetitionPenalty(1.1), "all", -1)),
        (Dry, (-1.0,)),
        (Dry, (1.0, 0.9)),
        (Dry, (1.0, 2.0, 0)),
        (Dry, (1.0, 2.0, 2, -1)),
        (NoRepeatNgram, (-1,)),
        (NoRepeatNgram, (1.5,)),
        (EncoderNoRepeatNgram, (-1,)),
        (EncoderRepetitionPenalty, (0.0,)),
        (EncoderRepetitionPenalty, (1e-320,)),
        (SequenceBias, ({(): 1.0},)),
        (SequenceBias, ({(1, -1): 1.0},)),
        (SequenceBias, ({(1,): math.inf},)),
        (BadWords, ([()],)),
        (AllowedTokens, ((),)),
        (SuppressTokens, ((-1,),)),
        (BeginSuppressTokens, ((-1,),)),
        (MinTokens, (-1, (0,))),
        (ForcedFirstToken, (-1,)),
        (ForcedLastToken, ((), 3)),
        (ForcedLastToken, ((1,), 0)),
        (ExponentialLengthDecay, (-1, 1.1, (0,))),
        (ExponentialLengthDecay, (0, 0.0, (0,))),
        (ClassifierFreeGuidance, (math.inf, None)),
        (NaNPolicy, (math.nan,)),
        (NaNPolicy, (0.0, math.inf)),
    ],
)
def test_outside_the_range(make: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ParameterError, match=r"must be .*, got"):
        make(*arguments)
