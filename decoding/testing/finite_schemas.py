"""Draws JSON Schemas of finitely many values; tells which tokens may follow each prefix.

A schema is drawn together with a finite list that holds every value it can have: an enumeration,
a bounded integer, an array or an object of a few such. Further keywords (`not`, `allOf`, `if` ...)
take values away and add none. `jsonschema`, or any validator, tells which of the list are valid;
so what may follow a prefix is known exactly, of every token, in both directions.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from decoding.typing import Anything

Schema: TypeAlias = dict[str, Any]
_MOST = 300
"""Values of one schema, so that a validator can be asked about each."""
_NAMES = ("a", "b", "ab")
_STRINGS = ("", "a", "b", "ab", "ba", "é")
_SCALARS: tuple[Any, ...] = (None, True, False, -1, 0, 1, 2, 10, 2.5, *_STRINGS)


@dataclass(frozen=True, slots=True)
class FiniteSchema:
    """A JSON Schema, and a list of values that holds every value it can have."""

    schema: Schema
    values: tuple[Any, ...]


def draw_finite_schema(rng: random.Random, depth: int = 2) -> FiniteSchema:
    """A random schema of at most `depth` levels of arrays and objects."""
    kinds: list[Callable[[random.Random, int], FiniteSchema]] = [
        _enumeration,
        _constant,
        _integer,
        _text,
        _name_of_type,
    ]
    if depth:
        kinds += [_array, _tuple, _object, _object, _union, _union]
    drawn = rng.choice(kinds)(rng, depth)
    if rng.random() < 0.4:
        drawn = FiniteSchema({**drawn.schema, **_further(rng, drawn.schema)}, drawn.values)
    return drawn


def _enumeration(rng: random.Random, _: int) -> FiniteSchema:
    pool: list[Any] = [*_SCALARS, [], [1], {}, {"a": 1}, [None, "a"]]
    values = rng.sample(pool, rng.randint(1, 4))
    # Places are sampled, so both True and 1 may come: they are equal in Python and differ in JSON.
    return FiniteSchema({"enum": values}, tuple(values))


def _constant(rng: random.Random, _: int) -> FiniteSchema:
    value = rng.choice(_SCALARS)
    return FiniteSchema({"const": value}, (value,))


def _integer(rng: random.Random, _: int) -> FiniteSchema:
    low = rng.randint(-12, 12)
    high = low + rng.randint(0, 15)
    schema: Schema = {"type": "integer"}
    schema |= rng.choice([{"minimum": low}, {"exclusiveMinimum": low - 1}])
    schema |= rng.choice([{"maximum": high}, {"exclusiveMaximum": high + 1}])
    if rng.random() < 0.3:
        schema["multipleOf"] = rng.choice([2, 3, 5])
    return FiniteSchema(schema, tuple(range(low, high + 1)))


def _text(rng: random.Random, _: int) -> FiniteSchema:
    longest = rng.randint(0, 3)
    letters = rng.choice(["ab", "a", "aé"])
    lengths = range(longest + 1)
    values = ["".join(some) for n in lengths for some in itertools.product(letters, repeat=n)]
    schema: Schema = {"type": "string", "pattern": f"^[{letters}]*$", "maxLength": longest}
    if rng.random() < 0.5:
        schema["minLength"] = rng.randint(0, longest)
    return FiniteSchema(schema, tuple(values))


def _name_of_type(rng: random.Random, _: int) -> FiniteSchema:
    return rng.choice(
        [
            FiniteSchema({"type": "null"}, (None,)),
            FiniteSchema({"type": "boolean"}, (False, True)),
            FiniteSchema({"type": ["null", "boolean"]}, (None, False, True)),
        ]
    )


def _array(rng: random.Random, depth: int) -> FiniteSchema:
    items = draw_finite_schema(rng, depth - 1)
    most = rng.randint(0, 3)
    while sum(len(items.values) ** n for n in range(most + 1)) > _MOST:
        most -= 1
    schema: Schema = {"type": "array", "items": items.schema, "maxItems": most}
    if rng.random() < 0.4:
        schema["minItems"] = rng.randint(0, most)
    if rng.random() < 0.2:
        schema["uniqueItems"] = True
    lists = (
        list(some) for n in range(most + 1) for some in itertools.product(items.values, repeat=n)
    )
    return FiniteSchema(schema, tuple(lists))


def _tuple(rng: random.Random, depth: int) -> FiniteSchema:
    parts = [draw_finite_schema(rng, depth - 1) for _ in range(rng.randint(1, 3))]
    while _size(parts) > _MOST:
        parts.pop()
    if not parts:
        return _integer(rng, depth)
    schema: Schema = {
        "type": "array",
        "prefixItems": [part.schema for part in parts],
        "items": False,
    }
    if rng.random() < 0.6:
        schema["minItems"] = rng.randint(0, len(parts))
    lists = (
        list(some)
        for n in range(len(parts) + 1)
        for some in itertools.product(*(part.values for part in parts[:n]))
    )
    return FiniteSchema(schema, tuple(lists))


def _object(rng: random.Random, depth: int) -> FiniteSchema:
    names = rng.sample(_NAMES, rng.randint(0, 3))
    parts = {name: draw_finite_schema(rng, depth - 1) for name in names}
    while _size([*parts.values()], absent=1) > _MOST:
        parts.popitem()
    schema: Schema = {
        "type": "object",
        "properties": {name: part.schema for name, part in parts.items()},
        "additionalProperties": False,
    }
    if rng.random() < 0.7:
        schema["required"] = [name for name in parts if rng.random() < 0.6]
    if rng.random() < 0.15:
        schema["minProperties"] = rng.randint(0, len(parts))
    if rng.random() < 0.15:
        schema["maxProperties"] = rng.randint(0, len(parts))
    if len(parts) > 1 and rng.random() < 0.2:
        first, second, *_ = parts
        schema["dependentRequired"] = {first: [second]}
    values: list[Any] = []
    for present in itertools.product((False, True), repeat=len(parts)):
        chosen = [name for name, there in zip(parts, present, strict=True) if there]
        values += [
            dict(zip(chosen, some, strict=True))
            for some in itertools.product(*(parts[name].values for name in chosen))
        ]
    return FiniteSchema(schema, tuple(values))


def _union(rng: random.Random, depth: int) -> FiniteSchema:
    parts = [draw_finite_schema(rng, depth - 1) for _ in range(rng.randint(2, 3))]
    keyword = rng.choice(["anyOf", "anyOf", "oneOf"])
    values = tuple(itertools.chain.from_iterable(part.values for part in parts))
    return FiniteSchema({keyword: [part.schema for part in parts]}, values)


def _further(rng: random.Random, schema: Schema) -> Schema:
    """A keyword that takes values away."""

    def any_schema() -> Schema:
        found: list[Schema] = [
            {"const": rng.choice(_SCALARS)},
            {"enum": rng.sample(_SCALARS, 3)},
            {"type": rng.choice(["null", "boolean", "string", "integer", "array", "object"])},
            {"minimum": rng.randint(-3, 5)},
            {"maxLength": rng.randint(0, 2)},
            {"pattern": rng.choice(["^a", "b$", "^[ab]*$", "a"])},
            {"minItems": rng.randint(0, 2)},
            {"required": [rng.choice(_NAMES)]},
            {"properties": {rng.choice(_NAMES): {"type": rng.choice(["integer", "string"])}}},
        ]
        return rng.choice(found)

    drawn: list[Schema] = [
        {"not": any_schema()},
        {"allOf": [any_schema()]},
        {"if": any_schema(), "then": any_schema()},
        {"if": any_schema(), "then": any_schema(), "else": any_schema()},
        {"anyOf": [any_schema(), any_schema()]},
        {"oneOf": [any_schema(), any_schema()]},
        {"contains": any_schema()},
    ]
    found = rng.choice(drawn)
    return {} if found.keys() & schema.keys() else found


def _size(parts: Sequence[FiniteSchema], absent: int = 0) -> int:
    size = 1
    for part in parts:
        size *= len(part.values) + absent
    return size


def texts_of(values: Sequence[Any]) -> set[bytes]:
    """The compact JSON texts of values, with the keys of every object in every order."""
    return {text.encode() for value in values for text in _spelled(value)}


def _spelled(value: Anything) -> list[str]:
    if isinstance(value, list):
        inner = itertools.product(*(_spelled(item) for item in value))
        return [f"[{','.join(some)}]" for some in inner]
    if isinstance(value, dict):
        found = []
        for order in itertools.permutations(value):
            names = [json.dumps(name, ensure_ascii=False) for name in order]
            for some in itertools.product(*(_spelled(value[name]) for name in order)):
                members = (f"{name}:{text}" for name, text in zip(names, some, strict=True))
                found.append(f"{{{','.join(members)}}}")
        return found
    return [json.dumps(value, ensure_ascii=False)]


REQUIRED, FORBIDDEN, FREE = 1, -1, 0
"""Of a token: it must be in the mask, it must not be, or it begins another spelling of a value."""


class ExactMasks:
    """The exact next tokens after each prefix of the texts of finitely many values.

    texts: every compact JSON text of the valid values (`texts_of`).
    tokens: what each token spells; the end token is the one behind them.
    Other spellings of the same values (white space, escapes, `1.0` and `1e0` for 1) may be written
    or not: tokens that begin one are `FREE`. Keys that come twice are no text of a value.
    """

    def __init__(self, texts: set[bytes], tokens: Sequence[bytes]) -> None:
        self.texts, self._tokens = texts, tuple(tokens)
        self._known: dict[bytes, NDArray[np.int8]] = {}
        self._prefixes = {text[:end] for text in texts for end in range(len(text) + 1)}
        self._numbers: dict[bytes, list[bytes]] = {}
        """By what stands before a number in a text: the numbers that may stand there."""
        for text in texts:
            for start, end in _numbers_in(text):
                self._numbers.setdefault(text[:start], []).append(text[start:end])

    def verdicts(self, prefix: bytes) -> NDArray[np.int8]:
        """`REQUIRED`, `FORBIDDEN` or `FREE` for each token and the end, behind a text's prefix."""
        known = self._known.get(prefix)
        if known is None:
            end = REQUIRED if prefix in self.texts else FORBIDDEN
            found = [*(self.verdict(prefix, token) for token in self._tokens), end]
            known = self._known[prefix] = np.array(found, np.int8)
        return known

    def verdict(self, prefix: bytes, token: bytes) -> int:
        """`REQUIRED`, `FORBIDDEN` or `FREE`, for a token behind a prefix of one of the texts."""
        if prefix + token in self._prefixes:
            return REQUIRED
        # The first byte that leaves the texts decides: it is wrong, or begins another spelling.
        longest = next(n for n in range(len(token), -1, -1) if prefix + token[:n] in self._prefixes)
        return self._leaving(prefix + token[:longest], token[longest])

    def _leaving(self, prefix: bytes, byte: int) -> int:
        """The verdict about a byte that no text has behind a prefix of some."""
        in_string = prefix.count(b'"') % 2 == 1  # no text has an escape of a quote
        if in_string and byte == ord("\\"):
            return FREE
        if not in_string and byte in b" \t\r\n":
            return FREE
        start = len(prefix)
        while start and prefix[start - 1] in b"-+.eE0123456789":
            start -= 1
        if in_string or byte not in b"-.eE0123456789":
            return FORBIDDEN
        written = prefix[start:] + bytes([byte])
        there = self._numbers.get(prefix[:start], [])
        return FREE if any(_may_spell(written, number) for number in there) else FORBIDDEN


