"""Reads the JSON of a response into records, and checks its types.

The wire does not hold everything that the records do. What it leaves out is read as a value that no
generation has: NaN for `raw_logprob` and `entropy`, 0 for `rank`, `support_size` and
`input_length`. A logprob that JSON wrote as null, because it was not finite, is NaN.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from decoding.checks import integer, real, text
from decoding.errors import ParameterError
from decoding.typing import Anything

_Value = TypeVar("_Value")

Fields: TypeAlias = dict[str, Any]
"""The arguments of a record; those of the records within it are a dict, or a tuple of dicts."""


def read_response(document: str | bytes, finish_reasons: tuple[str, ...]) -> Fields:
    """Read the fields of a `Response` from JSON; see `Response.from_json`."""
    if not isinstance(document, str | bytes | bytearray):
        raise ParameterError("response", document, "the JSON text of a response")
    try:
        decoded = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise ParameterError("response", document, "the JSON text of a response") from error
    body = JsonObject("response", decoded)
    generated_text = body.value("generated_text", text, "a string")
    details = body.object("details", "there: `details` asks a generation for them")
    losers = details.objects("best_of_sequences")
    return {
        "generated_text": generated_text,
        "provenance": body.decoded.get("provenance"),
        "details": {
            **_sequence(details, finish_reasons),
            "input_length": 0,
            "best_of_sequences": tuple(_best_of(loser, finish_reasons) for loser in losers),
        },
    }


class JsonObject:
    """A JSON object with typed access to its members; errors name their path."""

    def __init__(self, place: str, decoded: object, expected: str = "an object") -> None:
        if not isinstance(decoded, Mapping):
            raise ParameterError(place, decoded, expected)
        self.place, self.decoded = place, decoded

    def value(self, name: str, convert: Callable[[object], _Value], expected: str) -> _Value:
        """A member of a type."""
        found = self.decoded.get(name)
        try:
            return convert(found)
        except (TypeError, ValueError, OverflowError):
            raise ParameterError(f"{self.place}.{name}", found, expected) from None

    def optional(
        self, name: str, convert: Callable[[object], _Value], expected: str
    ) -> _Value | None:
        """A member of a type, or None where it is null or absent."""
        if self.decoded.get(name) is None:
            return None
        return self.value(name, convert, f"{expected}, or null")

    def object(self, name: str, expected: str = "an object") -> JsonObject:
        """A member that is an object."""
        return JsonObject(f"{self.place}.{name}", self.decoded.get(name), expected)

    def objects(self, name: str) -> list[JsonObject]:
        """The items of a member that is a list of objects; none where it is null or absent."""
        return _objects(f"{self.place}.{name}", self.decoded.get(name))


def _objects(place: str, decoded: Anything) -> list[JsonObject]:  # JSON
    if decoded is None:
        return []
    if not isinstance(decoded, list):
        raise ParameterError(place, decoded, "a list")
    return [JsonObject(f"{place}[{index}]", item) for index, item in enumerate(decoded)]


def _best_of(wire: JsonObject, finish_reasons: tuple[str, ...]) -> Fields:
    generated_text = wire.value("generated_text", text, "a string")
    return {"generated_text": generated_text, **_sequence(wire, finish_reasons)}


def _sequence(wire: JsonObject, finish_reasons: tuple[str, ...]) -> Fields:
    """The fields that `Details` and `BestOfSequence` share."""
    tokens = tuple(map(_token, wire.objects("tokens")))
    count = wire.value("generated_tokens", _natural, "an integer >= 0")
    if count != len(tokens):
        expected = f"{len(tokens)}, the number of tokens"
        raise ParameterError(f"{wire.place}.generated_tokens", count, expected)
    steps = wire.decoded.get("top_tokens")
    if not isinstance(steps, list | None):
        raise ParameterError(f"{wire.place}.top_tokens", steps, "a list of lists")
    top_tokens = [
        tuple(
            {**_described(token), "raw_logprob": math.nan}
            for token in _objects(f"{wire.place}.top_tokens[{index}]", step)
        )
        for index, step in enumerate(steps or ())
    ]
    finish_reason = wire.value("finish_reason", text, "a string")
    if finish_reason not in finish_reasons:
        expected = f"one of {', '.join(finish_reasons)}"
        raise ParameterError(f"{wire.place}.finish_reason", finish_reason, expected)
    return {
        "finish_reason": finish_reason,
        "seed": wire.optional("seed", _natural, "an integer >= 0"),
        "tokens": tokens,
        "prefill": tuple(map(_prefill_token, wire.objects("prefill"))),
        "top_tokens": tuple(top_tokens),
    }


def _token(wire: JsonObject) -> Fields:
    unknown = {"raw_logprob": math.nan, "rank": 0, "entropy": math.nan, "support_size": 0}
    return {**_described(wire), **unknown}


def _described(wire: JsonObject) -> Fields:
    logprob = wire.optional("logprob", real, "a number")
    return {
        "id": wire.value("id", _natural, "an integer >= 0"),
        "text": wire.value("text", text, "a string"),
        "logprob": math.nan if logprob is None else logprob,
        "special": wire.value("special", _bool, "a bool"),
    }


def _prefill_token(wire: JsonObject) -> Fields:
    return {
        "id": wire.value("id", _natural, "an integer >= 0"),
        "text": wire.value("text", text, "a string"),
        "logprob": wire.optional("logprob", real, "a number"),
    }


def _natural(value: object) -> int:
    number = integer(value)
    if number < 0:
        raise ValueError
    return number


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value
