"""Derives JSON Schemas of Pydantic's lists, sets, tuples and mappings."""

from __future__ import annotations

from collections.abc import Mapping

from decoding.grammar.python_types import value_patterns
from decoding.grammar.python_types.core import (
    AROUND,
    BOUNDS,
    BRANCHES,
    TRANSPARENT,
    Core,
    Describer,
    Json,
    TypePath,
    choice,
    constants_of,
    counts,
    is_required,
    read_branch,
)
from decoding.grammar.python_types.functions import NAMED, by_format
from decoding.grammar.python_types.object_types import without_default
from decoding.grammar.python_types.strings import string_of

_PLAINLY_DIFFERENT = frozenset(("str", "int", "bool", "none", "literal", "enum"))
"""Types of core schemas whose different JSON texts are different values."""
_HASHABLE = frozenset(
    (
        *("str", "int", "float", "bool", "none", "bytes", "decimal", "complex", "fraction"),
        *("date", "time", "datetime", "timedelta", "uuid", "url", "multi-host-url"),
        *("enum", "literal", "frozenset", "function-plain"),
    )
)
_STRINGS = frozenset(
    ("str", "bytes", "date", "time", "datetime", "uuid", "complex", "fraction", "function-plain")
)
_CHANGED = ("to_lower", "to_upper", "strip_whitespace")
_ANY: Core = {"type": "any"}


def array(describer: Describer, core: Core, place: TypePath) -> Json:
    """The schema of a list."""
    schema: Json = {"type": "array"}
    if "items_schema" in core:
        schema["items"] = describer.of(core["items_schema"], place.inside("[]"))
    return schema | counts(core, "minItems", "maxItems")


def distinct(describer: Describer, core: Core, place: TypePath) -> Json:
    """The schema of a set; items are unique where that is needed for its length."""
    items, inside = core.get("items_schema", _ANY), place.inside("[]")
    kinds = _kinds_of_hashable(describer, items, inside)
    schema: Json = {"type": "array", "items": describer.of(items, inside)}
    schema |= counts(core, "minItems", "maxItems")
    if kinds <= _PLAINLY_DIFFERENT:
        return schema | {"uniqueItems": True}
    if core.get("min_length", 0) > 1:
        which = ", ".join(sorted(kinds))
        place.refuse("min_length", f"equal items ({which}) may be spelled in two ways")
    return schema


def _kinds_of_hashable(describer: Describer, core: Core, place: TypePath) -> set[str]:
    """The types of a set's items; refuses items that may not be hashable."""
    kind = core["type"]
    inner: list[Core] = []
    found: set[str] = set()
    if kind in (*TRANSPARENT, *AROUND):
        inner, found = [core["schema"]], {kind} if kind in AROUND else set()
    elif kind == "definition-ref":
        inner = [describer.target(core)]
    elif kind == "nullable":
        inner, found = [core["schema"]], {"none"}
    elif kind in ("union", "tagged-union"):
        options = core["choices"]
        listed = options.values() if isinstance(options, Mapping) else options
        inner = [choice(one) for one in listed]
        if len(inner) > 1:
            found = {kind}
    elif kind == "tuple":
        inner, found = list(core["items_schema"]), {kind}
    elif kind in BRANCHES:
        inner = [read_branch(core)]
    elif kind in ("model", "dataclass") and core["cls"].__hash__ is not None:
        inner, found = [core["schema"]], {kind}
    elif kind in ("model-fields", "dataclass-args"):
        fields = core["fields"]
        listed = fields.values() if isinstance(fields, Mapping) else fields
        inner = [one["schema"] for one in listed]
    elif kind == "str":
        names = [*_CHANGED, *(f"str_{name}" for name in _CHANGED)]
        changed = any(core.get(name) or place.config.get(name) for name in names)
        found = {"str that is changed" if changed else kind}
    elif kind in _HASHABLE:
        found = {kind}
    else:
        place.refuse(kind, "items of a set must be hashable, and such a value may not be")
    return found.union(*(_kinds_of_hashable(describer, one, place) for one in inner))


