"""Reads a TGI request's parameters from JSON values; wrong types raise TGI's messages.

TGI's messages come from serde_json and axum. They are rebuilt here without line and column, which
are unknown after the body is decoded.
Source: TGI 3.3.6, router/src/lib.rs, `GenerateParameters` and `GrammarType`; serde_json 1.0,
src/error.rs, `JsonUnexpected`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from decoding.errors import WireTypeError
from decoding.parameters import REQUEST_FIELDS
from decoding.request_grammar import GRAMMAR_OPTIONS

Reader: TypeAlias = Callable[[str, object], object]
"""A value's path in the body and its value as JSON gives it, to the value as Rust holds it."""


def parse_parameters(fields: object, prefix: str = "parameters.") -> dict[str, Any]:
    """Read known, non-null fields and ignore unknown ones; types are checked, ranges are not.

    prefix: of a field's path in errors.
    Numbers are rounded to float32 where Rust has f32. Unknown fields are ignored; null is legal
    where TGI has an `Option`. A `grammar` stays a mapping of `type` and `value`.
    Raises WireTypeError for a wrong JSON type, the first one in the order of the body.

    >>> parse_parameters({"top_p": 0.5, "seed": None, "stop": ["x"], "other": 1})
    {'top_p': 0.5, 'stop': ('x',)}
    """
    if not isinstance(fields, Mapping):
        raise mismatch("parameters", fields, "struct GenerateParameters")
    known = ((name, value) for name, value in fields.items() if name in _READERS)
    read = ((name, _READERS[name](f"{prefix}{name}", value)) for name, value in known)
    return {name: value for name, value in read if value is not None}


def read_text(path: str, value: object) -> str:
    """Read a JSON string; raise WireTypeError for another type."""
    if not isinstance(value, str):
        raise mismatch(path, value, "a string")
    return value


def read_flag(path: str, value: object) -> bool:
    """Read a JSON boolean; raise WireTypeError for another type."""
    if not isinstance(value, bool):
        raise mismatch(path, value, "a boolean")
    return value


def check_body(body: object, name: str, required: Sequence[str]) -> Mapping[str, Any]:
    """Check that a decoded JSON body is an object with the required fields; return the body.

    name: of Rust's type. required: the fields that must be there, of any type.
    Raises WireTypeError where it is no object, or lacks a field.
    """
    if not isinstance(body, Mapping):
        problem = f"invalid type: {_unexpected(body)}, expected struct {name}"
        raise WireTypeError(f"Failed to deserialize the JSON body into the target type: {problem}")
    for field in required:
        if field not in body:
            raise WireTypeError(
                f"Failed to deserialize the JSON body into the target type: missing field `{field}`"
            )
    return body


def read_whole(path: str, value: object, kind: str, low: int, high: int) -> int:
    """A JSON integer in `[low, high]`; WireTypeError, which says `kind`, for another value."""
    read = _integer(kind, low, high)(path, value)
    assert isinstance(read, int)
    return read


def mismatch(path: str, value: object, expected: str) -> WireTypeError:
    """The error of a value of the wrong type, in serde's words."""
    return _unreadable(path, f"invalid type: {_unexpected(value)}, expected {expected}")


def _unreadable(path: str, problem: str) -> WireTypeError:
    return WireTypeError(
        f"Failed to deserialize the JSON body into the target type: {path}: {problem}"
    )


def _unexpected(value: object) -> str:
    """serde_json's name for a JSON value of an unexpected type."""
    match value:
        case None:
            name = "null"
        case bool():
            name = f"boolean `{str(value).lower()}`"
        case int() if -(2**63) <= value < 2**64:
            name = f"integer `{value}`"
        case int() | float():
            name = f"floating point `{_rust_float(_double(value))}`"
        case str():
            name = f"string {json.dumps(value, ensure_ascii=False)}"
        case Mapping():
            name = "map"
        case Sequence():
            name = "sequence"
        case _:
            name = type(value).__name__
    return name


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _rust_float(value: float) -> str:
    """Write a float as Rust's ryu does: 1e39, not 1e+39; 0.00001, not 1e-05."""
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        return mantissa
    if int(exponent) == -5:
        sign, digits = ("-", mantissa[1:]) if mantissa[0] == "-" else ("", mantissa)
        return f"{sign}0.0000{digits.replace('.', '')}"
    return f"{mantissa}e{int(exponent)}"


