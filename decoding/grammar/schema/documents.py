"""Resolves references between schemas, within one document and to further documents."""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias
from urllib.parse import unquote, urljoin

from decoding.bounded_repr import LONGEST_VALUE, bounded, shown
from decoding.errors import (
    GrammarError,
    GrammarLimitError,
    GrammarSyntaxError,
    GrammarUnsupportedError,
)
from decoding.grammar.schema.dialects import Dialect, dialect_of
from decoding.typing import Anything

Schema: TypeAlias = bool | Mapping[str, Any]
"""A JSON Schema, as parsed JSON."""
Resources: TypeAlias = Mapping[str, Any]
"""Further documents by their URI: parsed JSON, or a `referencing.Registry`."""

_NAMES = ("$id", "id")
_CONTAINERS = 1_000_000
_LEAVES = frozenset((str, int, float, bool, type(None)))
_MOVING = (b"$anchor", b"$dynamic", b"$recursive")


class Resolver(Protocol):
    """Protocol of a resolver of the package `referencing`, as far as `Documents` calls it."""

    def lookup(self, ref: str) -> Anything:  # referencing's
        """The schema that a reference points to, and a resolver for references inside it."""

    def in_subresource(self, subresource: Anything) -> Resolver:  # referencing's
        """The resolver for references inside a schema that has an identifier."""

    def dynamic_scope(self) -> Iterable[tuple[str, object]]:
        """The resources that were entered through references, latest first."""


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """The context of a schema: its draft, and what its references are relative to.

    key: equal for scopes in which equal schema text has the same meaning. resolver: `None` while
    all references are JSON pointers into the one document.
    """

    dialect: Dialect
    key: object = ()
    resolver: Resolver | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """The schema that a reference points to, with its scope and its pointer."""

    schema: Schema
    scope: Scope
    pointer: str


class Documents:
    """The schema's own document, further documents by URI, and the metaschemas.

    Nothing is ever fetched.
    """

    def __init__(self, root: Schema, nesting: int, resources: Resources | None = None) -> None:
        self.root = root
        self._resources = {} if resources is None else dict(resources.items())
        self._own = ""
        self._widened: Scope | None = None
        self._in_dialect: dict[tuple[Scope, Dialect], Scope] = {}
        _check_nesting(root, nesting)
        for uri, document in self._resources.items():
            contents = getattr(document, "contents", document)
            if not isinstance(uri, str) or not isinstance(contents, bool | Mapping):
                reason = f"resources map URIs to schemas, not to {type(contents).__name__}"
                raise GrammarSyntaxError(bounded(str(uri), LONGEST_VALUE), reason)
            _check_nesting(contents, nesting)
        if isinstance(root, bool):
            self.scope = Scope(dialect_of({}))
            return
        dialect = dialect_of(root)
        base = root.get(dialect.id_keyword)
        self._own = base.rstrip("#") if isinstance(base, str) else ""
        if _is_simple(root, dialect):
            self.scope = Scope(dialect)
        else:
            self.scope = self._resolving(dialect)

    def resolve(self, scope: Scope, reference: str, where: str) -> Target:
        """The target of the `$ref` at the pointer `where`."""
        if scope.resolver is None:
            local = reference.removeprefix(self._own)
            if local == "" or local.startswith("#"):
                value, dialect = _walk(self.root, local[1:], where)
                return Target(
                    _schema(value, reference, where),
                    self.within(scope, dialect),
                    unquote(local[1:]),
                )
            if self._widened is None:
                self._widened = self._resolving(scope.dialect)
            scope = self._widened
        return self._look_up(scope, reference, where)

    def resolve_recursive(self, scope: Scope, where: str) -> Target:
        """The target of the `$recursiveRef` at the pointer `where`."""
        if scope.resolver is None:
            return Target(self.root, scope, "")
        from referencing.jsonschema import lookup_recursive_ref

        resolver: Any = scope.resolver
        resolved = lookup_recursive_ref(resolver)
        return self._arrived(scope, resolved, "#", where)

    def enter(self, scope: Scope, schema: Mapping[str, Any], pointer: str) -> Scope:
        """The scope inside a schema. It is a new one where the schema has `$id` or `$schema`."""
        if "$schema" in schema:
            scope = self.within(scope, dialect_of(schema, scope.dialect, pointer))
        if scope.resolver is None or scope.dialect.id_keyword not in schema:
            return scope
        from referencing.jsonschema import specification_with

        specification = specification_with(scope.dialect.uri)
        resource = specification.create_resource(schema)
        if not resource.id():
            return scope
        inner = scope.resolver.in_subresource(resource)
        return _scope(scope.dialect, inner, schema)

    def within(self, scope: Scope, dialect: Dialect | None) -> Scope:
        """The same scope under another draft; `None` keeps its draft."""
        if dialect is None or dialect == scope.dialect:
            return scope
        known = self._in_dialect.get((scope, dialect))
        if known is None:
            known = Scope(dialect, scope.key, scope.resolver)
            self._in_dialect[scope, dialect] = known
        return known

    def _resolving(self, dialect: Dialect) -> Scope:
        from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]
        from referencing.jsonschema import specification_with

        root = specification_with(dialect.uri).create_resource(self.root)
        given: list[tuple[str, Any]] = []
        for name, document in self._resources.items():
            contents = getattr(document, "contents", document)
            resource = specification_with(_uri(contents, dialect)).create_resource(contents)
            # A URI may be relative to the schema that refers to it, as a file's name is.
            bare = name.removesuffix("#")
            given += [(other, resource) for other in {name, bare, urljoin(self._own, bare)}]
        uri = root.id() or ""
        given.append((uri, root))
        registry: Any = REGISTRY.with_resources(given)
        # Once, not at each look-up. A given document goes before a part of another one that has its
        # URI as `$id`. Names that are wrong are reported where they are looked up.
        with suppress(AttributeError, TypeError, ValueError):
            registry = registry.crawl().with_resources(given)
        return _scope(dialect, registry.resolver(uri), self.root)

    def _look_up(self, scope: Scope, reference: str, where: str) -> Target:
        from referencing.exceptions import Unresolvable

        assert scope.resolver is not None  # for the type checker
        try:
            resolved = scope.resolver.lookup(reference)
        except (Unresolvable, ValueError) as problem:
            document = reference.partition("#")[0]
            if document and document not in self._resources:
                reason = (
                    f"{shown(reference)} is in no document at hand, and nothing is fetched:"
                    f" give the document by resources={{{shown(document)}: ...}}"
                )
            else:
                reason = f"{shown(reference)} leads nowhere: its document has no such schema"
            raise GrammarUnsupportedError(where, "$ref", reason) from problem
        except (AttributeError, TypeError) as problem:  # what `referencing` meets in such documents
            reason = "a document at hand has names or definitions of a wrong type"
            raise GrammarSyntaxError(
                where, f"{shown(reference)} is not found: {reason}"
            ) from problem
        return self._arrived(scope, resolved, reference, where)

    def _arrived(
        self, scope: Scope, resolved: Anything, reference: str, where: str
    ) -> Target:  # referencing's
        contents = _schema(resolved.contents, reference, where)
        base = _base(resolved.resolver, contents)
        dialect = scope.dialect
        if isinstance(base, Mapping):
            document = reference.partition("#")[0]
            dialect = dialect_of(base, dialect, f"{document}#" if document else "")
        return Target(contents, _scope(dialect, resolved.resolver, base), reference)


