"""Arguments of processors and watermark schemes: what is no number or no token ids is refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import numpy as np
import pytest

import decoding
from decoding import (
    GenerationParameters,
    Grammar,
    GrammarMask,
    History,
    Request,
    Temperature,
    TopK,
    TopP,
    generate,
    watermark,
)
from decoding.errors import ParameterError
from decoding.watermark import GumbelScheme, LastToken, Scheme, SynthId

# Parameters of processors and schemes: every field that is a number takes numbers alone.

ASKED = GenerationParameters(seed=3, max_new_tokens=2)
TOP_P: Any = TopP(0.5)


def flat(rows: list[list[int]]) -> Any:
    return np.zeros((len(rows), 4))


def unconditional(history: History) -> Any:
    return np.zeros((len(history), 4))


REALS: list[Callable[[Any], object]] = [
    Temperature,
    TopP,
    decoding.MinP,
    decoding.TypicalP,
    decoding.TopH,
    decoding.TopNSigma,
    decoding.EpsilonCutoff,
    decoding.EtaCutoff,
    decoding.RepetitionPenalty,
    decoding.FrequencyPenalty,
    decoding.PresencePenalty,
    decoding.EncoderRepetitionPenalty,
    decoding.DynamicTemperature,
    lambda value: decoding.DynamicTemperature(1.0, value),
    lambda value: decoding.DynamicTemperature(1.0, 0.5, value),
    decoding.Dry,
    lambda value: decoding.Dry(0.5, value if value != 0.5 else 1.5),
    decoding.Xtc,
    lambda value: decoding.Xtc(0.5, value),
    decoding.AdaptiveP,
    lambda value: decoding.AdaptiveP(0.5, value),
    decoding.Mirostat1,
    lambda value: decoding.Mirostat2(1.0, value),
    decoding.NaNPolicy,
    lambda value: decoding.ExponentialLengthDecay(0, value, (1,)),
    lambda value: decoding.ClassifierFreeGuidance(value, unconditional),
    lambda value: decoding.LogitBias({1: value}),
    lambda value: decoding.SequenceBias({(1, 2): value}),
    lambda value: decoding.BitmaskBias.of([1], value),
    lambda value: Scheme(LastToken(), value),
    lambda value: Scheme(LastToken(), 0.5, value),
]
NONE_IS_LEGAL: list[Callable[[Any], object]] = [
    lambda value: decoding.TopH(0.5, value),
    lambda value: decoding.Dry(0.5, last_n=value),
    lambda value: decoding.Scoped(decoding.PresencePenalty(1.0), "all", value),
    lambda value: decoding.Watermark(Scheme(LastToken()), value),
]
INTEGERS: list[Callable[[Any], object]] = [
    *NONE_IS_LEGAL,
    TopK,
    decoding.NoRepeatNgram,
    decoding.EncoderNoRepeatNgram,
    decoding.ForcedFirstToken,
    lambda value: decoding.Dry(0.5, 1.5, value),
    lambda value: decoding.Dry(0.5, breakers=(value,)),
    lambda value: decoding.Scoped(decoding.PresencePenalty(1.0), "all", exempt=(value,)),
    lambda value: decoding.MinTokens(value, (1,)),
    lambda value: decoding.MinTokens(1, (value,)),
    lambda value: decoding.ForcedLastToken((value,), 3),
    lambda value: decoding.ForcedLastToken((1,), value),
    lambda value: decoding.ExponentialLengthDecay(value, 1.5, (1,)),
    lambda value: decoding.Xtc(0.5, 0.1, value),
    lambda value: decoding.Xtc(0.5, 0.1, min_tokens_to_keep=value),
    lambda value: decoding.Mirostat1(sampled=value),
    lambda value: decoding.AtLeast(TOP_P, value),
    lambda value: decoding.SuppressTokens((value,)),
    lambda value: decoding.AllowedTokens((value,)),
    lambda value: decoding.BeginSuppressTokens((value,)),
    lambda value: decoding.BadWords([(value,)]),
    lambda value: decoding.SequenceBias({(1, value): 1.0}),
    lambda value: decoding.LogitBias({value: 1.0}),
    lambda value: decoding.Bitmask.of([value]),
    lambda value: Scheme(LastToken(), key=value),
    lambda value: Scheme(LastToken(), candidates=value),
    LastToken,
    GumbelScheme,
    lambda value: GumbelScheme(1, value),
    lambda value: SynthId((value,)),
    lambda value: SynthId((1,), value),
    lambda value: watermark.detect([value], Scheme(LastToken()), 9),
    lambda value: watermark.detect([1, 2], Scheme(LastToken()), value),
    lambda value: watermark.detect([1, 2], Scheme(LastToken()), 9, window_sizes=[value]),
    lambda value: watermark.detect_gumbel([1, 2], GumbelScheme(1), prompt=[value]),
    lambda value: watermark.detect_synthid([value], SynthId((1,))),
]
NO_NUMBERS = ["0.5", None, True, [0.5], 1j, math.nan, np.True_, b"1"]


def wrong_integers() -> Iterator[tuple[Callable[[Any], object], Any]]:
    for make in INTEGERS:
        for wrong in [*NO_NUMBERS, 1.5, 3.0, -1, 10**400]:
            if (wrong is not None or make not in NONE_IS_LEGAL) and isinstance(wrong, Hashable):
                yield make, wrong


def refuse(make: Callable[[Any], object], wrong: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        make(wrong)
    assert "must be" in str(caught.value)


@pytest.mark.parametrize("make", REALS)
@pytest.mark.parametrize("wrong", [*NO_NUMBERS, 10**400])
def test_a_real_parameter_takes_numbers_alone(make: Callable[[Any], object], wrong: Any) -> None:
    refuse(make, wrong)


@pytest.mark.parametrize("make", REALS)
@pytest.mark.parametrize("right", [np.float32(0.5), np.float64(0.5), np.float16(0.5)])
def test_a_real_parameter_takes_those_of_numpy(make: Callable[[Any], object], right: Any) -> None:
    assert make(right) == make(0.5)
    assert repr(make(right)) == repr(make(0.5))


@pytest.mark.parametrize(("make", "wrong"), list(wrong_integers()))
def test_an_integer_parameter_takes_integers_alone(
    make: Callable[[Any], object], wrong: Any
) -> None:
    refuse(make, wrong)


@pytest.mark.parametrize("make", INTEGERS)
@pytest.mark.parametrize("right", [np.int64(3), np.uint8(3), np.int32(3)])
def test_an_integer_parameter_takes_those_of_numpy(
    make: Callable[[Any], object], right: Any
) -> None:
    assert make(right) == make(3)
    assert repr(make(right)) == repr(make(3))


@pytest.mark.parametrize(
    "make",
    [
        decoding.SuppressTokens,
        decoding.AllowedTokens,
        decoding.BeginSuppressTokens,
        decoding.Bitmask.of,
        decoding.BadWords,
        decoding.SequenceBias,
        decoding.LogitBias,
        lambda value: watermark.detect(value, Scheme(LastToken()), 9),
        lambda value: watermark.detect_gumbel(value, GumbelScheme(1)),
        lambda value: watermark.detect_synthid(value, SynthId((1,))),
    ],
)
@pytest.mark.parametrize("wrong", ["12", 5, None, b"12"])
def test_token_ids_are_named(make: Callable[[Any], object], wrong: Any) -> None:
    refuse(make, wrong)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        decoding.AllowedTokens,
        decoding.Bitmask.of,
        decoding.BadWords,
        decoding.SequenceBias,
        decoding.Pipeline,
        SynthId,
        lambda value: watermark.detect_synthid(value, SynthId((1,))),
        lambda value: Request(value, ASKED) and generate(flat, value, ASKED),
    ],
)
@pytest.mark.parametrize("wrong", [range(10**9), np.array(1), bytearray(b"ab"), {1: [2]}.keys])
def test_what_holds_no_items_or_too_many_is_named(
    make: Callable[[Any], object], wrong: Any
) -> None:
    refuse(make, wrong)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda value: TopK(3, keep_ties=value), "keep_ties"),
        (lambda value: decoding.processors.Mirostat1(renormalised=value), "renormalised"),
        (lambda value: decoding.processors.Mirostat2(renormalised=value), "renormalised"),
    ],
)
@pytest.mark.parametrize("wrong", [0, 1.0, "yes", None, [True], np.array(True)])
def test_a_switch_is_a_bool(make: Callable[[Any], Any], name: str, wrong: Any) -> None:
    refuse(make, wrong)
    assert getattr(make(np.True_), name) is True


@pytest.mark.parametrize("wrong", [None, "root", {"type": "object"}, Grammar("json", {}), [1], 2.5])
def test_a_mask_takes_compiled_grammars_alone(wrong: Any) -> None:
    with pytest.raises(ParameterError, match="grammar must be a compiled grammar"):
        GrammarMask(wrong)


@pytest.mark.parametrize("wrong", [[], {}, np.array([1.0]), b"float32", 3])
def test_kernels_are_warmed_up_for_the_name_of_a_dtype(wrong: Any) -> None:
    with pytest.raises(ParameterError, match="dtype must be one of"):
        decoding.warmup(wrong)