def _numbers_in(text: bytes) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(text):
        if text[at] == ord('"'):
            at = text.index(b'"', at + 1) + 1
        elif text[at] in b"-0123456789":
            end = at
            while end < len(text) and text[end] in b"-+.eE0123456789":
                end += 1
            found.append((at, end))
            at = end
        else:
            at += 1
    return found


def _may_spell(written: bytes, number: bytes) -> bool:
    """Whether what is written may go on to a spelling of a number, with any exponent.

    It may if its digits, without zeros around them, begin the number's (zeros aside).
    """
    is_negative = written.startswith(b"-")
    digits = written[1:] if is_negative else written
    value = float(number)
    if value == 0:
        mantissa = digits.lower().partition(b"e")[0]
        return not mantissa.strip(b"0.")
    if is_negative != (value < 0) or (digits[:1] == b"0" and digits[1:2].isdigit()):
        return False
    mantissa, has_exponent, _ = digits.lower().partition(b"e")
    own = mantissa.replace(b".", b"").strip(b"0")
    wanted = number.lower().partition(b"e")[0].strip(b"-").replace(b".", b"").strip(b"0")
    padded = wanted + b"0" * len(mantissa)
    began = mantissa.replace(b".", b"").lstrip(b"0")
    return (own == wanted) if has_exponent else padded.startswith(began)
