"""Translates the keywords of one schema for objects, and their negations, to constraints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from typing import Any

from decoding.grammar.schema.constraints import (
    ANY_OBJECT,
    NO_KEYS,
    Disjunction,
    EvaluatedKeys,
    ObjectConstraints,
    PropertyGroup,
    Witness,
    merge_objects,
    value_at,
)
from decoding.grammar.schema.locations import (
    EVERYTHING,
    NOTHING,
    Conjunction,
    Location,
    Locations,
)
from decoding.grammar.schema.report import Report
from decoding.grammar.schema.scalar_sets import OBJECT, pattern, whole
from decoding.grammar.schema.solver import Steps

NO_OBJECTS: Disjunction[ObjectConstraints] = Disjunction(())
ALL_OBJECTS: Disjunction[ObjectConstraints] = Disjunction((ANY_OBJECT,))

_CACHED = 4096
_GROUPED = frozenset(("properties", "patternProperties", "additionalProperties"))
_KEYWORDS = _GROUPED | {
    *("required", "propertyNames", "minProperties", "maxProperties"),
    *("dependentRequired", "dependencies", "dependentSchemas", "enum", "const"),
}


def negated(conjunction: Conjunction) -> Conjunction:
    """The complement of a conjunction of at most one literal."""
    if not conjunction:
        return NOTHING
    (literal,) = conjunction
    return EVERYTHING if conjunction == NOTHING else frozenset((literal ^ 1,))


class ObjectKeywords:
    """`TypeKeywords` of objects: translates object keywords and negations to constraints."""

    name = "objects"
    json_type = OBJECT
    python_type = Mapping
    known = _KEYWORDS
    everything: Disjunction[ObjectConstraints] = ALL_OBJECTS
    nothing: Disjunction[ObjectConstraints] = NO_OBJECTS

    def __init__(self, locations: Locations, report: Report) -> None:
        self.locations = locations
        self.report = report
        self._groups: dict[int, PropertyGroup] = {}

    def violating(self, location: Location) -> Disjunction[ObjectConstraints]:
        """The objects that violate a keyword, except constants and those that combine schemas."""
        return Disjunction(
            tuple(chain(self._violating_group(location), self._violating_counts(location)))
        )

    def merge(self, one: ObjectConstraints, other: ObjectConstraints) -> ObjectConstraints | None:
        """The conjunction of two constraints; `None` where it is plainly unsatisfiable."""
        return merge_objects(one, other)

    def impossible(self, option: ObjectConstraints, depth: int) -> Steps[bool]:
        """Whether it is proved, `depth` levels down, that a required key has no valid value."""
        for name in sorted(option.required):  # the same questions in every process
            node = value_at(option, name)
            if len(node) > 1 or node == NOTHING:
                empty: bool = yield ("empty", node, depth)
                if empty:
                    return True
        return False

    def close_unevaluated(
        self, location: Location, option: ObjectConstraints
    ) -> ObjectConstraints | None:
        """Apply `unevaluatedProperties` to the properties that are not evaluated yet."""
        node = self.locations.child(location, "unevaluatedProperties")
        if option.evaluated.all or not node:
            return replace(option, evaluated=EvaluatedKeys(all=True))
        group = PropertyGroup(
            dict.fromkeys(sorted(option.evaluated.names), EVERYTHING),
            tuple((language, EVERYTHING) for language in option.evaluated.patterns),
            node,
        )
        return replace(option, groups=(*option.groups, group), evaluated=EvaluatedKeys(all=True))

    def conditions(self, location: Location, *, evaluated: bool) -> ObjectConstraints:
        """The objects that satisfy all keywords but constants and those that combine schemas."""
        schema, pointer = location.schema, location.pointer
        groups: tuple[PropertyGroup, ...] = ()
        keys = NO_KEYS
        if not _GROUPED.isdisjoint(location.keys):
            group = self.group(location)
            groups = (group,)
            if evaluated:
                keys = EvaluatedKeys(
                    frozenset(group.properties),
                    tuple(language for language, _ in group.patterns),
                    "additionalProperties" in schema,
                )
        required = schema.get("required", ())
        self.report.check_surrogates(pointer, "required", required)
        names = EVERYTHING
        if "propertyNames" in schema:
            names = self.locations.child(location, "propertyNames")
        return ObjectConstraints(
            groups,
            frozenset(required),
            names,
            tuple(dependent_names(location)),
            whole(schema, "minProperties", pointer) if "minProperties" in schema else 0,
            whole(schema, "maxProperties", pointer) if "maxProperties" in schema else None,
            (),
            keys,
        )

    def group(self, location: Location) -> PropertyGroup:
        """The schemas that a schema applies to property values."""
        known = self._groups.get(location.number)
        if known is None:
            known = self._groups[location.number] = self._group(location)
        return known

    def _group(self, location: Location) -> PropertyGroup:
        schema, child = location.schema, self.locations.child
        properties = schema.get("properties", {})
        self.report.check_surrogates(location.pointer, "properties", properties)
        patterns = []
        for text in schema.get("patternProperties", ()):
            language = pattern(text, location.pointer, "patternProperties", self.report)
            if language is not None:
                patterns.append((language, child(location, "patternProperties", text)))
        additional = EVERYTHING
        if "additionalProperties" in schema:
            additional = child(location, "additionalProperties")
        return PropertyGroup(
            {name: child(location, "properties", name) for name in properties},
            tuple(patterns),
            additional,
        )

    def _violating_group(self, location: Location) -> Iterator[ObjectConstraints]:
        if _GROUPED.isdisjoint(location.keys):
            return
        group = self.group(location)
        for name, node in group.properties.items():
            if node:
                yield having(name, negated(node))
        where = location.pointer
        for language, node in group.patterns:
            if node:
                witness = Witness(negated(node), within=language, where=where)
                yield ObjectConstraints(witnesses=(witness,))
        if group.additional:
            avoided = tuple(language for language, _ in group.patterns)
            outside = frozenset(group.properties)
            value = negated(group.additional)
            witness = Witness(value, outside, avoided, where=where)
            yield ObjectConstraints(witnesses=(witness,))

    def _violating_counts(self, location: Location) -> Iterator[ObjectConstraints]:
        schema, pointer = location.schema, location.pointer
        for name in schema.get("required", ()):
            yield lacking(name)
        if "propertyNames" in schema:
            names = self.locations.child(location, "propertyNames")
            if names:
                witness = Witness(EVERYTHING, not_names=negated(names), where=pointer)
                yield ObjectConstraints(witnesses=(witness,))
        for name, others in dependent_names(location):
            for other in sorted(others):
                yield ObjectConstraints((only(other, NOTHING),), frozenset((name,)))
        if "minProperties" in schema:
            least = whole(schema, "minProperties", pointer)
            if least:
                yield ObjectConstraints(maximum=least - 1)
        if "maxProperties" in schema:
            yield ObjectConstraints(minimum=whole(schema, "maxProperties", pointer) + 1)

    def constant(self, value: Mapping[str, Any], location: Location) -> ObjectConstraints:
        """The objects that equal one in `enum` or `const`."""
        keyword = "const" if "const" in location.schema else "enum"
        self.report.check_surrogates(location.pointer, keyword, value)
        properties = {
            name: self.locations.constant(inner, location) for name, inner in value.items()
        }
        return ObjectConstraints((PropertyGroup(properties, (), NOTHING),), frozenset(properties))

    def other_than(
        self, value: Mapping[str, Any], location: Location
    ) -> Iterator[ObjectConstraints]:
        """The objects that differ from one in `enum` or `const`."""
        for name, inner in value.items():
            yield lacking(name)
            yield having(name, negated(self.locations.constant(inner, location)))
        yield ObjectConstraints(minimum=len(value) + 1)


@lru_cache(_CACHED)
def only(name: str, value: Conjunction) -> PropertyGroup:
    """A group with the schemas of one key alone."""
    return PropertyGroup({name: value})


def lacking(name: str) -> ObjectConstraints:
    """The constraint that a key does not occur."""
    return ObjectConstraints((only(name, NOTHING),))


def having(name: str, value: Conjunction = EVERYTHING) -> ObjectConstraints:
    """The constraint that a key occurs, with a valid value."""
    return ObjectConstraints((only(name, value),) if value else (), frozenset((name,)))


def same(one: object, other: object) -> bool:
    """Whether two JSON values are equal; `true` is not equal to 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


