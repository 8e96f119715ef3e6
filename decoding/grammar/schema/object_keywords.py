"""What the plain keywords of one schema say of objects, and what their negations say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from typing import Any

from decoding.bounded_repr import shown
from decoding.errors import GrammarSyntaxError
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
from decoding.grammar.schema.dialects import escape
from decoding.grammar.schema.locations import (
    EVERYTHING,
    NOTHING,
    Conjunction,
    Location,
    Locations,
)
from decoding.grammar.schema.report import Report
from decoding.grammar.schema.scalar_sets import OBJECT, pattern, types_of, whole
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
    """How locations speak of objects."""

    name = "objects"
    json_type = OBJECT
    everything: Disjunction[ObjectConstraints] = ALL_OBJECTS
    nothing: Disjunction[ObjectConstraints] = NO_OBJECTS

    def __init__(self, locations: Locations, report: Report) -> None:
        self.locations = locations
        self.report = report
        self._groups: dict[int, PropertyGroup] = {}

    def plain(self, location: Location, *, evaluated: bool) -> Disjunction[ObjectConstraints]:
        """The objects that fulfil all keywords of a location but its logic."""
        schema = location.schema
        if not types_of(location) & OBJECT:
            return NO_OBJECTS
        if _KEYWORDS.isdisjoint(location.keys):
            return ALL_OBJECTS
        options = [self._conditions(location, evaluated=evaluated)]
        if "const" in schema or "enum" in schema:
            options = [
                ObjectConstraints(
                    (*constant.groups, *option.groups),
                    constant.required | option.required,
                    option.names,
                    option.dependent,
                    option.minimum,
                    option.maximum,
                )
                for constant in self._constants(location)
                for option in options
            ]
        return Disjunction(tuple(options))

    def violating(self, location: Location) -> Disjunction[ObjectConstraints]:
        """The objects that break a keyword of a location, its logic aside."""
        if not types_of(location) & OBJECT:
            return ALL_OBJECTS
        if _KEYWORDS.isdisjoint(location.keys):
            return NO_OBJECTS
        return Disjunction(
            tuple(chain(self._broken_group(location), self._broken_counts(location)))
        )

    def other_than_constants(
        self, location: Location
    ) -> list[tuple[ObjectConstraints, ...]] | None:
        """For each object among a location's `enum` or `const`, the objects other than it."""
        schema = location.schema
        if "enum" not in schema and "const" not in schema:
            return None
        values = constants(schema)
        return [
            tuple(self._other_than(value, location))
            for value in values
            if isinstance(value, Mapping)
        ]

    def merge(self, one: ObjectConstraints, other: ObjectConstraints) -> ObjectConstraints | None:
        """The objects of both options."""
        return merge_objects(one, other)

    def impossible(self, option: ObjectConstraints, depth: int) -> Steps[bool]:
        """Whether a required key surely has no value."""
        for name in sorted(option.required):  # so that the same questions are asked in every run
            node = value_at(option, name)
            if len(node) > 1 or node == NOTHING:
                empty: bool = yield ("empty", node, depth)
                if empty:
                    return True
        return False

    def close_unevaluated(
        self, location: Location, option: ObjectConstraints
    ) -> ObjectConstraints | None:
        """The option's objects whose unevaluated properties fulfil the location."""
        node = self.locations.child(location, "unevaluatedProperties")
        if option.evaluated.all or not node:
            return replace(option, evaluated=EvaluatedKeys(all=True))
        group = PropertyGroup(
            dict.fromkeys(sorted(option.evaluated.names), EVERYTHING),
            tuple((language, EVERYTHING) for language in option.evaluated.patterns),
            node,
        )
        return replace(option, groups=(*option.groups, group), evaluated=EvaluatedKeys(all=True))

    def _conditions(self, location: Location, *, evaluated: bool) -> ObjectConstraints:
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
        required = _names(schema, "required", pointer) if "required" in schema else ()
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
        """What a location says of values by their keys."""
        known = self._groups.get(location.number)
        if known is None:
            known = self._groups[location.number] = self._group(location)
        return known

    def _group(self, location: Location) -> PropertyGroup:
        schema, child = location.schema, self.locations.child
        properties = _mapping(schema, "properties", location.pointer)
        self.report.check_surrogates(location.pointer, "properties", properties)
        patterns = []
        for text in _mapping(schema, "patternProperties", location.pointer):
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

    def _broken_group(self, location: Location) -> Iterator[ObjectConstraints]:
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

    def _broken_counts(self, location: Location) -> Iterator[ObjectConstraints]:
        schema, pointer = location.schema, location.pointer
        for name in _names(schema, "required", pointer) if "required" in schema else ():
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

    def _constants(self, location: Location) -> Iterator[ObjectConstraints]:
        for value in constants(location.schema):
            if not isinstance(value, Mapping):
                continue
            properties = {
                name: self.locations.constant(inner, location) for name, inner in value.items()
            }
            yield ObjectConstraints(
                (PropertyGroup(properties, (), NOTHING),), frozenset(properties)
            )

    def _other_than(
        self, value: Mapping[str, Any], location: Location
    ) -> Iterator[ObjectConstraints]:
        for name, inner in value.items():
            yield lacking(name)
            yield having(name, negated(self.locations.constant(inner, location)))
        yield ObjectConstraints(minimum=len(value) + 1)


