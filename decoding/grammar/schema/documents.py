"""References between schemas: where they lead, and in which surroundings one then is."""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias
from urllib.parse import unquote

from decoding.errors import GrammarLimitError, GrammarSyntaxError, GrammarUnsupportedError
from decoding.grammar.schema.dialects import Dialect, dialect_of, escape

Schema: TypeAlias = "bool | Mapping[str, Any]"
"""A JSON Schema, as parsed JSON."""

_BASE_KEYWORDS = ("$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor")
_CONTAINERS = 1_000_000
_LEAVES = frozenset((str, int, float, bool, type(None)))
_MOVING = (b"$anchor", b"$dynamic", b"$recursive")


class Resolver(Protocol):
    """What is used of `referencing`'s resolvers."""

    def lookup(self, ref: str) -> Any:  # noqa: ANN401 -- referencing's
        """The schema of this reference, and the resolver there."""

    def in_subresource(self, subresource: Any) -> Resolver:  # noqa: ANN401 -- referencing's
        """The resolver inside of a schema with an identifier."""

    def dynamic_scope(self) -> Iterable[tuple[str, object]]:
        """The resources that references have led through, latest first."""


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """The surroundings of a schema: what its references are relative to.

    key: equal for scopes in which the same text means the same. resolver: `None` while every
    reference can only be a pointer into the one document.
    """

    dialect: Dialect
    key: object = ()
    resolver: Resolver | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where a reference leads."""

    schema: object
    scope: Scope
    pointer: str


class Documents:
    """The schema's own document, and the metaschemas; nothing is ever fetched."""

    def __init__(self, root: Schema, nesting: int) -> None:
        self.root = root
        self._own = ""
        self._widened: Scope | None = None
        _check_nesting(root, nesting)
        if isinstance(root, bool):
            self.scope = Scope(dialect_of({}))
            return
        dialect = dialect_of(root)
        base = root.get("$id", root.get("id") if "04" in dialect.uri else None)
        self._own = base.rstrip("#") if isinstance(base, str) else ""
        if _is_simple(root, dialect):
            self.scope = Scope(dialect)
        else:
            self.scope = self._resolving(dialect)

    def resolve(self, scope: Scope, reference: str, where: str) -> Target:
        """The target of a `$ref` that stands at `where`."""
        if scope.resolver is None:
            local = reference.removeprefix(self._own)
            if local == "" or local.startswith("#"):
                return Target(_walk(self.root, local[1:], where), scope, unquote(local[1:]))
            if self._widened is None:
                self._widened = self._resolving(scope.dialect)
            scope = self._widened
        return self._look_up(scope, reference, where)

    def resolve_recursive(self, scope: Scope, where: str) -> Target:
        """The target of `$recursiveRef`."""
        if scope.resolver is None:
            return Target(self.root, scope, "")
        from referencing.jsonschema import lookup_recursive_ref

        resolver: Any = scope.resolver
        resolved = lookup_recursive_ref(resolver)
        return self._arrived(scope, resolved, "#", where)

    def enter(self, scope: Scope, schema: Mapping[str, Any]) -> Scope:
        """The surroundings inside of a schema: others where it has an identifier of its own."""
        if scope.resolver is None or not any(word in schema for word in _BASE_KEYWORDS[:2]):
            return scope
        from referencing.jsonschema import specification_with

        specification = specification_with(scope.dialect.uri)
        resource = specification.create_resource(schema)
        if not resource.id():
            return scope
        inner = scope.resolver.in_subresource(resource)
        return _scope(dialect_of(schema, scope.dialect), inner, schema)

    def _resolving(self, dialect: Dialect) -> Scope:
        from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]
        from referencing.jsonschema import specification_with

        resource = specification_with(dialect.uri).create_resource(self.root)
        return _scope(dialect, REGISTRY.resolver_with_root(resource), self.root)

    def _look_up(self, scope: Scope, reference: str, where: str) -> Target:
        from referencing.exceptions import Unresolvable

        assert scope.resolver is not None  # noqa: S101 -- for the type checker
        try:
            resolved = scope.resolver.lookup(reference)
        except (Unresolvable, ValueError) as problem:
            raise GrammarUnsupportedError(
                where, "$ref", f"{reference!r} leads nowhere: no such schema is at hand"
            ) from problem
        return self._arrived(scope, resolved, reference, where)

    def _arrived(self, scope: Scope, resolved: Any, reference: str, where: str) -> Target:  # noqa: ANN401 -- referencing's
        contents = resolved.contents
        if not isinstance(contents, bool | Mapping):
            raise GrammarSyntaxError(where, f"{reference!r} leads to {type(contents).__name__}")
        base = _base(resolved.resolver, contents)
        dialect = dialect_of(base, scope.dialect) if isinstance(base, Mapping) else scope.dialect
        return Target(contents, _scope(dialect, resolved.resolver, base), reference)


def _base(resolver: Resolver, otherwise: object) -> object:
    """The whole document, or embedded one, that a resolver is in."""
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
    if text.count(b"$id") > ("$id" in root):
        return False
    return "04" not in dialect.uri or b"id" not in text or not _has_inner_id(root)


def _has_inner_id(root: Mapping[str, Any]) -> bool:
    todo: list[Any] = list(root.values())
    while todo:
        value = todo.pop()
        if isinstance(value, dict | Mapping) and isinstance(value.get("id"), str):
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


def _walk(root: object, fragment: str, where: str) -> object:
    value: Any = root
    for raw in unquote(fragment).split("/")[1:] if fragment else ():
        token = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and token in value:
            value = value[token]
        elif isinstance(value, list) and token.isdecimal() and int(token) < len(value):
            value = value[int(token)]
        else:
            raise GrammarUnsupportedError(
                where, "$ref", f"'#{fragment}' leads nowhere: {escape(token)!r} does not exist"
            )
    if fragment and not fragment.startswith("/"):
        raise GrammarUnsupportedError(where, "$ref", f"'#{fragment}' leads nowhere")
    return value
