"""Simplifies shapes of arrays and objects: removes items, keys and bounds that cannot occur."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from decoding.errors import GrammarLimitError
from decoding.grammar.json.array_plan import ArrayPlan, IsEmpty, Meet
from decoding.grammar.json.cardinality import count_strings
from decoding.grammar.json.shapes import ArrayShape, ObjectShape, Property
from decoding.grammar.regular import string_sets
from decoding.grammar.regular.expressions import ANY_STRING, NOTHING, Expression, least

_DEPENDENT = 1 << 19  # pairs of a key and a key that depends on it, of one object

Size = Callable[[int, int], int]  # the number of members of a node, up to a bound


def simplify_array(
    shape: ArrayShape, is_empty: IsEmpty, meet: Meet, size: Size
) -> ArrayShape | None:
    """The shape of the same arrays, without what cannot occur; `None` where there are no arrays."""
    prefix, rest, maximum = shape.prefix, shape.rest, shape.maximum
    for index, node in enumerate(prefix):
        if is_empty(node):
            prefix, rest = prefix[:index], None
            break
    if rest is not None and is_empty(rest):
        rest = None
    if rest is None:
        maximum = least(maximum, len(prefix))
    if shape.unique and rest is not None and not prefix:
        enough = max(shape.minimum, 64)
        members = size(rest, enough)
        maximum = maximum if members >= enough else least(maximum, members)
    if maximum is not None and maximum < shape.minimum:
        return None
    needed = prefix[: shape.minimum]
    if shape.unique and any(needed.count(node) > size(node, len(needed)) for node in needed):
        return None
    if maximum is not None and maximum <= len(prefix):
        prefix, rest = prefix[:maximum], None
    contains = tuple(
        counted for counted in shape.contains if counted.minimum or counted.maximum is not None
    )
    unique = shape.unique and (maximum is None or maximum > 1)
    simplified = replace(
        shape, prefix=prefix, rest=rest, maximum=maximum, contains=contains, unique=unique
    )
    if contains:
        plan = ArrayPlan(simplified, meet, is_empty)
        if not plan.is_possible(0, plan.first):
            return None
    return simplified


def simplify_object(shape: ObjectShape, is_empty: IsEmpty) -> ObjectShape | None:
    """The shape of the same objects, without what cannot occur; `None` where there are none."""
    forbidden = {one.name for one in shape.properties if one.node is None or is_empty(one.node)}
    required = {one.name for one in shape.properties if one.required}
    if shape.dependent:
        shape = replace(shape, dependent=_closed(shape.dependent))
        forbidden |= {name for name, others in shape.dependent if not forbidden.isdisjoint(others)}
        required.update(*(others for name, others in shape.dependent if name in required))
    if not required.isdisjoint(forbidden):
        return None
    if shape.maximum is not None and max(len(required), shape.minimum) > shape.maximum:
        return None
    simplified = _simplified(shape, is_empty, forbidden, required)
    missing = shape.minimum - (len(simplified.properties) - len(forbidden))
    if missing > 0 and _undeclared(simplified, missing) < missing:
        return None
    return simplified


def _closed(
    dependent: tuple[tuple[str, frozenset[str]], ...],
) -> tuple[tuple[str, frozenset[str]], ...]:
    """The transitive closure of dependencies: each name with all names that it requires.

    Raises `GrammarLimitError` for more than `_DEPENDENT` pairs.
    """
    direct = dict(dependent)
    closed, count = [], 0
    for name in direct:
        found: set[str] = set()
        stack = [name]
        while stack:
            others = direct.get(stack.pop(), frozenset()) - found
            found |= others
            stack.extend(others)
        count += len(found)
        if count > _DEPENDENT:
            raise GrammarLimitError("", "dependencies between keys of one object", _DEPENDENT)
        closed.append((name, frozenset(found - {name})))
    return tuple(closed)


def _simplified(
    shape: ObjectShape, is_empty: IsEmpty, forbidden: set[str], required: set[str]
) -> ObjectShape:
    properties = shape.properties
    if forbidden or shape.dependent:
        properties = tuple(
            Property(one.name, None)
            if one.name in forbidden
            else replace(one, required=one.name in required)
            for one in properties
        )
    additional, names, patterns = shape.additional, shape.names, shape.patterns
    if additional is not None and is_empty(additional):
        additional = None
    impossible = [language for language, node in patterns if is_empty(node)]
    if impossible:
        patterns = tuple(pair for pair in patterns if pair[0] not in impossible)
        allowed: Expression = ANY_STRING if names is None else names
        for language in impossible:
            allowed = string_sets.both(allowed, string_sets.complement(language))
        names = allowed
    if additional is None and not patterns:
        names = None
    elif names == NOTHING:
        additional, patterns, names = None, (), None
    return ObjectShape(
        properties,
        patterns,
        additional,
        names,
        tuple(
            (name, others)
            for name, others in shape.dependent
            if name not in forbidden and name not in required
        ),
        max(shape.minimum, len(required)) if shape.minimum else 0,
        shape.maximum,
    )


def _undeclared(shape: ObjectShape, enough: int) -> int:
    """The number of undeclared keys that may occur, counted up to `enough`."""
    if shape.additional is not None and not shape.patterns and shape.names is None:
        return enough
    names = ANY_STRING if shape.names is None else shape.names
    declared = string_sets.words(one.name for one in shape.properties)
    names = string_sets.both(names, string_sets.complement(declared))
    if shape.additional is None:
        names = string_sets.both(
            names, string_sets.any_of(language for language, _ in shape.patterns)
        )
    return count_strings(names, enough)
