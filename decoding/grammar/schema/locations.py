"""Numbers a document's schemas; makes conjunctions of schemas and of negated schemas."""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from typing import Any, TypeAlias

from decoding.bounded_repr import shown
from decoding.errors import GrammarSyntaxError
from decoding.grammar.schema.dialects import UNDECLARED, escape
from decoding.grammar.schema.documents import Documents, Schema, Scope
from decoding.grammar.schema.keyword_types import KeywordChecker

Literal: TypeAlias = int  # twice the number of a location, or that plus one for its negation
Conjunction: TypeAlias = frozenset[Literal]  # the values that are valid under every literal

EVERYTHING: Conjunction = frozenset()
NEVER: Literal = 1  # location 0 is the schema `true`
NOTHING: Conjunction = frozenset((NEVER,))

_REFERENCES = frozenset(("$ref", "$dynamicRef", "$recursiveRef"))
_LOGIC = _REFERENCES | {
    *("allOf", "anyOf", "oneOf", "not", "if", "dependentSchemas", "dependencies"),
    *("unevaluatedItems", "unevaluatedProperties"),
}


def is_contradiction(conjunction: Conjunction) -> bool:
    """Whether a conjunction contains `false`, or both a schema and its negation."""
    if len(conjunction) < 2:
        return NEVER in conjunction
    return NEVER in conjunction or any(literal ^ 1 in conjunction for literal in conjunction)


class Location:
    """One schema of a document, reduced to the keywords that constrain values.

    logic: whether it has keywords that combine schemas. types: the result of
    `scalar_sets.types_of`, or −1 before it is called.
    """

    __slots__ = ("asserted", "keys", "logic", "number", "pointer", "schema", "scope", "types")

    def __init__(self, number: int, schema: Mapping[str, Any], scope: Scope, pointer: str) -> None:
        self.number, self.schema, self.scope, self.pointer = number, schema, scope, pointer
        self.keys = schema.keys()
        self.types = -1
        self.logic = not _LOGIC.isdisjoint(schema)
        self.asserted: Conjunction = frozenset((2 * number,))


class Locations:
    """All schemas read so far, interned: equal text in an equal scope is one location."""

    def __init__(self, documents: Documents, types: KeywordChecker) -> None:
        self.documents = documents
        self._types = types
        self.all = [Location(0, {}, documents.scope, "")]
        self._plain = Scope(UNDECLARED)
        self._by_text: dict[object, Conjunction] = {}
        # Keeps the schema alive, so that its `id` is not used again.
        self._by_identity: dict[tuple[int, Scope], tuple[object, Conjunction]] = {}

    def of(self, literal: Literal) -> Location:
        """The schema that a literal asserts or negates."""
        return self.all[literal >> 1]

    def child(self, location: Location, *path: str | int) -> Conjunction:
        """The conjunction of the subschema at a path below a schema."""
        value: Any = location.schema
        for token in path:
            value = value[token]
        known = self._by_identity.get((id(value), location.scope))
        if known is not None:
            return known[1]
        tail = "/".join(escape(str(token)) for token in path)
        return self.conjunction(value, location.scope, f"{location.pointer}/{tail}")

    def conjunction(self, schema: Schema, scope: Scope, pointer: str) -> Conjunction:
        """The conjunction of a schema at a pointer, as parsed JSON."""
        if schema is True:
            return EVERYTHING
        if schema is False:
            return NOTHING
        key = (id(schema), scope)
        known = self._by_identity.get(key)
        if known is None:
            known = schema, self._interned(schema, scope, pointer)
            self._by_identity[key] = known
        return known[1]

    def constant(self, value: object, location: Location) -> Conjunction:
        """The conjunction of the values that equal a constant."""
        return self.plain({"const": value}, location.pointer)

    def plain(self, schema: Mapping[str, Any], pointer: str) -> Conjunction:
        """The conjunction of a schema that is not part of a document, read as 2020-12."""
        return self._interned(schema, self._plain, pointer)

    def any_of(self, nodes: tuple[Conjunction, ...], location: Location) -> Conjunction:
        """The conjunction whose values are valid under any of several single literals."""
        key = frozenset(nodes)
        known = self._by_text.get(key)
        if known is None:
            schema: dict[str, Any] = {"anyOf": [{} for _ in nodes]}
            for stand_in, node in zip(schema["anyOf"], nodes, strict=True):
                self._by_identity[id(stand_in), location.scope] = stand_in, node
            made = Location(len(self.all), schema, location.scope, location.pointer)
            self.all.append(made)
            known = self._by_text[key] = made.asserted
        return known

    def target(self, location: Location, keyword: str) -> Conjunction:
        """The conjunction of the schema that a reference keyword of a schema refers to."""
        where = f"{location.pointer}/{keyword}"
        if keyword == "$recursiveRef":
            target = self.documents.resolve_recursive(location.scope, where)
        else:
            target = self.documents.resolve(location.scope, location.schema[keyword], where)
        self._types.check(target.schema, target.scope.dialect, target.pointer)
        return self.conjunction(target.schema, target.scope, target.pointer)

    def _interned(self, schema: Mapping[str, Any], scope: Scope, pointer: str) -> Conjunction:
        seen: set[int] = set()
        while True:
            scope = self.documents.enter(scope, schema, pointer)
            dialect = scope.dialect
            if dialect.ref_alone and "$ref" in schema:
                schema = {"$ref": schema["$ref"]}
            else:
                keywords = dialect.keywords
                schema = {key: value for key, value in schema.items() if key in keywords}
            if not schema:
                return EVERYTHING
            if len(schema) > 1 or "$ref" not in schema:
                break
            where = f"{pointer}/$ref"
            target = self.documents.resolve(scope, schema["$ref"], where)
            if isinstance(target.schema, bool):
                return EVERYTHING if target.schema else NOTHING
            self._types.check(target.schema, target.scope.dialect, target.pointer)
            if id(target.schema) in seen:
                reason = f"{shown(schema['$ref'])} leads back to itself: no value is defined"
                raise GrammarSyntaxError(where, reason)
            seen.add(id(target.schema))
            schema, scope, pointer = target.schema, target.scope, target.pointer
        try:
            text: object = marshal.dumps(schema, 0)
        except ValueError:  # a value that is no plain JSON, such as a Decimal
            text = id(schema)
        key = (text, scope.dialect, scope.key)
        known = self._by_text.get(key)
        if known is None:
            location = Location(len(self.all), schema, scope, pointer)
            self.all.append(location)
            known = self._by_text[key] = location.asserted
        return known
