"""The fields of a request as JSON Schemas, for an OpenAPI document."""

from __future__ import annotations

import math
from typing import Any

from decoding.parameters import REQUEST_FIELDS
from decoding.request_fields import RequestField, ValueType


def parameter_schema() -> dict[str, dict[str, Any]]:
    """A JSON Schema (2020-12, as in OpenAPI 3.1) by the name of each field of `parameters`.

    Every one has a `description` and a `type`; numbers have their range and, where Rust has a type
    for them, its `format`; null is legal where a field has no other way to say nothing.

    >>> parameter_schema()["min_p"]["description"]
    'keep tokens P times as likely as the likeliest; 0 is neutral'
    >>> {key: parameter_schema()["top_p"][key] for key in ("type", "exclusiveMinimum", "maximum")}
    {'type': ['number', 'null'], 'exclusiveMinimum': 0.0, 'maximum': 1.0}
    """
    return {name: _schema(field) for name, field in REQUEST_FIELDS.items()}


def _schema(field: RequestField) -> dict[str, Any]:
    schema = {**_TYPES[field.type.name], **_range(field.type), "description": field.description}
    if field.initial is None:
        schema["type"] = [schema["type"], "null"]
    if field.default is not None:
        schema["default"] = field.default
    elif isinstance(field.initial, bool):
        schema["default"] = field.initial
    return schema


def _range(value_type: ValueType) -> dict[str, Any]:
    """The ends of a number's range that are finite."""
    if not value_type.is_number:
        return {}
    low = "exclusiveMinimum" if value_type.low_is_outside else "minimum"
    high = "exclusiveMaximum" if value_type.high_is_outside else "maximum"
    ends = ((low, value_type.low), (high, value_type.high))
    return {key: end for key, end in ends if abs(end) < math.inf}


_IDS = {"type": "array", "items": {"type": "integer", "format": "int32", "minimum": 0}}
_TYPES: dict[str, dict[str, Any]] = {
    "bool": {"type": "boolean"},
    "f32": {"type": "number", "format": "float"},
    "i32": {"type": "integer", "format": "int32"},
    "u32": {"type": "integer", "format": "int32"},
    "u64": {"type": "integer", "format": "int64"},
    "usize": {"type": "integer"},
    "string": {"type": "string"},
    "strings": {"type": "array", "items": {"type": "string", "minLength": 1}},
    "ids": _IDS,
    "sequences": {"type": "array", "items": {**_IDS, "minItems": 1}},
    "biases": {
        "type": "object",
        "propertyNames": {"pattern": "^[0-9]+$"},
        "additionalProperties": {"type": "number", "format": "float"},
    },
    "grammar": {
        "type": "object",
        "properties": {"type": {"type": "string"}, "value": {}},
        "required": ["type", "value"],
    },
}