@lru_cache(_CACHED)
def only(name: str, value: Conjunction) -> PropertyGroup:
    """What is said of the value of one key."""
    return PropertyGroup({name: value})


def lacking(name: str) -> ObjectConstraints:
    """The objects without a key."""
    return ObjectConstraints((only(name, NOTHING),))


def having(name: str, value: Conjunction = EVERYTHING) -> ObjectConstraints:
    """The objects with a key, and such a value."""
    return ObjectConstraints((only(name, value),) if value else (), frozenset((name,)))


def same(one: object, other: object) -> bool:
    """Whether two JSON values are equal; truth values are no numbers."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


def constants(schema: Mapping[str, Any]) -> list[Any]:
    """The values that `enum` and `const` leave."""
    if "const" not in schema:
        return list(schema["enum"])
    constant = schema["const"]
    return [value for value in schema.get("enum", [constant]) if same(value, constant)]


def dependent_names(location: Location) -> Iterator[tuple[str, frozenset[str]]]:
    """The keys that ask for other keys."""
    schema, pointer = location.schema, location.pointer
    for keyword in ("dependentRequired", "dependencies"):
        for name, others in _mapping(schema, keyword, pointer).items():
            if isinstance(others, list):
                yield name, frozenset(others)
    for name, others in _mapping(schema, "dependentSchemas", pointer).items():
        if _asks_for_names(others):
            where = f"{pointer}/dependentSchemas/{escape(name)}"
            yield name, frozenset(_names(others, "required", where))


def dependent_schemas(
    location: Location, locations: Locations
) -> Iterator[tuple[str, Conjunction]]:
    """The keys that ask for a schema of the whole object."""
    for keyword in ("dependentSchemas", "dependencies"):
        for name, schema in _mapping(location.schema, keyword, location.pointer).items():
            if not isinstance(schema, list) and not (
                keyword == "dependentSchemas" and _asks_for_names(schema)
            ):
                yield name, locations.child(location, keyword, name)


def _asks_for_names(schema: object) -> bool:
    return isinstance(schema, Mapping) and schema.keys() == {"required"}


def _mapping(schema: Mapping[str, Any], keyword: str, pointer: str) -> Mapping[str, Any]:
    if keyword not in schema:
        return {}
    value = schema[keyword]
    if not isinstance(value, Mapping):
        raise GrammarSyntaxError(f"{pointer}/{keyword}", f"an object, not {shown(value)}")
    return value


def _names(schema: Mapping[str, Any], keyword: str, pointer: str) -> list[str]:
    names = schema[keyword]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise GrammarSyntaxError(f"{pointer}/{keyword}", f"a list of names, not {shown(names)}")
    return names
