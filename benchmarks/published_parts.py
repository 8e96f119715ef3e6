"""Parts of published JSON Schemas, narrowed until they have finitely many values.

Every subschema of a document is a candidate. Its keywords stay, and further ones make it finite:
an `enum` beside a string, a number or an untyped leaf, `maxItems` beside `items`,
`additionalProperties: false` beside `properties`, of which some optional ones are left out.
References inside the document are replaced by what they name. A part whose values would be too
many, or that refers to itself or to another document, is left out.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from jsonschema import SchemaError, validators

from benchmarks.real_schemas import fetch, found
from decoding.testing.finite_schemas import FiniteSchema

Schema: TypeAlias = dict[str, Any]
_MOST = 150
"""Values of one part."""
_TEXTS = 4_000
"""Characters of one part; a longer one is mostly of what this says nothing about."""
_OF_DOCUMENT = 12
"""Parts of one document, so that no document decides the result."""
_DEEPEST = 4
_ENUMERATED = 8
_ITEMS = 2
_MEMBERS = 3
_STRINGS = ("", "a", "ab", "A1", "1", "1.0.0", "a-b", "a_b", "x/y", "a.b", "#/a", "@a/b", "é")
_NUMBERS = (0, 1, -1, 2, 7, 10, 0.5, 100, 1000)
_LEAVES = (None, True, 0, "a")
_LEFT_OUT = frozenset(
    [
        "$anchor",
        "$comment",
        "$defs",
        "$id",
        "$schema",
        "default",
        "definitions",
        "deprecated",
        "description",
        "enumDescriptions",
        "examples",
        "format",
        "id",
        "markdownDescription",
        "title",
    ]
)
"""What says nothing about a value to `jsonschema` without a checker of formats."""
_FILTERS = frozenset(
    [
        "allOf",
        "contains",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "maxContains",
        "minContains",
        "not",
        "propertyNames",
        "then",
    ]
)
"""Keywords that take values away: they stay as they are, where they refer to nothing."""
_REFERENCE = re.compile(r'"\$(ref|dynamicRef|recursiveRef)"')


class _UnusableError(Exception):
    """This part cannot be made finite."""


def published_parts(folder: Path, count: int, rng: random.Random) -> list[FiniteSchema]:
    """Parts of the schemas of `benchmarks.real_schemas`, the packages in turns.

    folder: where the packages are, or will be put. count: how many are taken, where there are.
    """
    fetch(folder)
    packages: dict[str, list[FiniteSchema]] = defaultdict(list)
    for name, document, _ in found(folder):
        parts = list(parts_of(document, rng))
        packages[Path(name).parts[0]] += rng.sample(parts, min(_OF_DOCUMENT, len(parts)))
    for parts in packages.values():
        rng.shuffle(parts)
    turns = itertools.zip_longest(*packages.values())
    return [part for turn in turns for part in turn if part is not None][:count]


def parts_of(document: Mapping[str, Any], rng: random.Random) -> Iterator[FiniteSchema]:
    """The finite parts of one document, each with the document's dialect."""
    dialect = document["$schema"]
    seen: set[str] = set()
    for place in _subschemas(document):
        try:
            part = _narrowed(place, document, rng, _DEEPEST)
        except (_UnusableError, RecursionError):
            continue
        schema = {"$schema": dialect, **part.schema}
        text = json.dumps(schema, sort_keys=True)
        is_leaf = not part.schema.keys() - {"type", "enum", "const"}
        is_fitting = 2 <= len(part.values) <= _MOST and len(text) <= _TEXTS
        if text in seen or is_leaf or not is_fitting or _REFERENCE.search(text):
            continue
        seen.add(text)
        known = validators.validator_for(schema)
        try:
            known.check_schema(schema)
            known(schema).is_valid(part.values[0])
        except (SchemaError, re.error):  # a pattern that Python cannot read, in a draft's own words
            continue
        yield FiniteSchema(schema, part.values)


def _subschemas(schema: object) -> Iterator[Schema]:
    """A schema and the ones in it, wherever a keyword has them."""
    if not isinstance(schema, dict):
        return
    yield schema
    for key, inner in schema.items():
        if key in ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas"):
            listed = list(inner.values()) if isinstance(inner, dict) else []
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems", "items"):
            listed = inner if isinstance(inner, list) else [inner]
        elif key in ("additionalProperties", "not", "if", "then", "else", "contains"):
            listed = [inner]
        else:
            continue
        for one in listed:
            yield from _subschemas(one)


def _narrowed(schema: object, document: Any, rng: random.Random, depth: int) -> FiniteSchema:
    """A schema as a finite one that holds a part of its values."""
    if schema is True or schema == {}:
        return FiniteSchema({"enum": list(_LEAVES)}, _LEAVES)
    if not isinstance(schema, dict) or depth < 0:
        raise _UnusableError
    if "$ref" in schema:
        if schema.keys() - {"$ref"} - _LEFT_OUT:
            raise _UnusableError
        return _narrowed(_named(schema["$ref"], document), document, rng, depth - 1)
    kept = {
        key: inner
        for key, inner in schema.items()
        if key not in _LEFT_OUT and not (key in _FILTERS and _REFERENCE.search(json.dumps(inner)))
    }
    if "enum" in kept or "const" in kept:
        return _checked(kept, kept["enum"] if "enum" in kept else [kept["const"]])
    for key in ("anyOf", "oneOf"):
        if key in kept:
            rest = {name: inner for name, inner in kept.items() if name != "properties"}
            return _union(rest, key, kept[key], document, rng, depth - 1)
    if isinstance(kept.get("type"), list):
        one_each = [{**kept, "type": kind} for kind in kept["type"]]
        return _union({}, "anyOf", one_each, document, rng, depth)
    return _of_one_type(kept, document, rng, depth) or _leaf(kept, schema)


