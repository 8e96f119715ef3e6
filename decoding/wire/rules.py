"""Validates requests as TGI does: with TGI's ranges, order of checks and messages.

Python callers have the wider ranges of `GenerationParameters`; `validate` applies TGI's.
Source: TGI 3.3.6, router/src/validation.rs, infer/mod.rs and server.rs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from decoding.errors import ParameterError, WireValidationError
from decoding.parameters import REQUEST_FIELDS, SAMPLING, GenerationParameters
from decoding.request_grammar import Grammar, json_object_text
from decoding.wire.types import parse_parameters, read_text

Rule: TypeAlias = tuple[bool, str]
"""Whether a rule is broken, and the text that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """The limits of a server: best-of, stop strings, top tokens, input and total tokens.

    max_best_of, max_stop_sequences, max_top_n_tokens: TGI's defaults 2, 4 and 5.
    max_input_tokens, max_total_tokens: 1024 and 2048, the defaults of TGI's router; TGI's launcher
        replaces them by the model's context length, and so should a server.
    disable_grammar_support: refuse every grammar.

    Raises ParameterError unless max_best_of and max_input_tokens are >= 1, the next two >= 0, and
    max_input_tokens < max_total_tokens, which leaves room for one new token.
    """

    max_best_of: int = 2
    max_stop_sequences: int = 4
    max_top_n_tokens: int = 5
    max_input_tokens: int = 1024
    max_total_tokens: int = 2048
    disable_grammar_support: bool = False

    def __post_init__(self) -> None:
        for name, least in (
            ("max_best_of", 1),
            ("max_stop_sequences", 0),
            ("max_top_n_tokens", 0),
            ("max_input_tokens", 1),
            ("max_total_tokens", self.max_input_tokens + 1),
        ):
            value = getattr(self, name)
            if value < least:
                raise ParameterError(name, value, f"an integer >= {least}")


def validate(
    inputs: str,
    fields: Mapping[str, object] | None,
    *,
    limits: WireLimits,
    stream: bool,
    count_tokens: Callable[[str], int],
) -> GenerationParameters:
    """Validate a TGI request; raise TGI's message for the first rule that it breaks.

    inputs, fields: the body's `inputs` and `parameters`, decoded from JSON. `fields=None` means
        that the key is absent, where TGI samples; an empty mapping decodes greedily.
    stream: whether the answer will be streamed.
    count_tokens: the length of the whole prompt; called once, after the rules that do not need it.

    In the result numbers are rounded to float32, as TGI holds them; `best_of` 0 has become 1; an
    absent `max_new_tokens` is what `max_total_tokens` leaves after the prompt, or after its last
    `truncate` tokens.

    `do_sample` is always set, by TGI's rule, which is not the library's: tokens are sampled if it
    is true or `temperature`, `top_k`, `top_p` or `typical_p` is not neutral. Where they are not, a
    seed and what is neutral are dropped: a temperature of 1.0 or a seed alone is greedy.

    On purpose this is not TGI:
      - a JSON Schema needs no `properties`. Whether it is a schema at all, and whether a regex
        compiles, is found out when the request is submitted, as a `GrammarError`;
      - `best_of` > 1 beside a temperature of 1.0 samples, where TGI repeats one greedy answer;
      - what only the library refuses (an empty stop string, an infinite temperature) is refused
        after all of TGI's rules, in the library's words;
      - `presence_penalty` in [-2, 2], `min_p`, `logit_bias` (keys are ids in decimal) and what
        follows them in `GenerationParameters` are known, and the truncations count as sampling.

    Raises WireValidationError; `str()` is TGI's text, for a wrong JSON type its web framework's.

    >>> tiny = WireLimits(max_input_tokens=4, max_total_tokens=8)
    >>> validate("Hi", {"top_k": 2}, limits=tiny, stream=False, count_tokens=len)
    ... # doctest: +ELLIPSIS
    GenerationParameters(... top_k=2, ... max_new_tokens=6, ...)
    """
    read_text("inputs", inputs)
    given = parse_parameters({"do_sample": True} if fields is None else fields)
    _enforce(_request_rules(inputs, given, limits, stream=stream))
    input_tokens = _count(inputs, given.get("truncate"), count_tokens)
    max_new_tokens = check_lengths(input_tokens, given.get("max_new_tokens"), limits)
    _enforce(_grammar_rules(given.get("grammar"), limits))
    _enforce(_extension_rules(given))
    return _parameters(given, max_new_tokens)


def validate_fields(
    given: Mapping[str, Any], *, limits: WireLimits, stream: bool
) -> GenerationParameters:
    """Validate parameters alone, as `validate` does, where the prompt is not known yet (chats).

    given: what `parse_parameters` returned. `check_lengths` follows when the prompt is known; until
        then an absent `max_new_tokens` stays None.
    """
    _enforce(_request_rules("a prompt that is not known yet", given, limits, stream=stream))
    _enforce(_grammar_rules(given.get("grammar"), limits))
    _enforce(_extension_rules(given))
    return _parameters(given, given.get("max_new_tokens"))


def check_lengths(input_tokens: int, max_new_tokens: int | None, limits: WireLimits) -> int:
    """How many tokens may be generated after a prompt: as many as asked, or all there is room for.

    Raises WireValidationError where prompt and new tokens are more than the limits allow.
    """
    left = max(0, limits.max_total_tokens - input_tokens)
    new = left if max_new_tokens is None else max_new_tokens
    _enforce(_length_rules(input_tokens, new, limits))
    return new


def _enforce(rules: Iterable[Rule]) -> None:
    for broken, text in rules:
        if broken:
            raise WireValidationError(text)


