"""Turns Pydantic core schemas of models, TypedDicts, dataclasses, unions into JSON Schemas."""

from __future__ import annotations

from collections.abc import Sequence

from decoding.grammar.python_types.core import (
    Core,
    Describer,
    Json,
    TypePath,
    choice,
    is_required,
    value_of,
)
from decoding.grammar.python_types.numbers import constants


def without_default(core: Core) -> Core:
    """The core schema of a field's value, without its default."""
    found: Core = core["schema"] if core["type"] == "default" else core
    return found


def whole_class(describer: Describer, core: Core, place: TypePath) -> Json:
    """The schema of a model or a dataclass."""
    return describer.of(core["schema"], place.within(core))


def model_fields(describer: Describer, core: Core, place: TypePath) -> Json:
    """The schema of an object with the fields of a model."""
    return _fields(describer, core, list(core["fields"].items()), place)


def typed_dict(describer: Describer, core: Core, place: TypePath) -> Json:
    """The schema of an object with the keys of a typed dictionary."""
    total = core.get("total", True)
    fields = [(name, {"required": total, **one}) for name, one in core["fields"].items()]
    return _fields(describer, core, fields, place.within(core))


def dataclass_fields(describer: Describer, core: Core, place: TypePath) -> Json:
    """The schema of an object with the fields of a dataclass."""
    fields = [(one["name"], one) for one in core["fields"] if one.get("init") is not False]
    return _fields(describer, core, fields, place)


def _fields(
    describer: Describer, core: Core, fields: Sequence[tuple[str, Core]], place: TypePath
) -> Json:
    """The schema of an object with some fields; other keys only if the class keeps them."""
    properties: Json = {}
    required = []
    extra = _extra(core, place)
    read: list[tuple[Json, list[str]]] = []
    for name, one in fields:
        key, *others = _keys_of(name, one, place)
        schema = describer.of(without_default(one["schema"]), place.inside(name))
        read.append(
            (schema, others if extra is None else [*others, name] if key != name else others)
        )
        properties[key] = {"allOf": [properties[key], schema]} if key in properties else schema
        if is_required(one, place.config):
            required.append(key)
    for schema, others in read:
        for other in dict.fromkeys(others):
            # Pydantic may read the value as this field too.
            if other in properties:
                properties[other] = {"allOf": [properties[other], schema]}
            elif extra is not None:
                properties[other] = False
    whole: Json = {"type": "object", "properties": properties}
    if required:
        whole["required"] = required
    additional = False if extra is None else describer.of(extra, place.inside("extra"))
    return whole | {"additionalProperties": additional}


def _keys_of(name: str, one: Core, place: TypePath) -> list[str]:
    """The JSON keys that a field is read from, the one that is written first."""
    alias = one.get("validation_alias", one.get("alias"))
    if alias is None or place.config.get("validate_by_alias") is False:
        return [name]
    paths = [[alias]] if isinstance(alias, str) else alias
    paths = paths if paths and isinstance(paths[0], list) else [paths]
    found = [path[0] for path in paths if len(path) == 1 and isinstance(path[0], str)]
    inside = [path[0] for path in paths if len(path) > 1 and isinstance(path[0], str)]
    if place.config.get("validate_by_name") or place.config.get("populate_by_name"):
        found.append(name)
    if not found:
        place.inside(name).refuse("alias", "its value is read from inside another key")
    return [*found, *inside]


def _extra(core: Core, place: TypePath) -> Core | None:
    """The core schema of keys that are no fields; `None` where they are not produced."""
    behavior = core.get("extra_behavior", place.config.get("extra_fields_behavior", "ignore"))
    if behavior != "allow":
        return None
    if core.get("extras_keys_schema") is not None:
        place.refuse("extra", "conditions on the names of extra keys are not supported")
    found: Core = core.get("extras_schema") or {"type": "any"}
    return found


def nullable(describer: Describer, core: Core, place: TypePath) -> Json:
    """The schema of a value or null."""
    return {"anyOf": [describer.of(core["schema"], place), {"type": "null"}]}


def union(describer: Describer, core: Core, place: TypePath) -> Json:
    """The schema of a union."""
    return {"anyOf": [describer.of(choice(one), place) for one in core["choices"]]}


def tagged_union(describer: Describer, core: Core, place: TypePath) -> Json:
    """The schema of a union whose member is named by a key."""
    discriminator = core["discriminator"]
    while isinstance(discriminator, list) and len(discriminator) == 1:
        (discriminator,) = discriminator
    if not isinstance(discriminator, str):
        place.refuse("discriminator", "a function or a path chooses the member")
    options = []
    for tag, member in core["choices"].items():
        told = {
            "type": "object",
            "properties": {discriminator: constants([value_of(tag)], place)},
            "required": [discriminator],
        }
        options.append({"allOf": [describer.of(member, place), told]})
    return {"anyOf": options}
