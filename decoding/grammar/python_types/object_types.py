"""JSON Schemas of models, typed dictionaries and dataclasses, and of unions of them."""

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
    """The schema of a value that is there."""
    found: Core = core["schema"] if core["type"] == "default" else core
    return found


def whole_class(describer: Describer, core: Core, place: TypePath) -> Json:
    """A model or a dataclass."""
    return describer.of(core["schema"], place.within(core))


def model_fields(describer: Describer, core: Core, place: TypePath) -> Json:
    """The fields of a model."""
    return _fields(describer, core, list(core["fields"].items()), place)


def typed_dict(describer: Describer, core: Core, place: TypePath) -> Json:
    """The keys of a typed dictionary."""
    total = core.get("total", True)
    fields = [(name, {"required": total, **one}) for name, one in core["fields"].items()]
    return _fields(describer, core, fields, place.within(core))


def dataclass_fields(describer: Describer, core: Core, place: TypePath) -> Json:
    """The parameters of a dataclass."""
    fields = [(one["name"], one) for one in core["fields"] if one.get("init") is not False]
    return _fields(describer, core, fields, place)


def _fields(
    describer: Describer, core: Core, fields: Sequence[tuple[str, Core]], place: TypePath
) -> Json:
    """An object with these fields; with others only where a class keeps them."""
    properties: Json = {}
    required = []
    extra = _extra(core, place)
    for name, one in fields:
        key = _key_of(name, one, place)
        if extra is not None and key != name:
            properties.setdefault(name, False)  # it would be read as the field, or beside it
        properties[key] = describer.of(without_default(one["schema"]), place.inside(name))
        if is_required(one):
            required.append(key)
    schema: Json = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    others = False if extra is None else describer.of(extra, place.inside("extra"))
    return schema | {"additionalProperties": others}


def _key_of(name: str, one: Core, place: TypePath) -> str:
    """The key under which a field is read."""
    alias = one.get("validation_alias", one.get("alias"))
    if alias is None or place.config.get("validate_by_alias") is False:
        return name
    if isinstance(alias, str):
        return alias
    paths = alias if alias and isinstance(alias[0], list) else [alias]
    for path in paths:
        if len(path) == 1 and isinstance(path[0], str):
            return path[0]
    if place.config.get("validate_by_name") or place.config.get("populate_by_name"):
        return name
    return place.inside(name).refuse("alias", "it is read from inside another key")


def _extra(core: Core, place: TypePath) -> Core | None:
    """The schema of keys that are no fields; `None` where none are written."""
    behavior = core.get("extra_behavior", place.config.get("extra_fields_behavior", "ignore"))
    if behavior != "allow":
        return None
    if core.get("extras_keys_schema") is not None:
        place.refuse("extra", "conditions on further keys are not described")
    found: Core = core.get("extras_schema") or {"type": "any"}
    return found


def nullable(describer: Describer, core: Core, place: TypePath) -> Json:
    """A value or null."""
    return {"anyOf": [describer.of(core["schema"], place), {"type": "null"}]}


def union(describer: Describer, core: Core, place: TypePath) -> Json:
    """A value of any member."""
    return {"anyOf": [describer.of(choice(one), place) for one in core["choices"]]}


def tagged_union(describer: Describer, core: Core, place: TypePath) -> Json:
    """A value of the member that one of its keys names."""
    discriminator = core["discriminator"]
    while isinstance(discriminator, list) and len(discriminator) == 1:
        (discriminator,) = discriminator
    if not isinstance(discriminator, str):
        place.refuse("discriminator", "a function or a path tells the members apart")
    options = []
    for tag, member in core["choices"].items():
        told = {
            "type": "object",
            "properties": {discriminator: constants([value_of(tag)], place)},
            "required": [discriminator],
        }
        options.append({"allOf": [describer.of(member, place), told]})
    return {"anyOf": options}