def constants(schema: Mapping[str, Any]) -> list[Any]:
    """The values that satisfy both `enum` and `const`."""
    if "const" not in schema:
        return list(schema["enum"])
    constant = schema["const"]
    if "enum" not in schema:
        return [constant]
    return [value for value in schema["enum"] if same(value, constant)]


def dependent_names(location: Location) -> Iterator[tuple[str, frozenset[str]]]:
    """Keys that require other keys, from `dependentRequired` and its older and longer forms."""
    for keyword in ("dependentRequired", "dependencies"):
        for name, others in location.schema.get(keyword, {}).items():
            if isinstance(others, list):
                yield name, frozenset(others)
    for name, others in location.schema.get("dependentSchemas", {}).items():
        if _asks_for_names(others):
            yield name, frozenset(others["required"])


def dependent_schemas(
    location: Location, locations: Locations
) -> Iterator[tuple[str, Conjunction]]:
    """Keys that require a schema of the whole object, from `dependentSchemas`."""
    for keyword in ("dependentSchemas", "dependencies"):
        for name, schema in location.schema.get(keyword, {}).items():
            if not isinstance(schema, list) and not (
                keyword == "dependentSchemas" and _asks_for_names(schema)
            ):
                yield name, locations.child(location, keyword, name)


def _asks_for_names(schema: object) -> bool:
    return isinstance(schema, Mapping) and schema.keys() == {"required"}
