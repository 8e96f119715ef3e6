"""Test oracle: decides whether a JSON value belongs to a node of a compiled JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from decoding.grammar.json.shapes import ArrayShape, Graph, ObjectShape
from decoding.grammar.numbers import number_sets
from decoding.grammar.regular import string_sets
from decoding.grammar.schema.scalar_sets import exact, is_number
from decoding.typing import Anything


def is_member(graph: Graph, number: int, value: Anything) -> bool:  # any JSON value
    """Whether `value`, as parsed JSON, is a member of the node `number` of `graph`."""
    node = graph.node(number)
    if value is None:
        return node.null
    if isinstance(value, bool):
        return node.true if value else node.false
    if isinstance(value, str):
        return node.strings is not None and string_sets.holds(node.strings, value)
    if is_number(value):
        plain = isinstance(value, int)
        return number_sets.contains(node.numbers, exact(value, ""), plain=plain)
    if isinstance(value, Mapping):
        return any(_has_object(graph, shape, value) for shape in node.objects)
    return any(_has_array(graph, shape, value) for shape in node.arrays)


def _has_array(graph: Graph, shape: ArrayShape, items: list[Any]) -> bool:
    if len(items) < shape.minimum or (shape.maximum is not None and len(items) > shape.maximum):
        return False
    for index, item in enumerate(items):
        node = shape.prefix[index] if index < len(shape.prefix) else shape.rest
        if node is None or not is_member(graph, node, item):
            return False
    for counted in shape.contains:
        found = sum(is_member(graph, counted.node, item) for item in items)
        if counted.outside is not None and not all(
            is_member(graph, counted.node, item) or is_member(graph, counted.outside, item)
            for item in items
        ):
            return False
        if found < counted.minimum or (counted.maximum is not None and found > counted.maximum):
            return False
    return not shape.unique or _are_distinct(items)


def _are_distinct(scalars: list[Any]) -> bool:
    keys = {
        (isinstance(one, bool), is_number(one), exact(one, "") if is_number(one) else one)
        for one in scalars
    }
    return len(keys) == len(scalars)


def _has_object(graph: Graph, shape: ObjectShape, value: Mapping[str, Any]) -> bool:
    if len(value) < shape.minimum or (shape.maximum is not None and len(value) > shape.maximum):
        return False
    declared = {one.name: one for one in shape.properties}
    for one in shape.properties:
        if one.required and one.name not in value:
            return False
        if one.name in value and (
            one.node is None or not is_member(graph, one.node, value[one.name])
        ):
            return False
    if any(name in value and not others <= value.keys() for name, others in shape.dependent):
        return False
    return all(
        _may_have(graph, shape, name, inner)
        for name, inner in value.items()
        if name not in declared
    )


def _may_have(graph: Graph, shape: ObjectShape, name: str, inner: Anything) -> bool:
    if shape.names is not None and not string_sets.holds(shape.names, name):
        return False
    matched = [node for language, node in shape.patterns if string_sets.holds(language, name)]
    if matched:
        return all(is_member(graph, node, inner) for node in matched)
    return shape.additional is not None and is_member(graph, shape.additional, inner)