def row(describer: Describer, core: Core, place: TypePath) -> Json:
    """The schema of a tuple."""
    items, variadic = core["items_schema"], core.get("variadic_item_index")
    if variadic is not None and variadic != len(items) - 1:
        place.refuse("tuple", "masks cannot enforce items after a part of variable length")
    parts = [describer.of(one, place.inside(f"[{n}]")) for n, one in enumerate(items)]
    schema: Json = {"type": "array"}
    if variadic is None:
        if parts:
            schema["prefixItems"] = parts
        low, high = core.get("min_length"), core.get("max_length")
        if (low or 0) > len(parts) or (high is not None and high < len(parts)):
            place.refuse("tuple", f"it has {len(parts)} items, which its length forbids")
        return schema | {"items": False, "minItems": len(parts)}
    if parts[:-1]:
        schema["prefixItems"] = parts[:-1]
    least = max(len(parts) - 1, core.get("min_length") or 0)
    bounds = counts({"max_length": core.get("max_length")}, "minItems", "maxItems")
    return schema | {"items": parts[-1], "minItems": least} | bounds


def named_tuple(describer: Describer, core: Core, place: TypePath) -> Json:
    """The schema of a named tuple."""
    return _named(describer, core["fields"], place.within(core))


def call(describer: Describer, core: Core, place: TypePath) -> Json:
    """The schema of a named tuple, as earlier versions of Pydantic compile it."""
    cls, listed = core["function"], core["arguments_schema"].get("arguments_schema")
    if listed is None or not (isinstance(cls, type) and issubclass(cls, tuple)):
        place.refuse("call", "arguments of functions have no JSON Schema here")
    return _named(describer, listed, place.within({"cls": cls}))


def _named(describer: Describer, fields: list[Core], place: TypePath) -> Json:
    schema: Json = {
        "type": "array",
        "items": False,
        "minItems": sum(is_required(one, place.config) for one in fields),
    }
    parts = [
        describer.of(without_default(one["schema"]), place.inside(one["name"])) for one in fields
    ]
    return schema | ({"prefixItems": parts} if parts else {})


def mapping(describer: Describer, core: Core, place: TypePath) -> Json:
    """The schema of a mapping."""
    least = core.get("min_length") or 0
    names = _key(describer, core.get("keys_schema", _ANY), place.inside("keys"), least)
    otherwise: Core = {"type": "int"} if core["type"] == "counter" else _ANY
    values = describer.of(core.get("values_schema", otherwise), place.inside("values"))
    schema: Json = {"type": "object", "additionalProperties": values}
    if names != {"type": "string"}:
        schema["propertyNames"] = names
        if least > 1 and "enum" not in names:
            place.refuse("min_length", "masks cannot count keys of a restricted form")
    return schema | counts(core, "minProperties", "maxProperties")


def _key(describer: Describer, core: Core, place: TypePath, least: int) -> Json:
    """The schema of a mapping's keys, which are strings in JSON."""
    kind = core["type"]
    known = by_format(core, place) if kind in NAMED else None
    if known is not None:
        return known
    if kind in (*TRANSPARENT, *AROUND, "nullable"):
        return _key(describer, core["schema"], place, least)
    if kind in BRANCHES:
        return _key(describer, read_branch(core), place, least)
    if kind == "definition-ref":
        return _key(describer, describer.target(core), place, least)
    if kind == "union":
        options = [_key(describer, choice(one), place, least) for one in core["choices"]]
        return {"anyOf": options}
    return _plain_key(describer, core, place)


def _plain_key(describer: Describer, core: Core, place: TypePath) -> Json:
    kind = core["type"]
    if kind in ("int", "float", "decimal"):
        if core.keys() & BOUNDS:
            place.refuse(
                kind, "masks cannot enforce bounds and steps of keys, which are strings in JSON"
            )
        return string_of(value_patterns.INTEGER_KEY if kind == "int" else value_patterns.NUMBER_KEY)
    if kind == "bool":
        return {"enum": ["true", "false"]}
    if kind in ("literal", "enum"):
        named = [one for one in constants_of(core) if isinstance(one, str)]
        if not named:
            place.refuse(kind, "none of its values is a string, as keys are in JSON")
        return {"enum": named}
    if kind == "any":
        return {"type": "string"}
    if kind in _STRINGS:
        return describer.of(core, place)
    if kind in ("url", "multi-host-url", "timedelta"):
        place.refuse(kind, "keys of this type have too many forms")
    return place.refuse(kind, "it is not read from a key, which is a string in JSON")
