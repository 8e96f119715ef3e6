"""Shapes in the light of which nodes are empty: what can never occur is no longer spoken of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from decoding.grammar.expressions import ANY_STRING, NOTHING, Expression
from decoding.grammar.schema import languages
from decoding.grammar.schema.drafts import least
from decoding.grammar.shapes import ArrayShape, Contains, ObjectShape, Property

IsEmpty = Callable[[int], bool]
Meet = Callable[[int, int], int]  # the node of what is in both nodes
# Whether the first node surely has no member outside the second.
Within = Callable[[int, int], bool]
Size = Callable[[int, int], int]  # the number of members of a node, up to a bound


def settle_array(
    shape: ArrayShape, is_empty: IsEmpty, meet: Meet, within: Within, size: Size
) -> ArrayShape | None:
    """The same arrays; `None` where there are none."""
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
        maximum = _distinct(maximum, size(rest, max(shape.minimum, 64)), max(shape.minimum, 64))
    if maximum is not None and maximum < shape.minimum:
        return None
    needed = prefix[: shape.minimum]
    if shape.unique and any(needed.count(node) > size(node, len(needed)) for node in needed):
        return None
    if maximum is not None and maximum <= len(prefix):
        prefix, rest = prefix[:maximum], None
    contains = []
    for counted in shape.contains:
        places = _places((prefix, rest, maximum), counted, is_empty, meet)
        if places < counted.minimum or _forced(shape, counted, within):
            return None
        if counted.minimum or not is_empty(counted.node):
            contains.append(counted)
    unique = shape.unique and (maximum is None or maximum > 1)
    return ArrayShape(prefix, rest, shape.minimum, maximum, tuple(contains), unique)


def _forced(shape: ArrayShape, counted: Contains, within: Within) -> bool:
    """Whether more items than may be counted can be nothing else."""
    if counted.maximum is None:
        return False
    forced = sum(within(node, counted.node) for node in shape.prefix[: shape.minimum])
    beyond = shape.minimum - len(shape.prefix)
    if beyond > 0 and shape.rest is not None and within(shape.rest, counted.node):
        forced += beyond
    return forced > counted.maximum


def _places(
    items: tuple[tuple[int, ...], int | None, int | None],
    counted: Contains,
    is_empty: IsEmpty,
    meet: Meet,
) -> int:
    """How many items can be those that are counted; as many as are asked for is enough."""
    prefix, rest, maximum = items
    if not counted.minimum:
        return 0
    places = sum(not is_empty(meet(node, counted.node)) for node in prefix)
    if rest is not None and not is_empty(meet(rest, counted.node)):
        places += counted.minimum if maximum is None else maximum - len(prefix)
    return places


def _distinct(maximum: int | None, members: int, bound: int) -> int | None:
    return maximum if members >= bound else least(maximum, members)


def settle_object(shape: ObjectShape, is_empty: IsEmpty) -> ObjectShape | None:
    """The same objects; `None` where there are none."""
    forbidden = {one.name for one in shape.properties if one.node is None or is_empty(one.node)}
    required = {one.name for one in shape.properties if one.required}
    changed = bool(shape.dependent)
    while changed:
        changed = False
        for name, others in shape.dependent:
            if name not in forbidden and not forbidden.isdisjoint(others):
                forbidden.add(name)
                changed = True
            if name in required and not others <= required:
                required |= others
                changed = True
    if not required.isdisjoint(forbidden):
        return None
    if shape.maximum is not None and max(len(required), shape.minimum) > shape.maximum:
        return None
    settled = _settled(shape, is_empty, forbidden, required)
    missing = shape.minimum - (len(settled.properties) - len(forbidden))
    if missing > 0 and _undeclared(settled, missing) < missing:
        return None
    return settled


def _settled(
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
            allowed = languages.both(allowed, languages.complement(language))
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
    """How many keys that are not declared may occur; `enough` where they are that many."""
    if shape.additional is not None and not shape.patterns and shape.names is None:
        return enough
    names = ANY_STRING if shape.names is None else shape.names
    declared = languages.words(one.name for one in shape.properties)
    names = languages.both(names, languages.complement(declared))
    patterns = languages.any_of(language for language, _ in shape.patterns)
    found = languages.count(languages.both(names, patterns), enough)
    if shape.additional is not None:
        others = languages.both(names, languages.complement(patterns))
        found += languages.count(others, enough)
    return found