def _request_rules(
    inputs: str, given: Mapping[str, Any], limits: WireLimits, *, stream: bool
) -> Iterator[Rule]:
    """The rules that TGI checks before it tokenises."""
    get = given.get
    best_of, stops, top_n = get("best_of", 1), len(get("stop", ())), get("top_n_tokens", 0)
    truncate, longest = get("truncate", 1), limits.max_input_tokens
    # TGI counts presence: a temperature of 1.0 is enough.
    sampling = get("do_sample", False) or not _SAMPLING.isdisjoint(given)
    prefill_on_stream = stream and get("decoder_input_details", False)

    yield stream and best_of != 1, "`best_of` != 1 is not supported when streaming tokens"
    yield (
        prefill_on_stream,
        "`decoder_input_details` == true is not supported when streaming tokens",
    )
    yield (
        best_of > 1 and limits.max_best_of == 1,
        "`best_of` != 1 is not allowed for this endpoint",
    )
    yield (
        best_of > limits.max_best_of,
        f"`best_of` must be > 0 and <= {limits.max_best_of}. Given: {best_of}",
    )
    yield best_of > 1 and not sampling, "you must use sampling when `best_of` is > 1"
    yield get("temperature", 1.0) <= 0.0, "`temperature` must be strictly positive"
    yield get("repetition_penalty", 1.0) <= 0.0, "`repetition_penalty` must be strictly positive"
    yield abs(get("frequency_penalty", 0.0)) > 2.0, "`frequency_penalty` must be >= -2.0 and <= 2.0"
    yield not 0.0 < get("top_p", 0.5) < 1.0, "`top_p` must be > 0.0 and < 1.0"
    yield not 0.0 < get("typical_p", 0.5) < 1.0, "`typical_p` must be > 0.0 and < 1.0"
    yield get("top_k", 1) <= 0, "`top_k` must be strictly positive"
    yield get("max_new_tokens", 1) == 0, "`max_new_tokens` must be strictly positive"
    yield (
        stops > limits.max_stop_sequences,
        f"`stop` supports up to {limits.max_stop_sequences} stop sequences. Given: {stops}",
    )
    yield best_of > 1 and "seed" in given, "`seed` must not be set when `best_of` > 1"
    yield (
        top_n > limits.max_top_n_tokens,
        f"`top_n_tokens` must be >= 0 and <= {limits.max_top_n_tokens}. Given: {top_n}",
    )
    yield not inputs, "`inputs` cannot be empty"
    yield (
        not 0 < truncate <= longest,  # TGI says "less than" and means at most
        f"`truncate` must be strictly positive and less than {longest}. Given: {truncate}",
    )


def _count(inputs: str, truncate: int | None, count_tokens: Callable[[str], int]) -> int:
    try:
        counted = int(count_tokens(inputs))
    except Exception as error:
        raise WireValidationError(f"tokenizer error {error}") from error
    return counted if truncate is None else min(counted, truncate)


def _length_rules(inputs: int, new: int, limits: WireLimits) -> Iterator[Rule]:
    most, longest = limits.max_total_tokens, limits.max_input_tokens
    given = f"Given: {inputs} `inputs` tokens and {new} `max_new_tokens`"
    yield inputs + new > most, f"`inputs` tokens + `max_new_tokens` must be <= {most}. {given}"
    yield inputs > longest, f"`inputs` must have less than {longest} tokens. Given: {inputs}"


def _grammar_rules(grammar: Mapping[str, Any] | None, limits: WireLimits) -> Iterator[Rule]:
    if grammar is None:
        return
    kind, value = grammar["type"], grammar["value"]
    yield limits.disable_grammar_support, "grammar is not supported"
    if kind in ("json", "json_object"):
        yield not isinstance(value, str | Mapping), "grammar is not supported"
        yield _schema_rule(value)
    if kind == "json_schema":
        # TGI reads a string as JSON text in the other two forms alone.
        schema = value["schema"]
        yield _schema_rule(json.dumps(schema) if isinstance(schema, str) else schema)


def _schema_rule(schema: object) -> Rule:
    try:
        json_object_text(schema)
    except ValueError as error:
        return True, f"grammar is not valid: {error}"
    return False, ""


def _extension_rules(given: Mapping[str, Any]) -> Iterator[Rule]:
    presence_penalty = given.get("presence_penalty", 0.0)
    yield abs(presence_penalty) > 2.0, "`presence_penalty` must be >= -2.0 and <= 2.0"


def _parameters(given: Mapping[str, Any], max_new_tokens: int | None) -> GenerationParameters:
    """Make the parameters; the library's own checks come after TGI's."""
    best_of = max(1, given.get("best_of", 1))
    warped = any(given.get(name, neutral) != neutral for name, neutral in _NEUTRAL.items())
    sampling = given.get("do_sample", False) or best_of > 1 or warped
    adjusted: dict[str, Any] = {
        name: value
        for name, value in given.items()
        if sampling or (name != "seed" and name not in _NEUTRAL)
    }
    adjusted |= {"do_sample": sampling, "max_new_tokens": max_new_tokens}
    if "best_of" in given:
        adjusted["best_of"] = best_of
    try:
        if "grammar" in given:
            adjusted["grammar"] = Grammar.from_dict(given["grammar"])
        return GenerationParameters(**adjusted)
    except ParameterError as error:
        raise WireValidationError(str(error)) from error


_NEUTRAL = {
    name: REQUEST_FIELDS[name].initial if neutral is None else neutral
    for name, neutral in ((name, REQUEST_FIELDS[name].neutral) for name in SAMPLING)
}
"""What asks for sampling on the wire, unless it has this value."""
_SAMPLING = frozenset(SAMPLING)
