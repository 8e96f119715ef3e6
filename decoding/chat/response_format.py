"""Reads the `response_format` of a chat request, in all shapes that clients send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from decoding.errors import ParameterError, require
from decoding.request_grammar import GRAMMAR_OPTIONS, Grammar

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

    A schema may be JSON text. The options of a `Grammar` may stand beside `type`: `on_unsupported`,
    `formats`, `style` and `resources`.

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
            return _grammar(value, "json", _ANY_OBJECT if content is None else content)
        case "regex":
            return _grammar(value, "regex", content)
        case "json_schema":
            return _schema(value)
    raise ParameterError("response_format.type", kind, _TYPES)


def _schema(value: Mapping[str, Any]) -> Grammar:
    config = value.get("json_schema")
    path = "response_format.json_schema"
    if config is None:
        config, path = value.get("value"), "response_format.value"
    if isinstance(config, str):
        return _grammar(value, "json_schema", config)
    if not isinstance(config, Mapping):
        raise ParameterError(path, config, "an object with a `schema`")
    schema = config.get("schema")
    if schema is None:
        if path == "response_format.value" and ("type" in config or "properties" in config):
            return _grammar(value, "json", config)
        schema = _ANY_OBJECT
    return _grammar(value, "json", schema, f"{path}.schema")


def _grammar(
    value: Mapping[str, Any], kind: str, content: object, path: str = "response_format.value"
) -> Grammar:
    """Make the grammar of a response format, with the grammar options that stand in it.

    path: of the content, for errors.
    """
    options = {name: value[name] for name in GRAMMAR_OPTIONS if value.get(name) is not None}
    try:
        return Grammar.from_dict({"type": kind, "value": content, **options})
    except ParameterError as error:
        name = path if error.name == "grammar.value" else error.name
        name = name.replace("grammar.", "response_format.", 1)
        raise ParameterError(name, error.value, error.expected) from error
