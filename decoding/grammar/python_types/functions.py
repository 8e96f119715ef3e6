"""Derives JSON Schemas of types that Pydantic validates with Python functions."""

from __future__ import annotations

from decoding.grammar.python_types import value_patterns
from decoding.grammar.python_types.core import (
    AROUND,
    BRANCHES,
    Core,
    Describer,
    Json,
    TypePath,
    innermost,
    read_branch,
)
from decoding.grammar.python_types.numbers import integer
from decoding.grammar.python_types.strings import string_of
from decoding.typing import Anything

NAMED = (*AROUND, *BRANCHES, "function-plain")
"""Types of core schemas that may have a `format`."""
_HARMLESS = frozenset(
    (
        *("SecretStr", "SecretBytes", "Secret.__get_pydantic_core_schema__.<locals>.<lambda>"),
        "_BaseUrl.__get_pydantic_core_schema__.<locals>.wrap_val",
        "_BaseMultiHostUrl.__get_pydantic_core_schema__.<locals>.wrap_val",
        *("defaultdict_validator", "sequence_validator", "deque_validator"),
    )
)
"""Functions of Pydantic that accept whatever their inner schema accepts."""
_LENGTHS = {"min_length_validator": "minLength", "max_length_validator": "maxLength"}
_CHECKS = frozenset(
    f"{name}_validator"
    for name in (
        *("min_length", "max_length", "multiple_of", "max_digits", "decimal_places"),
        *("greater_than", "greater_than_or_equal", "less_than", "less_than_or_equal"),
        *("forbid_inf_nan", "pattern"),
    )
)
"""Functions of Pydantic that check a condition on a value that was read."""
_REFUSED = {
    "file-path": "its name does not say whether a file exists",
    "directory-path": "its name does not say whether a folder exists",
    "socket-path": "its name does not say whether a socket exists",
    "regex": "the strings that are regular expressions are no regular language",
    "color": "the names of colours are known to Pydantic alone",
    "phone": "the numbers of telephones are known to another package",
}
_BYTE_SIZE = 10**15


def by_format(core: Core, place: TypePath) -> Json | None:
    """The schema of a type that is known by its `format` in Pydantic; `None` for other types."""
    if core["type"] in AROUND and _name_of(core["function"]["function"])[0] in _CHECKS:
        return None  # a condition on the type inside
    name = _as_pydantic_says(core).get("format")
    if not isinstance(name, str):
        return None
    if name in value_patterns.BY_FORMAT:
        return string_of(value_patterns.BY_FORMAT[name])
    if name in ("base64", "base64url"):
        of_text = innermost(core)["type"] == "str"
        return string_of(value_patterns.base64(of_text=of_text, url_safe=name == "base64url"))
    if name == "zoneinfo":
        from zoneinfo import available_timezones

        return {"enum": sorted(available_timezones())}
    if name == "path" and core["type"] not in AROUND:
        return {"type": "string"}
    if name == "path":
        place.refuse(name, "its name does not say what exists")
    if name in _REFUSED:
        place.refuse(name, _REFUSED[name])
    return None


def function_around(describer: Describer, core: Core, place: TypePath) -> Json:
    """The schema of a value with a validator function before, after or around its own schema."""
    if core.get("json_schema_input_schema") is not None:
        return describer.of(core["json_schema_input_schema"], place)
    function = core["function"]["function"]
    name, is_ours = _name_of(function)
    if not is_ours or name in _HARMLESS:
        return describer.of(core["schema"], place)
    if name == "ByteSize._validate":
        return integer({"ge": 0, "le": _BYTE_SIZE})
    if name in _LENGTHS and _is_plain_text(core["schema"]):
        (bound,) = getattr(function, "keywords", {"": None}).values()
        inner = describer.of(core["schema"], place)
        if isinstance(bound, int):
            return {"allOf": [inner, {_LENGTHS[name]: bound}]}
    return place.refuse(name, "this validator of Pydantic is not known here")


def is_harmless(core: Core) -> bool:
    """Whether a core schema is a function that is not Pydantic's, or one that changes nothing."""
    if core["type"] in AROUND:
        name, is_ours = _name_of(core["function"]["function"])
        return not is_ours or name in _HARMLESS
    return core["type"] in NAMED


def _is_plain_text(core: Core) -> bool:
    """Whether a value is the text itself that was read: no function changes it."""
    while core["type"] != "str":
        if core["type"] in BRANCHES:
            core = read_branch(core)
        elif core["type"] in AROUND:
            name, is_ours = _name_of(core["function"]["function"])
            if not is_ours or name not in {*_HARMLESS, *_LENGTHS}:
                return False
            core = core["schema"]
        else:
            return False
    return True


def function_alone(describer: Describer, core: Core, place: TypePath) -> Json:
    """The schema declared for a value that a function alone validates; refused without one."""
    if core.get("json_schema_input_schema") is not None:
        inner: Core = core["json_schema_input_schema"]
        if inner["type"] != "any":
            return describer.of(inner, place)
    name, is_ours = _name_of(core["function"]["function"])
    said = {} if is_ours else _as_pydantic_says(core)
    if not said:
        place.refuse(name, "a function reads it, and what the function accepts is not known")
    return said  # the author of the type declares it


def _as_pydantic_says(core: Core) -> Json:
    """The JSON Schema that Pydantic generates of a core schema; `{}` if it generates none."""
    from pydantic.errors import PydanticUserError
    from pydantic.json_schema import GenerateJsonSchema

    if innermost(core)["type"] in ("model", "dataclass", "definition-ref", "typed-dict"):
        return {}
    try:
        return dict(GenerateJsonSchema().generate(dict(core)))
    except (PydanticUserError, KeyError, TypeError, ValueError):
        return {}


def _name_of(function: Anything) -> tuple[str, bool]:  # any callable
    """The name of a function, and whether it is Pydantic's own."""
    function = getattr(function, "func", function)
    function = getattr(function, "__func__", function)
    module = str(getattr(function, "__module__", ""))
    name = str(getattr(function, "__qualname__", type(function).__qualname__))
    return name, module.partition(".")[0] in ("pydantic", "pydantic_core", "pydantic_extra_types")
