"""Helpers to read Pydantic's core schemas, and the position inside a type for error messages."""

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
"""Types of core schemas with a function before, after or around the reading of a value."""
BRANCHES = ("json-or-python", "lax-or-strict")
TRANSPARENT = ("default", "custom-error")
"""Types of core schemas that accept what their inner schema accepts."""
LIMITS = frozenset(("ge", "gt", "le", "lt"))
BOUNDS = LIMITS | {"multiple_of", "max_digits", "decimal_places"}
"""Names of conditions on numbers in core schemas."""
LENGTHS = frozenset(("min_length", "max_length"))
CONDITIONS = BOUNDS | LENGTHS | {"pattern"}
"""Names of all conditions that a core schema may state of the values of its type."""


class RefusalError(ValueError):
    """Raised where a type cannot be described exactly; the message says which part and why."""


@dataclass(frozen=True, slots=True)
class TypePath:
    """The position of a core schema inside a type, and the configuration that applies there."""

    path: str = ""
    config: Core = field(default_factory=dict)

    def inside(self, name: object) -> TypePath:
        """The position of a field, or of the items of a container."""
        return replace(self, path=f"{self.path}.{name}" if self.path else str(name))

    def within(self, core: Core) -> TypePath:
        """The position inside a class, which has a configuration of its own."""
        name = getattr(core.get("cls"), "__name__", "")
        return TypePath(self.path or name, core.get("config") or {})

    def refuse(self, what: object, reason: str) -> NoReturn:
        """Raise `RefusalError` with this position."""
        raise RefusalError(f"{self.path or 'the type itself'} ({what}): {reason}")


class Describer(Protocol):
    """Protocol: derives the JSON Schemas of the core schemas inside one Python type."""

    def of(self, core: Core, place: TypePath) -> Json:
        """The JSON Schema of a core schema."""

    def target(self, core: Core) -> Core:
        """The core schema that a reference points to."""


class Describe(Protocol):
    """Protocol of a function that derives the JSON Schema of one kind of core schema."""

    def __call__(self, describer: Describer, core: Core, place: TypePath, /) -> Json:
        """The JSON Schema of a core schema."""


def read_branch(core: Core) -> Core:
    """The branch of a core schema that reads JSON in the default (lax) mode."""
    if core["type"] == "json-or-python":
        found: Core = core["json_schema"]
    else:
        found = core["strict_schema" if core.get("strict") else "lax_schema"]
    return found


def innermost(core: Core) -> Core:
    """The core schema inside functions and branches."""
    while True:
        if core["type"] in BRANCHES:
            core = read_branch(core)
        elif core["type"] in (*AROUND, *TRANSPARENT):
            core = core["schema"]
        else:
            return core


def choice(option: Anything) -> Core:  # a schema, or a pair with its label
    """The core schema of a union member."""
    found: Core = option[0] if isinstance(option, tuple) else option
    return found


def counts(core: Core, least: str, most: str) -> Json:
    """The bounds on a length, as the two keywords `least` and `most`."""
    found: Json = {}
    if core.get("min_length"):
        found[least] = core["min_length"]
    if core.get("max_length") is not None:
        found[most] = core["max_length"]
    return found


def is_required(one: Core, config: Core) -> bool:
    """Whether a field must be present: it has no default, or one that Pydantic would refuse."""
    if "required" in one:
        return bool(one["required"])
    core = one["schema"]
    while core["type"] in AROUND:
        core = core["schema"]
    return bool(core["type"] != "default") or _is_checked_default(core, config)


def _is_checked_default(core: Core, config: Core) -> bool:
    """Whether Pydantic checks a default, which is not known to pass."""
    if not core.get("validate_default", config.get("validate_default")):
        return False
    if "default" not in core:
        return True
    from pydantic_core import SchemaError, SchemaValidator, ValidationError

    try:
        SchemaValidator(dict(core["schema"])).validate_python(core["default"])
    except (SchemaError, ValidationError, KeyError, TypeError):  # also a reference to elsewhere
        return True
    return False


def value_of(member: object) -> object:
    """The value of an enumeration member; any other value unchanged."""
    return member.value if isinstance(member, enum.Enum) else member


def constants_of(core: Core) -> list[object]:
    """The JSON values that a `Literal` or an enumeration accepts.

    In a `Literal`, an enumeration member equals its value only if it is a string or an integer.
    """
    literal = [
        value_of(one) if isinstance(one, str | int) else one for one in core.get("expected", ())
    ]
    return [*literal, *map(value_of, core.get("members", ()))]