def _schema(value: object, reference: str, where: str) -> Schema:
    """Check that what a reference leads to is a schema."""
    if isinstance(value, bool | Mapping):
        return value
    expected = "must lead to a schema (an object or a boolean)"
    raise GrammarSyntaxError(where, f"{shown(reference)} {expected}, not to {shown(value)}")


def _uri(document: object, otherwise: Dialect) -> str:
    """The URI of a document's draft; `otherwise` for unknown ones, which references refuse."""
    try:
        return dialect_of(document if isinstance(document, Mapping) else {}, otherwise).uri
    except GrammarError:
        return otherwise.uri


def _base(resolver: Resolver, otherwise: object) -> object:
    """The document or embedded resource that a resolver is in."""
    from referencing.exceptions import Unresolvable

    try:
        found: object = resolver.lookup("").contents
    except Unresolvable:  # it has an identifier that nobody has registered
        return otherwise
    return found


def _scope(dialect: Dialect, resolver: Resolver, base: object) -> Scope:
    # Dynamic references look from the outermost resource inwards: of each resource, the outermost
    # visit decides.
    entered = tuple(dict.fromkeys(reversed([uri for uri, _ in resolver.dynamic_scope()])))
    return Scope(dialect, (id(base), entered), resolver)


def _is_simple(root: Mapping[str, Any], dialect: Dialect) -> bool:
    try:
        document: Any = root
        text = marshal.dumps(document, 0)
    except ValueError:
        return False
    if any(word in text for word in _MOVING):
        return False
    named = text.count(b"$id") > ("$id" in root)
    drafts = text.count(b"$schema") > ("$schema" in root)
    if dialect.id_keyword == "id" or drafts:
        # Many properties are called "id", or "$schema", and are no keywords.
        return not _has_inner_name(root)
    return not named


def _has_inner_name(root: Mapping[str, Any]) -> bool:
    """Whether any object inside a document may be a schema with a name of its own."""
    todo: list[Any] = list(root.values())
    while todo:
        value = todo.pop()
        if isinstance(value, dict | Mapping) and any(
            isinstance(value.get(word), str) for word in _NAMES
        ):
            return True
        todo.extend(inner for inner in _values(value) if type(inner) not in _LEAVES)
    return False


def _check_nesting(root: object, most: int) -> None:
    level: list[Any] = [root]
    depth = total = 0
    while level:
        depth += 1
        total += len(level)
        if depth > most:
            raise GrammarLimitError("", "levels of nesting", most)
        if total > _CONTAINERS:
            raise GrammarLimitError("", "objects and arrays", _CONTAINERS)
        level = [
            value
            for container in level
            for value in _values(container)
            if type(value) not in _LEAVES
        ]


def _values(container: object) -> Iterable[Any]:
    if isinstance(container, dict | Mapping):
        return container.values()
    return container if isinstance(container, list) else ()


def _walk(root: object, fragment: str, where: str) -> tuple[object, Dialect | None]:
    """The value at a JSON pointer, and the draft that the last schema on the way declares."""
    value: Any = root
    dialect = None
    for raw in unquote(fragment).split("/")[1:] if fragment else ():
        token = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and token in value:
            value = value[token]
        elif isinstance(value, list) and token.isdecimal() and int(token) < len(value):
            value = value[int(token)]
        else:
            raise GrammarUnsupportedError(
                where,
                "$ref",
                f"{shown('#' + fragment)} leads nowhere: the document has no {shown(token)} there",
            )
        if isinstance(value, Mapping) and isinstance(value.get("$schema"), str):
            dialect = dialect_of(value, pointer=where)
    if fragment and not fragment.startswith("/"):
        reason = f"{shown('#' + fragment)} leads nowhere: no schema has this anchor"
        raise GrammarUnsupportedError(where, "$ref", reason)
    return value, dialect
