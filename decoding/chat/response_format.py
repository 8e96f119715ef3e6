"""Reads the `response_format` of a chat request, in all shapes that clients send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from decoding.errors import ParameterError, require
from decoding.request_grammar import Grammar

_TYPES = "one of text, json_object, json_schema, json, regex"
_ANY_OBJECT: dict[str, Any] = {"type": "object"}


def read_response_format(value: Mapping[str, Any] | None) -> Grammar | None:
    """The grammar that a response format asks for; None for plain text.

    | shape | means |
    |---|---|
    | `None`, `{"type": "text"}` | no grammar |
    | `{"type": "json_object"}` | any JSON object |
    | `{"type": "json_object" or "json", "value": schema}` | TGI's, and what InferenceClient sends |
    | `{"type": "json_schema", "json_schema": {"name", "strict", "schema"}}` | OpenAI's |
    | `{"type": "json_schema", "value": {"name", "schema"}}` | TGI's |
    | `{"type": "regex", "value": pattern}` | TGI's |

    A schema may be JSON text.

    Raises:
        ParameterError: it has another shape.
    """
    if value is None:
        return None
    require("response_format", value, isinstance(value, Mapping), "a mapping with a `type`")
    kind = value.get("type")
    content = value.get("value")
    match kind:
        case "text":
            return None
        case "json_object" | "json":
            return Grammar("json", _ANY_OBJECT if content is None else content)
        case "regex":
            if not isinstance(content, str):
                raise ParameterError("response_format.value", content, "a regular expression")
            return Grammar("regex", content)
        case "json_schema":
            return _schema(value)
    raise ParameterError("response_format.type", kind, _TYPES)


def _schema(value: Mapping[str, Any]) -> Grammar:
    config = value.get("json_schema")
    path = "response_format.json_schema"
    if config is None:
        config, path = value.get("value"), "response_format.value"
    if isinstance(config, str):
        return Grammar("json_schema", config)
    if not isinstance(config, Mapping):
        raise ParameterError(path, config, "an object with a `schema`")
    schema = config.get("schema")
    if schema is None:
        if path == "response_format.value" and ("type" in config or "properties" in config):
            return Grammar("json", config)
        schema = _ANY_OBJECT
    return Grammar("json", schema)
