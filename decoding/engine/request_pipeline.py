"""Makes the pipeline that a request's parameters ask for, in one documented order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from functools import cache, lru_cache
from operator import attrgetter
from types import MappingProxyType

from decoding.errors import require
from decoding.facts import Facts, Kind, requested
from decoding.parameters import GenerationParameters
from decoding.pipeline import Pipeline, chain
from decoding.processors import (
    PROCESSORS,
    BadWords,
    Dry,
    DynamicTemperature,
    FrequencyPenalty,
    GrammarMask,
    MinTokens,
    Mirostat1,
    Mirostat2,
    PresencePenalty,
    RepetitionPenalty,
    Scoped,
    Temperature,
    Watermark,
    Xtc,
)
from decoding.processors.scoped import Part
from decoding.typing import Anything, DeclaredProcessor, Processor
from decoding.vocabulary import Tokenizer
from decoding.watermark.presets import tgi

_MOST_REMEMBERED = 256
"""Pipelines that are remembered, by the numbers that requests ask for."""

_NUMBERS = frozenset({int, float, bool})


@dataclass(frozen=True, slots=True)
class _Asked:
    """The arguments of `pipeline_of`."""

    parameters: GenerationParameters
    vocab_size: int | None
    eos_token_ids: Collection[int]
    grammar_mask: GrammarMask | None
    seed: int
    tokenizer: Tokenizer | None


def pipeline_of(
    parameters: GenerationParameters,
    vocab_size: int | None = None,
    *,
    eos_token_ids: Collection[int] = (),
    grammar_mask: GrammarMask | None = None,
    seed: int = 0,
    tokenizer: Tokenizer | None = None,
) -> Pipeline:
    """Make the pipeline of a request: TGI's order; other processors come next to their kind.

    watermark → repetition → frequency → presence → bias → grammar
        → DRY → no repeated n-gram → bad words → suppressed, allowed tokens → min tokens
        → temperature → top-k → top-p → typical-p → min-p
        → epsilon, eta cutoff → top-nσ → top-H → other truncations → XTC → mirostat

    The order is that of `Facts.place` of the classes in `decoding.processors`.

    vocab_size: the width of the model's logits, where it is known: then the watermark, which is
    TGI's (`decoding.watermark.presets.tgi`), is lowered too.
    eos_token_ids: what `min_tokens` keeps back. seed: of the sequence, for XTC's coin.
    grammar_mask: that of the request's grammar, compiled for the model's vocabulary.
    tokenizer: what `bad_words` and `dry_sequence_breakers` are encoded with; `ParameterError` where
    they are asked for and there is none.

    Unset and neutral parameters take no part. At temperature 0 neither do the truncations: they
    follow the temperature, and what it leaves is the likeliest token alone.
    """
    legal = isinstance(parameters, GenerationParameters)
    require("parameters", parameters, legal, "GenerationParameters")
    values = _values_of(parameters)
    if grammar_mask is None and _depend_on_fields_alone(parameters, values):
        return _remembered(_Numbers(values, frozenset(eos_token_ids), parameters))
    return _made(_Asked(parameters, vocab_size, eos_token_ids, grammar_mask, seed, tokenizer))


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Fields of a request that hold numbers alone; requests that are alike share a pipeline.

    values: of all fields that processors read. parameters: a request that has them.
    """

    values: tuple[object, ...]
    eos_token_ids: frozenset[int]
    parameters: GenerationParameters = field(compare=False)


def _values_of(parameters: GenerationParameters) -> tuple[object, ...]:
    """The values of all fields that processors read; None for what holds nothing."""
    return tuple(
        [value if type(value) in _NUMBERS else value or None for value in _get_values(parameters)]
    )


def _depend_on_fields_alone(parameters: GenerationParameters, values: tuple[object, ...]) -> bool:
    """Whether nothing but numbers of the request decides on its pipeline.

    TGI's watermark reads the environment, XTC's coin has the seed of the sequence, and DRY needs a
    tokenizer. Lists of tokens are not remembered, as they can be long.
    """
    return not (
        parameters.watermark or parameters.xtc_probability or parameters.dry_multiplier
    ) and (all(value is None or type(value) in _NUMBERS for value in values))


@lru_cache(_MOST_REMEMBERED)
def _remembered(known: _Numbers) -> Pipeline:
    return _made(_Asked(known.parameters, None, known.eos_token_ids, None, 0, None))


def _made(asked: _Asked) -> Pipeline:
    parameters = asked.parameters
    made: list[Processor] = []
    for item, is_skipped, first, unset in _CANDIDATES:
        maker = _MAKERS.get(item)
        if maker is None and getattr(parameters, first) in unset:
            continue
        if is_skipped and parameters.temperature == 0.0:
            continue
        processor = (maker or _of_fields)(item, asked)
        if processor is not None:
            made.append(processor)
    return chain(*made)


