"""Which keywords of an unsatisfiable schema exclude each other.

The value that cannot exist is looked for first: the root, or a property or item that must be there.
A keyword of its schema belongs to the conflict if there would be values without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from decoding.errors import GrammarError
from decoding.grammar.schema.dialects import escape
from decoding.grammar.schema.locations import NOTHING, Conjunction, Location, Locations

_MOST = 16
"""Keywords, branches or schemas that are tried without one of them."""
_LISTED = 4

IsEmpty = Callable[[Conjunction], bool]


def conflict(
    conjunction: Conjunction, locations: Locations, is_empty: IsEmpty
) -> tuple[str, str] | None:
    """The pointer of one part of a conflict, and a sentence on all of it; `None` where unknown.

    conjunction: the schemas that no value fulfils, all of which are about the same value.
    """
    schemas = [locations.of(literal) for literal in sorted(conjunction)]
    if not schemas or conjunction >= NOTHING:
        return None
    if len(conjunction) == 1:
        (location,) = schemas
        if next(iter(conjunction)) & 1:
            return location.pointer, "no value is outside of this schema, as it must be"
        return _within(location, locations, is_empty)
    parts = sorted(conjunction)
    if len(parts) > _MOST:
        return None
    needed = [one for one in parts if not _is_empty(is_empty, conjunction - {one})]
    pointers = list(dict.fromkeys(locations.of(one).pointer for one in needed or parts))
    *others, last = pointers
    if not others:
        return last, "no value fulfils both this schema and its negation"
    return last, f"no value fulfils both this schema and {_list(map(_shown, others))}"


def _within(location: Location, locations: Locations, is_empty: IsEmpty) -> tuple[str, str] | None:
    """The conflict inside of one schema."""
    schema, pointer = location.schema, location.pointer
    if len(schema) > _MOST:
        return None
    needed = [
        keyword
        for keyword in schema
        if not _is_empty(is_empty, _without(location, locations, keyword))
    ]
    if not needed:
        return None
    *others, last = sorted(needed, key=lambda keyword: keyword != "type")
    where = f"{pointer}/{escape(last)}"
    value = schema[last]
    if last == "allOf" and isinstance(value, list) and 1 < len(value) <= _MOST:
        branches = [
            index
            for index in range(len(value))
            if not _is_empty(
                is_empty,
                _changed(location, locations, last, value[:index] + value[index + 1 :]),
            )
        ]
        if branches:
            others += [f"allOf/{index}" for index in branches[:-1]]
            where, last = f"{where}/{branches[-1]}", f"allOf/{branches[-1]}"
    if not others:
        return where, f"{last} allows no value"
    return where, f"{last} allows no value beside {_list(others)}"


def missing(locations: Iterable[Location], name: str) -> tuple[str, str] | None:
    """The conflict where a key is asked for and its schema is `false`; `None`: there is no such."""
    for location in locations:
        declared: Any = location.schema.get("properties", {})
        if declared.get(name) is False:
            where = f"{location.pointer}/properties/{escape(name)}"
            return where, "the key is required, and its schema allows no value"
    for location in locations:
        if name in location.schema.get("required", ()):
            sentence = f"the key {ascii(name)[:60]} is required, and no value is allowed there"
            return f"{location.pointer}/required", sentence
    return None


def endless(locations: Iterable[Location], name: str) -> tuple[str, str] | None:
    """The conflict where a value must hold a value of its own schema, and that one more."""
    for location in locations:
        if name in location.schema.get("properties", {}):
            where = f"{location.pointer}/properties/{escape(name)}"
            return where, "the key is required in every value of it again, so that no value ends"
    return None


def _without(location: Location, locations: Locations, keyword: str) -> Conjunction:
    schema = {key: value for key, value in location.schema.items() if key != keyword}
    return locations.conjunction(schema, location.scope, location.pointer)


def _changed(location: Location, locations: Locations, keyword: str, value: object) -> Conjunction:
    schema = {**location.schema, keyword: value}
    return locations.conjunction(schema, location.scope, location.pointer)


def _is_empty(is_empty: IsEmpty, conjunction: Conjunction) -> bool:
    """Whether there is no value still; what cannot be told counts as none."""
    try:
        return is_empty(conjunction)
    except GrammarError:
        return True


def _shown(pointer: str) -> str:
    return pointer or "the root"


def _list(words: Iterable[str]) -> str:
    listed = list(words)
    if len(listed) > _LISTED:
        return f"{', '.join(listed[:_LISTED])} and {len(listed) - _LISTED} more"
    return " and ".join((", ".join(listed[:-1]), listed[-1])) if len(listed) > 1 else listed[0]