def _union(
    rest: Schema, key: str, listed: Sequence[Any], document: Any, rng: random.Random, depth: int
) -> FiniteSchema:
    parts = [_narrowed(part, document, rng, depth) for part in listed]
    values = [value for part in parts for value in part.values]
    return _checked({**rest, key: [part.schema for part in parts]}, values)


def _of_one_type(
    kept: Schema, document: Any, rng: random.Random, depth: int
) -> FiniteSchema | None:
    """An object, an array, a boolean or null, by its type or by what it says of its parts."""
    kind = kept.get("type")
    if kind == "object" or (kind is None and "properties" in kept):
        return _object({**kept, "type": "object"}, document, rng, depth)
    if kind == "array" or (kind is None and "items" in kept):
        return _array({**kept, "type": "array"}, document, rng, depth)
    if kind in ("null", "boolean"):
        return _checked(kept, [None] if kind == "null" else [False, True])
    return None


def _leaf(kept: Schema, schema: Schema) -> FiniteSchema:
    """A string, a number, or anything, as an enumeration."""
    usual: dict[Any, Sequence[Any]] = {None: (*_LEAVES, [], {}), "string": _STRINGS}
    usual |= {"integer": _NUMBERS, "number": _NUMBERS}
    kind = kept.get("type")
    if kind is not None and (not isinstance(kind, str) or kind not in usual):
        raise _UnusableError
    chosen = _distinct([*_examples(schema), *_bounds(schema), *usual[kind]])[:_ENUMERATED]
    return _checked({**kept, "enum": chosen}, chosen)


def _checked(schema: Schema, values: Sequence[Any]) -> FiniteSchema:
    """A finite schema, unless its values are too many or need an escape when they are written."""
    if len(values) > _MOST or "\\" in json.dumps(list(values), ensure_ascii=False):
        raise _UnusableError
    return FiniteSchema(schema, tuple(values))


def _named(reference: str, document: Any) -> Any:
    if not reference.startswith("#/"):
        raise _UnusableError
    found = document
    for step in reference[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or name not in found:
            raise _UnusableError
        found = found[name]
    return found


def _examples(schema: Schema) -> list[Any]:
    listed = schema.get("examples")
    given = listed if isinstance(listed, list) else []
    return [*([schema["default"]] if "default" in schema else []), *given]


def _bounds(schema: Schema) -> list[Any]:
    """Values at and beside the bounds of a number, and strings as long as a schema's lengths."""
    found: list[Any] = []
    for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"):
        bound = schema.get(key)
        if isinstance(bound, int | float) and not isinstance(bound, bool) and abs(bound) < 1e6:
            found += [bound, bound + 1, bound - 1]
    lengths = [schema.get(key) for key in ("minLength", "maxLength")]
    found += ["a" * size for size in lengths if isinstance(size, int) and size < 12]
    return found


def _distinct(values: Sequence[Any]) -> list[Any]:
    return [json.loads(text) for text in dict.fromkeys(map(json.dumps, values))]


def _array(kept: Schema, document: Any, rng: random.Random, depth: int) -> FiniteSchema:
    items = kept.get("items", True)
    if isinstance(items, list) or "prefixItems" in kept:
        raise _UnusableError
    inner = _narrowed(items, document, rng, depth - 1)
    most = min(kept.get("maxItems", _ITEMS), max(_ITEMS, kept.get("minItems", 0)))
    while most and sum(len(inner.values) ** count for count in range(most + 1)) > _MOST:
        most -= 1
    lists = [
        list(some)
        for count in range(most + 1)
        for some in itertools.product(inner.values, repeat=count)
    ]
    return _checked({**kept, "items": inner.schema, "maxItems": most}, lists)


def _object(kept: Schema, document: Any, rng: random.Random, depth: int) -> FiniteSchema:
    required = kept.get("required", [])
    listed = kept.get("properties", {})
    if not isinstance(required, list) or not set(required) <= listed.keys():
        raise _UnusableError
    parts = _members(required, listed, document, rng, depth - 1)
    made = {key: inner for key, inner in kept.items() if key != "patternProperties"}
    made["properties"] = {name: part.schema for name, part in parts.items()}
    values = []
    for present in itertools.product((False, True), repeat=len(parts)):
        chosen = [name for name, there in zip(parts, present, strict=True) if there]
        if set(required) <= set(chosen):
            all_ways = itertools.product(*(parts[name].values for name in chosen))
            values += [dict(zip(chosen, some, strict=True)) for some in all_ways]
    return _checked({**made, "additionalProperties": False}, values)


def _members(
    required: list[str], listed: Schema, document: Any, rng: random.Random, depth: int
) -> dict[str, FiniteSchema]:
    """The required properties of an object, and some others, as many as leave few values."""
    optional = [name for name in listed if name not in required]
    rng.shuffle(optional)
    parts: dict[str, FiniteSchema] = {}
    size = 1
    for name in [*required, *optional]:
        is_required = name in required
        if not is_required and len(parts) >= _MEMBERS:
            break
        try:
            part = _narrowed(listed[name], document, rng, depth)
        except _UnusableError:
            if is_required:
                raise
            continue
        grown = size * (len(part.values) + (not is_required))
        if grown <= _MOST:
            parts[name], size = part, grown
        elif is_required:
            raise _UnusableError
    return parts
