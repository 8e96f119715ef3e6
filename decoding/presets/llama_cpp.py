"""Preset `llama_cpp`: makes the pipeline of llama.cpp's sampler chain from its parameters."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, get_args

from decoding.errors import ParameterError
from decoding.pipeline import Pipeline, chain
from decoding.presets.arguments import biases, number, token_ids, whole
from decoding.processors import (
    AtLeast,
    Dry,
    DynamicTemperature,
    FrequencyPenalty,
    LogitBias,
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    Scoped,
    Temperature,
    TopK,
    TopNSigma,
    TopP,
    TypicalP,
    Xtc,
)
from decoding.typing import DeclaredProcessor, Processor

SamplerName: TypeAlias = Literal[
    "penalties",
    "dry",
    "top_n_sigma",
    "top_k",
    "typ_p",
    "top_p",
    "min_p",
    "xtc",
    "temperature",
]
"""llama.cpp's names of its samplers, in its default order."""

DEFAULT_SAMPLERS: tuple[SamplerName, ...] = get_args(SamplerName)

_TINY = sys.float_info.min
"""A mass that one token has: at a mass of 0 llama.cpp keeps the first."""


def llama_cpp(
    *,
    samplers: Sequence[SamplerName] = DEFAULT_SAMPLERS,
    logit_bias: Mapping[int, float] | None = None,
    repeat_last_n: int = 64,
    repeat_penalty: float = 1.0,
    frequency_penalty: float = 0.0,
    presence_penalty: float = 0.0,
    dry_multiplier: float = 0.0,
    dry_base: float = 1.75,
    dry_allowed_length: int = 2,
    dry_penalty_last_n: int = 64,
    dry_sequence_breakers: Sequence[int] = (),
    top_n_sigma: float = -1.0,
    top_k: int = 40,
    typ_p: float = 1.0,
    top_p: float = 0.95,
    min_p: float = 0.05,
    min_keep: int = 0,
    xtc_probability: float = 0.0,
    xtc_threshold: float = 0.1,
    temp: float = 0.8,
    dynatemp_range: float = 0.0,
    dynatemp_exponent: float = 1.0,
    seed: int = 0,
) -> Pipeline:
    """Make the pipeline of llama.cpp's sampler chain, in its default order or the given one.

        bias → penalties → DRY → top-nσ → top-k → typical-p → top-p → min-p → XTC → temperature

    | parameter | range | neutral |
    |---|---|---|
    | `samplers` | names of samplers, each at most once; who is not named takes no part | |
    | `logit_bias` | finite or −inf; first in any order | None |
    | `repeat_last_n` | >= 0: the last tokens, prompt included, that the penalties see | 0 |
    | `repeat_penalty` | > 0 | 1 |
    | `frequency_penalty`, `presence_penalty` | finite, over the same tokens | 0 |
    | `dry_multiplier` | >= 0 | 0 |
    | `dry_base` | >= 1 | |
    | `dry_allowed_length` | >= 1 | |
    | `dry_penalty_last_n` | >= 0 | 0 |
    | `dry_sequence_breakers` | token ids | () |
    | `top_n_sigma` | a number | 0 and below |
    | `top_k` | an integer; exactly k stay | 0 and below |
    | `typ_p`, `top_p` | >= 0 | 1 and above |
    | `min_p` | at most 1 | 0 and below |
    | `min_keep` | >= 0: the floor of typ_p, top_p, min_p and XTC | 0, 1 |
    | `xtc_probability` | [0, 1] | 0 |
    | `xtc_threshold` | [0, 1] | above 0.5 |
    | `temp` | a number; 0 and below is greedy | 1 |
    | `dynatemp_range` | >= 0 | 0 |
    | `dynatemp_exponent` | >= 0 | |
    | `seed` | of XTC's coin alone, in [0, 2⁶⁴); see `Xtc` | |

    At a `temp` of 0 and below the pipeline ends with `TopK(1, keep_ties=False)` in place of the
    temperature: it leaves the likeliest token that the samplers before it leave; typical-p and XTC
    can remove the likeliest of all. Without a temperature among the samplers one of 1 ends the
    pipeline, so that tokens are sampled, as llama.cpp does.
    Mirostat and adaptive-p take the place of the chain's end and steer by what was drawn, so that
    they are no part of a pipeline: `Mirostat1`, `Mirostat2` and `AdaptiveP`. Infill is not here.

    Deliberate deviations:
      - breakers are token ids, as no tokenizer is known here, and none is the default;
      - typical-p under `min_keep` keeps the likeliest tokens (there the most typical);
      - ties at the cut of typical-p stay, as do those of XTC's least likely choice;
      - of tokens that tie at the cut of top-k and top-p the lowest ids stay (there the sort
        decides);
      - impossible tokens never count: not in typical-p's entropy (there NaN), nor in dynamic
        temperature's number of tokens;
      - dynamic temperature around a `temp` of 0 or below is an error;
      - a grammar is a mask before all samplers, never a second draw.

    Source: llama.cpp as in llama-cpp-python 0.3.36, src/llama-sampler.cpp, common/sampling.cpp.

    >>> llama_cpp(samplers=("temperature", "top_k"), temp=0.7).processors
    (Temperature(temperature=0.7), TopK(top_k=40, keep_ties=False))

    Raises:
        ParameterError: a parameter is outside its range.
    """
    order = _checked(samplers)
    bias = biases("logit_bias", logit_bias)
    window = whole("repeat_last_n", repeat_last_n, at_least=0)
    repetition = number("repeat_penalty", repeat_penalty, above=0)
    frequency = number("frequency_penalty", frequency_penalty)
    presence = number("presence_penalty", presence_penalty)
    dry = Dry(
        number("dry_multiplier", dry_multiplier, at_least=0),
        number("dry_base", dry_base, at_least=1),
        whole("dry_allowed_length", dry_allowed_length, at_least=1),
        whole("dry_penalty_last_n", dry_penalty_last_n, at_least=0),
        token_ids("dry_sequence_breakers", dry_sequence_breakers),
    )
    top_n_sigma = number("top_n_sigma", top_n_sigma)
    top_k = whole("top_k", top_k, at_least=-(2**31))
    typ_p = number("typ_p", typ_p, at_least=0)
    top_p = number("top_p", top_p, at_least=0)
    min_p = number("min_p", min_p, at_most=1)
    floor = whole("min_keep", min_keep, at_least=0)
    xtc = Xtc(
        number("xtc_probability", xtc_probability, at_least=0, at_most=1),
        number("xtc_threshold", xtc_threshold, at_least=0, at_most=1),
        whole("seed", seed, at_least=0, at_most=2**64 - 1),
        min_tokens_to_keep=max(1, floor),
    )
    temp = number("temp", temp)
    spread = number("dynatemp_range", dynatemp_range, at_least=0)
    exponent = number("dynatemp_exponent", dynatemp_exponent, at_least=0)
    if temp <= 0.0 and "temperature" in order:
        if spread:
            raise ParameterError("dynatemp_range", dynatemp_range, "0 where temp is 0 or below")
        order = order[: order.index("temperature") + 1]
    penalties = (
        Scoped(RepetitionPenalty(repetition), "all", window) if repetition != 1.0 else None,
        Scoped(FrequencyPenalty(frequency), "all", window) if frequency else None,
        Scoped(PresencePenalty(presence), "all", window) if presence else None,
    )
    stages: dict[SamplerName, Processor | None] = {
        "penalties": chain(*filter(None, penalties)) if window else None,
        "dry": dry if dry.dry_multiplier and dry.last_n else None,
        "top_n_sigma": TopNSigma(top_n_sigma) if top_n_sigma > 0.0 else None,
        "top_k": TopK(top_k, keep_ties=False) if top_k > 0 else None,
        "typ_p": _floored(TypicalP(typ_p or _TINY), floor) if typ_p < 1.0 else None,
        "top_p": _floored(TopP(top_p or _TINY), floor) if top_p < 1.0 else None,
        "min_p": _floored(MinP(min_p), floor) if min_p > 0.0 else None,
        "xtc": xtc if xtc.xtc_probability and xtc.xtc_threshold <= 0.5 else None,
        "temperature": _temperature(temp, spread, exponent),
    }
    chosen = (
        LogitBias(bias) if bias else None,
        *(stages[name] for name in order),
        Temperature(1.0) if "temperature" not in order else None,
    )
    return chain(*filter(None, chosen))


def _checked(samplers: Sequence[SamplerName]) -> tuple[SamplerName, ...]:
    names = get_args(SamplerName)
    text = isinstance(samplers, str) or not isinstance(samplers, Sequence)
    if text or len(set(samplers)) < len(samplers) or not set(samplers) <= set(names):
        raise ParameterError("samplers", samplers, f"each at most once of {', '.join(names)}")
    return tuple(samplers)


def _floored(truncation: DeclaredProcessor, floor: int) -> DeclaredProcessor:
    """Put `AtLeast` around a truncation; a floor of one token changes nothing and is left out."""
    return AtLeast(truncation, floor) if floor > 1 else truncation


def _temperature(temp: float, spread: float, exponent: float) -> Processor:
    if temp <= 0.0:
        return TopK(1, keep_ties=False)
    return DynamicTemperature(temp, spread, exponent) if spread else Temperature(temp)
