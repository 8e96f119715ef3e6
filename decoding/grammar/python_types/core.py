"""Core schemas of Pydantic: where in a type one stands, and what can be told of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, Protocol, TypeAlias

from decoding.typing import Anything

Json: TypeAlias = dict[str, Any]
"""A JSON Schema."""
Core: TypeAlias = Mapping[str, Any]
"""A core schema of Pydantic, or a part of one."""

AROUND = ("function-after", "function-before", "function-wrap")
"""Functions before, behind or around the reading of a value."""
BRANCHES = ("json-or-python", "lax-or-strict")
TRANSPARENT = ("default", "custom-error")
"""What takes whatever the schema inside takes."""
BOUNDS = frozenset(("ge", "gt", "le", "lt", "multiple_of", "max_digits", "decimal_places"))
"""Conditions on numbers."""


class RefusalError(ValueError):
    """A type has texts that masks cannot hold; says which part of it and why."""


@dataclass(frozen=True, slots=True)
class TypePath:
    """Where in a type a core schema stands, and the configuration that holds there."""

    path: str = ""
    config: Core = field(default_factory=dict)

    def inside(self, name: object) -> TypePath:
        """The place of a field, or of what a container holds."""
        return replace(self, path=f"{self.path}.{name}" if self.path else str(name))

    def within(self, core: Core) -> TypePath:
        """The place inside a class, which has a configuration of its own."""
        name = getattr(core.get("cls"), "__name__", "")
        return TypePath(self.path or name, core.get("config") or {})

    def refuse(self, what: object, reason: str) -> NoReturn:
        """Raise what says why a type has no schema here."""
        raise RefusalError(f"{self.path or 'the type itself'} ({what}): {reason}")


class Describer(Protocol):
    """Describes one type."""

    def of(self, core: Core, place: TypePath) -> Json:
        """The JSON Schema of a core schema."""

    def target(self, core: Core) -> Core:
        """The core schema that a reference leads to."""


class Describe(Protocol):
    """Describes the core schemas of one kind."""

    def __call__(self, describer: Describer, core: Core, place: TypePath, /) -> Json:
        """The JSON Schema of a core schema."""


def read_branch(core: Core) -> Core:
    """Which of two schemas is read: that of JSON, and the lenient one."""
    if core["type"] == "json-or-python":
        found: Core = core["json_schema"]
    else:
        found = core["strict_schema" if core.get("strict") else "lax_schema"]
    return found


def innermost(core: Core) -> Core:
    """What functions and branches stand around."""
    while True:
        if core["type"] in BRANCHES:
            core = read_branch(core)
        elif core["type"] in (*AROUND, *TRANSPARENT):
            core = core["schema"]
        else:
            return core


def choice(option: Anything) -> Core:  # a schema, or a pair with its label
    """A member of a union."""
    found: Core = option[0] if isinstance(option, tuple) else option
    return found


def counts(core: Core, least: str, most: str) -> Json:
    """Bounds on a length, as two keywords."""
    found: Json = {}
    if core.get("min_length"):
        found[least] = core["min_length"]
    if core.get("max_length") is not None:
        found[most] = core["max_length"]
    return found


def is_required(one: Core) -> bool:
    """Whether a field has no default."""
    if "required" in one:
        return bool(one["required"])
    core = one["schema"]
    while core["type"] in AROUND:
        core = core["schema"]
    return bool(core["type"] != "default")


def value_of(member: object) -> object:
    """The value of a member of an enumeration; any other value as it is."""
    return member.value if isinstance(member, enum.Enum) else member


def constants_of(core: Core) -> list[object]:
    """The values that a `Literal` or an enumeration reads.

    A member of an enumeration in a `Literal` equals its value only where it is a text or a number.
    """
    literal = [
        value_of(one) if isinstance(one, str | int) else one for one in core.get("expected", ())
    ]
    return [*literal, *map(value_of, core.get("members", ()))]
