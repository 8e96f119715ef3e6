"""Explains why no value is valid under a schema, by the keywords that contradict each other.

The explanation starts at the value that cannot exist: the root, or a required property or item
below it. A keyword of its schema belongs to the contradiction if the schema without that keyword
has values.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from decoding.bounded_repr import shown
from decoding.errors import GrammarError
from decoding.grammar.regular import string_sets as languages
from decoding.grammar.schema.dialects import escape
from decoding.grammar.schema.graph import SchemaGraph
from decoding.grammar.schema.locations import NOTHING, Conjunction, Location

_MOST = 16
"""Keywords, branches or schemas that are removed in turn."""
_LISTED = 4
_NO_VALUE = "no value at all is valid"


def why_empty(graph: SchemaGraph) -> tuple[str, str, bool]:
    """Why nothing fits the root schema: a JSON pointer, a sentence, and whether it is certain.

    It is not certain where strings are left out because readers differ on which have a format.
    """
    number, seen = graph.root, {1}
    where = ""
    while number not in seen:
        seen.add(number)
        schemas = [graph.locations.of(one) for one in graph.conjunction_of(number)]
        where = max((one.pointer for one in schemas), key=len, default=where)
        key, needed = _required_and_empty(graph, number)
        if needed is None:
            found = _contradiction(graph, graph.conjunction_of(number))
            possible = graph.unsimplified(number).scalars.possible
            is_certain = possible is None or languages.is_empty(possible)
            return (*(found or (where, _NO_VALUE)), is_certain)
        if needed in seen and key is not None:
            found = _forbidden(schemas, key) if needed == 1 else _endless(schemas, key)
            return (*(found or (where, _NO_VALUE)), True)
        number = needed
    return where, _NO_VALUE, True


def _required_and_empty(graph: SchemaGraph, number: int) -> tuple[str | None, int | None]:
    """A node without members that objects or arrays of a node require, and the objects' key."""
    raw = graph.unsimplified(number)
    for shape in raw.objects:
        for one in shape.properties:
            if one.required and one.node is not None and graph.is_empty(one.node):
                return one.name, one.node
    for array in raw.arrays:
        for node in (*array.prefix, array.rest)[: array.minimum]:
            if node is not None and graph.is_empty(node):
                return None, node
    return None, None


def _contradiction(graph: SchemaGraph, conjunction: Conjunction) -> tuple[str, str] | None:
    """The pointer of one part of a contradiction, a sentence on all of it; `None` where unknown.

    conjunction: schemas that no value satisfies together.
    """
    locations = graph.locations
    schemas = [locations.of(literal) for literal in sorted(conjunction)]
    if not schemas or conjunction >= NOTHING:
        return None
    if len(conjunction) == 1:
        (location,) = schemas
        if next(iter(conjunction)) & 1:
            return location.pointer, "every value is valid under this schema, and none may be"
        return _within(graph, location)
    parts = sorted(conjunction)
    if len(parts) > _MOST:
        return None
    needed = [one for one in parts if not _is_empty(graph, conjunction - {one})]
    pointers = list(dict.fromkeys(locations.of(one).pointer for one in needed or parts))
    *others, last = pointers
    if not others:
        return last, "no value satisfies both this schema and its negation"
    shown = _list(other or "the root" for other in others)
    return last, f"no value satisfies both this schema and {shown}"


def _within(graph: SchemaGraph, location: Location) -> tuple[str, str] | None:
    """The contradiction between keywords of one schema."""
    schema, pointer = location.schema, location.pointer
    if len(schema) > _MOST:
        return None
    needed = [
        keyword for keyword in schema if not _is_empty(graph, _without(graph, location, keyword))
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
                graph,
                _changed(graph, location, last, value[:index] + value[index + 1 :]),
            )
        ]
        if branches:
            others += [f"allOf/{index}" for index in branches[:-1]]
            where, last = f"{where}/{branches[-1]}", f"allOf/{branches[-1]}"
    if not others:
        return where, f"{last} allows no value"
    return where, f"{last} allows no value beside {_list(others)}"


def _forbidden(locations: Iterable[Location], name: str) -> tuple[str, str] | None:
    """The contradiction of a required key whose schema is `false`; `None` where there is none."""
    for location in locations:
        declared: Any = location.schema.get("properties", {})
        if declared.get(name) is False:
            where = f"{location.pointer}/properties/{escape(name)}"
            return where, "the key is required, and its schema allows no value"
    for location in locations:
        if name in location.schema.get("required", ()):
            sentence = f"the key {shown(name)} is required, and no value is allowed there"
            return f"{location.pointer}/required", sentence
    return None


def _endless(locations: Iterable[Location], name: str) -> tuple[str, str] | None:
    """The contradiction of a value that must contain a value of its own schema."""
    for location in locations:
        if name in location.schema.get("properties", {}):
            where = f"{location.pointer}/properties/{escape(name)}"
            return (
                where,
                "the key is required in its own value again, so no value is finite",
            )
    return None


def _without(graph: SchemaGraph, location: Location, keyword: str) -> Conjunction:
    schema = {key: value for key, value in location.schema.items() if key != keyword}
    return graph.locations.conjunction(schema, location.scope, location.pointer)


def _changed(graph: SchemaGraph, location: Location, keyword: str, value: object) -> Conjunction:
    schema = {**location.schema, keyword: value}
    return graph.locations.conjunction(schema, location.scope, location.pointer)


def _is_empty(graph: SchemaGraph, conjunction: Conjunction) -> bool:
    """Whether no value is valid under a conjunction of schemas, or it cannot be compiled."""
    try:
        return graph.is_empty(graph.add(conjunction))
    except GrammarError:
        return True


def _list(words: Iterable[str]) -> str:
    listed = list(words)
    if len(listed) > _LISTED:
        return f"{', '.join(listed[:_LISTED])} and {len(listed) - _LISTED} more"
    return " and ".join((", ".join(listed[:-1]), listed[-1])) if len(listed) > 1 else listed[0]
