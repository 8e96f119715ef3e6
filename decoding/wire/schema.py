"""JSON Schemas of the fields of a request, made of their declarations, for an OpenAPI document."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from decoding.parameters import REQUEST_FIELDS
from decoding.request_fields import RequestField, ValueType
from decoding.wire.types import INTEGERS, NEVER_NULL

Schema: TypeAlias = dict[str, Any]

LARGEST = 3e38
"""The end of an open range of numbers; float32, in which TGI reads them, holds little more."""


def parameter_schemas(width: int) -> dict[str, Schema]:
    """A JSON Schema (2020-12, as in OpenAPI 3.1) by the name of each field of `parameters`.

    Every one has a `description` and a `type`. A number has the least and the greatest value that
    float32 or the integer type on the wire holds within its range. Null is legal where TGI has an
    `Option`.

    width: how many token ids there are.

    >>> found = parameter_schemas(width=1000)["min_p"]
    >>> found["description"]
    'keep tokens P times as likely as the likeliest; 0 is neutral'
    >>> found["type"], found["minimum"], found["maximum"]
    (['number', 'null'], 0.0, 1.0)
    """
    types = _types(width)
    return {name: _schema(field, types) for name, field in REQUEST_FIELDS.items()}


def _schema(field: RequestField, types: Mapping[str, Schema]) -> Schema:
    schema = {**types[field.type.name], **_range(field.type), "description": field.description}
    if schema["type"] == "array" and not field.type.accepts(()):
        schema["minItems"] = 1
    if field.default is not None:
        schema["default"] = field.default
    return schema if field.name in NEVER_NULL else optional(schema)


def _range(value_type: ValueType) -> Schema:
    if not value_type.is_number:
        return {}
    low, high = value_type.low, value_type.high
    if value_type.name in INTEGERS:
        least, most = INTEGERS[value_type.name]
        return {"minimum": max(int(low), least), "maximum": min(int(high), most)}
    return {
        "minimum": _inside(low, math.inf) if value_type.low_is_outside else low,
        "maximum": _inside(high, -math.inf) if value_type.high_is_outside else high,
    }


def _inside(end: float, towards: float) -> float:
    """The float32 next to an end that is itself outside the range; a bound for infinite ends."""
    if math.isinf(end):
        return math.copysign(LARGEST, end)
    return float(np.nextafter(np.float32(end), np.float32(towards)))


def optional(schema: Schema) -> Schema:
    """The same schema, for a value that may be null."""
    return {**schema, "type": [schema["type"], "null"]}


def between(low: float, high: float, kind: str = "number") -> Schema:
    """The JSON Schema of numbers, or integers, from `low` to `high`."""
    return {"type": kind, "minimum": low, "maximum": high}


def ids_below(width: int) -> Schema:
    """The JSON Schema of the token ids of a vocabulary of `width` tokens."""
    return between(0, width - 1, "integer")


def _types(width: int) -> dict[str, Schema]:
    """JSON Schemas by the name of a type on the wire."""
    text = {"type": "string", "minLength": 1}
    ids: Schema = {"type": "array", "items": ids_below(width)}
    return {
        **{name: {"type": "integer"} for name in INTEGERS},
        "bool": {"type": "boolean"},
        "f32": {"type": "number"},
        "string": {"type": "string"},
        "strings": {"type": "array", "items": text},
        "ids": ids,
        "sequences": {"type": "array", "items": {**ids, "minItems": 1}},
        "biases": {
            "type": "object",
            "propertyNames": {"pattern": _decimals_below(width)},
            "additionalProperties": between(-LARGEST, LARGEST),
        },
        "grammar": {"type": "object"},
    }


def _decimals_below(width: int) -> str:
    """A regular expression of the integers below a number, as decimal text."""
    digits = str(width - 1)
    forms = ["[0-9]"] if len(digits) > 1 else [f"[0-{digits}]"]
    forms += [f"[1-9][0-9]{{{length - 1}}}" for length in range(2, len(digits))]
    if len(digits) > 1:
        for place, digit in enumerate(digits):
            low = 1 if place == 0 else 0
            rest = f"[0-9]{{{len(digits) - place - 1}}}" if place + 1 < len(digits) else ""
            if int(digit) > low:
                forms.append(f"{digits[:place]}[{low}-{int(digit) - 1}]{rest}")
        forms.append(digits)
    return f"^({'|'.join(forms)})$"