def _is_asked(facts: Facts, parameters: GenerationParameters) -> bool:
    """Whether the first field of a processor is neither unset nor neutral."""
    first = facts.fields[0]
    return getattr(parameters, first.name) not in (first.initial, first.neutral)


@cache
def _attributes(kind: type) -> frozenset[str]:
    """The names of the fields of a processor's class."""
    return frozenset(item.name for item in fields(kind))


def _of_fields(
    item: Anything, asked: _Asked, given: Mapping[str, object] = MappingProxyType({})
) -> DeclaredProcessor | None:
    """A processor whose parameters are fields of the request; None where it is not asked for.

    given: the parameters that are no fields, or not as they are.
    """
    facts: Facts = item.facts
    if not _is_asked(facts, asked.parameters):
        return None
    attributes = _attributes(item)
    values = dict(given)
    for asked_field in facts.fields:
        name = asked_field.attribute or asked_field.name
        value = getattr(asked.parameters, asked_field.name)
        if name in attributes and name not in given:
            values[name] = asked_field.default if value is None else value
    made: DeclaredProcessor = item(**values)
    return made


def _watermark(_: type, asked: _Asked) -> Processor | None:
    return Watermark(tgi(), asked.vocab_size) if asked.parameters.watermark else None


def _penalty(item: type, asked: _Asked) -> Processor | None:
    """Over the last tokens of the text, where only those count; repetition sees the prompt too."""
    penalty = _of_fields(item, asked)
    last_n = _window(asked.parameters.repeat_last_n)
    if penalty is None or last_n is None:
        return penalty
    part: Part = "all" if item is RepetitionPenalty else "generated"
    return Scoped(penalty, part, last_n)


def _window(last_n: int | None) -> int | None:
    """How many tokens are looked at; None for all."""
    return None if last_n == -1 else last_n


def _grammar(_: type, asked: _Asked) -> Processor | None:
    return asked.grammar_mask


def _dry(item: type, asked: _Asked) -> Processor | None:
    if not asked.parameters.dry_multiplier:
        return None
    from decoding.engine.request_words import breaker_ids

    last_n = _window(asked.parameters.dry_penalty_last_n)
    breakers = breaker_ids(asked.parameters.dry_sequence_breakers, asked.tokenizer)
    return _of_fields(item, asked, {"last_n": last_n, "breakers": breakers})


def _bad_words(_: type, asked: _Asked) -> Processor | None:
    ids, words = asked.parameters.bad_words_ids, asked.parameters.bad_words
    if not ids and not words:
        return None
    from decoding.engine.request_words import bad_word_sequences

    return BadWords([*ids, *bad_word_sequences(words, asked.tokenizer)])


def _temperature(item: type, asked: _Asked) -> Processor | None:
    return None if asked.parameters.dynatemp_range else _of_fields(item, asked)


def _dynamic_temperature(item: type, asked: _Asked) -> Processor | None:
    middle = asked.parameters.temperature
    return _of_fields(item, asked, {"temperature": 1.0 if middle is None else middle})


def _mirostat(item: type, asked: _Asked) -> Processor | None:
    version = Mirostat1 if asked.parameters.mirostat == 1 else Mirostat2
    return _of_fields(item, asked) if item is version else None


_CANDIDATES = tuple(
    (
        item,
        item.facts.kind in (Kind.SCALE, Kind.TRUNCATION),
        item.facts.fields[0].name,
        (item.facts.fields[0].initial, item.facts.fields[0].neutral),
    )
    for item in requested(PROCESSORS)
)
"""The processors that a request can ask for, in their order; whether temperature 0 makes them
superfluous; the field that asks for them, and its values that do not."""

_get_values = attrgetter(
    *dict.fromkeys(item.name for kind in requested(PROCESSORS) for item in kind.facts.fields)
)


_MAKERS: Mapping[type, Callable[[type, _Asked], Processor | None]] = {
    Watermark: _watermark,
    RepetitionPenalty: _penalty,
    FrequencyPenalty: _penalty,
    PresencePenalty: _penalty,
    GrammarMask: _grammar,
    Dry: _dry,
    BadWords: _bad_words,
    MinTokens: lambda item, asked: _of_fields(
        item, asked, {"eos_token_ids": tuple(asked.eos_token_ids)}
    ),
    Temperature: _temperature,
    DynamicTemperature: _dynamic_temperature,
    Xtc: lambda item, asked: _of_fields(item, asked, {"seed": asked.seed}),
    Mirostat1: _mirostat,
    Mirostat2: _mirostat,
}
"""For classes whose parameters are not the fields of a request as they are."""
