"""What the plain keywords of one schema say of objects, and what their negations say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any

from decoding.errors import GrammarSyntaxError
from decoding.grammar.schema.dialects import escape
from decoding.grammar.schema.drafts import (
    ANY_OBJECT,
    NO_KEYS,
    Found,
    Group,
    ObjectDraft,
    SeenKeys,
    Witness,
)
from decoding.grammar.schema.locations import (
    EVERYTHING,
    NOTHING,
    Conjunction,
    Location,
    Locations,
)
from decoding.grammar.schema.report import Report, shown
from decoding.grammar.schema.scalars import OBJECT, kinds_of, pattern, whole

NO_OBJECTS: Found[ObjectDraft] = Found(())
ALL_OBJECTS: Found[ObjectDraft] = Found((ANY_OBJECT,))

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


class Objects:
    """How locations speak of objects."""

    name = "objects"
    kind = OBJECT

    def __init__(self, locations: Locations, report: Report) -> None:
        self.locations = locations
        self.report = report
        self._groups: dict[int, Group] = {}

    def plain(self, location: Location, *, seen: bool) -> Found[ObjectDraft]:
        """The objects that fulfil all keywords of a location but its logic."""
        schema = location.schema
        if not kinds_of(location) & OBJECT:
            return NO_OBJECTS
        if _KEYWORDS.isdisjoint(location.keys):
            return ALL_OBJECTS
        drafts = [self._conditions(location, seen=seen)]
        if "const" in schema or "enum" in schema:
            drafts = [
                ObjectDraft(
                    (*constant.groups, *draft.groups),
                    constant.required | draft.required,
                    draft.names,
                    draft.dependent,
                    draft.minimum,
                    draft.maximum,
                )
                for constant in self._constants(location)
                for draft in drafts
            ]
        return Found(tuple(drafts))

    def denied(self, location: Location) -> Found[ObjectDraft]:
        """The objects that break a keyword of a location, its logic aside."""
        if not kinds_of(location) & OBJECT:
            return ALL_OBJECTS
        if _KEYWORDS.isdisjoint(location.keys):
            return NO_OBJECTS
        return Found(tuple(chain(self._broken_group(location), self._broken_counts(location))))

    def denied_constants(self, location: Location) -> list[tuple[ObjectDraft, ...]] | None:
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

    def _conditions(self, location: Location, *, seen: bool) -> ObjectDraft:
        schema, pointer = location.schema, location.pointer
        groups: tuple[Group, ...] = ()
        keys = NO_KEYS
        if not _GROUPED.isdisjoint(location.keys):
            group = self.group(location)
            groups = (group,)
            if seen:
                keys = SeenKeys(
                    frozenset(group.properties),
                    tuple(language for language, _ in group.patterns),
                    "additionalProperties" in schema,
                )
        required = _names(schema, "required", pointer) if "required" in schema else ()
        self.report.check_surrogates(pointer, "required", required)
        names = EVERYTHING
        if "propertyNames" in schema:
            names = self.locations.child(location, "propertyNames")
        return ObjectDraft(
            groups,
            frozenset(required),
            names,
            tuple(dependent_names(location)),
            whole(schema, "minProperties", pointer) if "minProperties" in schema else 0,
            whole(schema, "maxProperties", pointer) if "maxProperties" in schema else None,
            (),
            keys,
        )

    def group(self, location: Location) -> Group:
        """What a location says of values by their keys."""
        known = self._groups.get(location.number)
        if known is None:
            known = self._groups[location.number] = self._group(location)
        return known

    def _group(self, location: Location) -> Group:
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
        return Group(
            {name: child(location, "properties", name) for name in properties},
            tuple(patterns),
            additional,
        )

    def _broken_group(self, location: Location) -> Iterator[ObjectDraft]:
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
                yield ObjectDraft(witnesses=(witness,))
        if group.additional:
            avoided = tuple(language for language, _ in group.patterns)
            outside = frozenset(group.properties)
            value = negated(group.additional)
            witness = Witness(value, outside, avoided, where=where)
            yield ObjectDraft(witnesses=(witness,))

    def _broken_counts(self, location: Location) -> Iterator[ObjectDraft]:
        schema, pointer = location.schema, location.pointer
        for name in _names(schema, "required", pointer) if "required" in schema else ():
            yield lacking(name)
        if "propertyNames" in schema:
            names = self.locations.child(location, "propertyNames")
            if names:
                witness = Witness(EVERYTHING, not_names=negated(names), where=pointer)
                yield ObjectDraft(witnesses=(witness,))
        for name, others in dependent_names(location):
            for other in sorted(others):
                yield ObjectDraft((only(other, NOTHING),), frozenset((name,)))
        if "minProperties" in schema:
            least = whole(schema, "minProperties", pointer)
            if least:
                yield ObjectDraft(maximum=least - 1)
        if "maxProperties" in schema:
            yield ObjectDraft(minimum=whole(schema, "maxProperties", pointer) + 1)

    def _constants(self, location: Location) -> Iterator[ObjectDraft]:
        for value in constants(location.schema):
            if not isinstance(value, Mapping):
                continue
            properties = {
                name: self.locations.constant(inner, location) for name, inner in value.items()
            }
            yield ObjectDraft((Group(properties, (), NOTHING),), frozenset(properties))

    def _other_than(self, value: Mapping[str, Any], location: Location) -> Iterator[ObjectDraft]:
        for name, inner in value.items():
            yield lacking(name)
            yield having(name, negated(self.locations.constant(inner, location)))
        yield ObjectDraft(minimum=len(value) + 1)


@lru_cache(_CACHED)
def only(name: str, value: Conjunction) -> Group:
    """What is said of the value of one key."""
    return Group({name: value})


def lacking(name: str) -> ObjectDraft:
    """The objects without a key."""
    return ObjectDraft((only(name, NOTHING),))


def having(name: str, value: Conjunction = EVERYTHING) -> ObjectDraft:
    """The objects with a key, and such a value."""
    return ObjectDraft((only(name, value),) if value else (), frozenset((name,)))


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