def _integer(kind: str, low: int, high: int) -> Reader:
    def read(path: str, value: object) -> int:
        # Beyond 64 bits serde_json reads a float, which is a wrong type and not a wrong value.
        if isinstance(value, bool) or not (isinstance(value, int) and -(2**63) <= value < 2**64):
            raise mismatch(path, value, kind)
        if not low <= value <= high:
            raise _unreadable(path, f"invalid value: integer `{value}`, expected {kind}")
        return value

    return read


def _float32(path: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise mismatch(path, value, "f32")
    double = _double(value)
    if not math.isfinite(double):
        raise _unreadable(path, "number out of range")
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite in Rust too
        return float(np.float32(double))


def _list_of(read: Reader) -> Reader:
    """The reader of a list of values that `read` reads."""

    def read_list(path: str, value: object) -> tuple[object, ...]:
        if not isinstance(value, list | tuple):
            raise mismatch(path, value, "a sequence")
        return tuple(read(f"{path}[{index}]", item) for index, item in enumerate(value))

    return read_list


def _biases(path: str, value: object) -> dict[int, float]:
    if not isinstance(value, Mapping):
        raise mismatch(path, value, "a map")
    for key in value:
        if not (isinstance(key, str) and key.isascii() and key.isdigit() and len(key) < 20):
            raise _unreadable(path, f"invalid value: {_unexpected(key)}, expected a token id")
    return {int(key): _float32(f"{path}.{key}", bias) for key, bias in value.items()}


def _grammar(path: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise mismatch(path, value, "adjacently tagged enum GrammarType")
    for key in ("type", "value"):
        if key not in value:
            raise _unreadable(path, f"missing field `{key}`")
    kind, content = read_text(f"{path}.type", value["type"]), value["value"]
    if kind not in _GRAMMAR_TYPES:
        names = ", ".join(f"`{name}`" for name in _GRAMMAR_TYPES)
        raise _unreadable(f"{path}.type", f"unknown variant `{kind}`, expected one of {names}")
    if kind == "regex":
        read_text(f"{path}.value", content)
    if kind == "json_schema":
        _schema_config(f"{path}.value", content)
    # TGI skips what it does not know; these are options of ours.
    options = {key: value[key] for key in GRAMMAR_OPTIONS if value.get(key) is not None}
    return {"type": kind, "value": content, **options}


def _schema_config(path: str, value: object) -> None:
    if not isinstance(value, Mapping):
        raise mismatch(path, value, "struct JsonSchemaConfig")
    if "schema" not in value:
        raise _unreadable(path, "missing field `schema`")
    if value.get("name") is not None:
        read_text(f"{path}.name", value["name"])


def _option(read: Reader) -> Reader:
    return lambda path, value: None if value is None else read(path, value)


INTEGERS: Mapping[str, tuple[int, int]] = {
    "i32": (-(2**31), 2**31 - 1),
    "u32": (0, 2**32 - 1),
    "u64": (0, 2**64 - 1),
    "usize": (0, 2**64 - 1),
}
"""The least and the greatest value of each integer type of Rust."""
_GRAMMAR_TYPES = ("json", "json_object", "regex", "json_schema")
_IDS = _list_of(_integer("u32", *INTEGERS["u32"]))
_TYPES: Mapping[str, Reader] = {
    "bool": read_flag,
    "f32": _float32,
    **{name: _integer(name, *ends) for name, ends in INTEGERS.items()},
    "string": read_text,
    "strings": _list_of(read_text),
    "ids": _IDS,
    "sequences": _list_of(_IDS),
    "biases": _biases,
    "grammar": _grammar,
}
NEVER_NULL = ("decoder_input_details", "details", "do_sample", "stop", "watermark", "jump_forward")
"""What TGI does not wrap in an `Option`; of ours, what has to be like that."""
_READERS: Mapping[str, Reader] = {
    name: _TYPES[field.type.name] if name in NEVER_NULL else _option(_TYPES[field.type.name])
    for name, field in REQUEST_FIELDS.items()
}
