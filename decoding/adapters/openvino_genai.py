"""OpenVINO GenAI: grammars as its `StructuredOutputConfig`, which is all that it takes from Python.

    export(grammar)  a `StructuredOutputConfig`

    config = openvino_genai.GenerationConfig()
    config.structured_output_config = export(Grammar("regex", "[0-9]{4}"))

It has no hook for logits, so that no sampler and no watermark of this library runs in it. Its masks
are xgrammar's. Version 2026.4.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from decoding.checks import imported
from decoding.errors import GrammarUnsupportedError, require
from decoding.request_grammar import Grammar
from decoding.typing import Anything

_ANNOTATIONS = frozenset(
    ("$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated")
)
_ENFORCED = frozenset((
    "type", "enum", "const", "properties", "required", "additionalProperties", "items",
    "prefixItems", "minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "anyOf", "$ref", "$defs", "definitions",
))  # fmt: skip
_ALONE = ("$ref", "anyOf", "enum", "const")
"""Keywords beside which xgrammar ignores all others."""


def export(grammar: Grammar) -> Anything:
    """Make a `StructuredOutputConfig` of a grammar.

    A regex, GBNF or Lark grammar becomes an EBNF grammar of the same texts. A JSON Schema is handed
    over as it is, if every keyword in it is one that xgrammar enforces; xgrammar writes keys in the
    schema's order and refuses undeclared ones unless the schema allows them.

    Raises:
        GrammarUnsupportedError: the engine would ignore a keyword, or cannot say the grammar.
        MissingDependencyError: openvino-genai is not installed.
    """
    require("grammar", grammar, isinstance(grammar, Grammar), "a Grammar")
    schema = grammar.schema
    if schema is None:
        return _package().StructuredOutputConfig(grammar=grammar.to_gbnf(names_tokens=False))
    for name, neutral in (("style", None), ("resources", None)):
        if getattr(grammar, name) is not neutral:
            raise GrammarUnsupportedError("", name, "the engine takes a schema alone")
    _check(schema, "")
    return _package().StructuredOutputConfig(json_schema=json.dumps(schema))


def _check(schema: object, where: str) -> None:
    """Refuse what xgrammar would ignore without a word."""
    if not isinstance(schema, Mapping):
        return
    keywords = set(schema) - _ANNOTATIONS
    for keyword in sorted(keywords - _ENFORCED):
        reason = "OpenVINO GenAI does not enforce it"
        raise GrammarUnsupportedError(f"{where}/{keyword}", keyword, reason)
    for keyword in _ALONE:
        others = sorted(keywords - {keyword, "$defs", "definitions", "type"})
        if keyword in keywords and others:
            reason = f"OpenVINO GenAI ignores it beside {keyword!r}"
            raise GrammarUnsupportedError(f"{where}/{others[0]}", others[0], reason)
    for keyword, value in schema.items():
        for at, child in _children(keyword, value):
            _check(child, f"{where}/{keyword}{at}")


def _children(keyword: str, value: Anything) -> list[tuple[str, object]]:
    """The schemas under a keyword, each with the rest of its pointer."""
    if keyword in ("properties", "$defs", "definitions") and isinstance(value, Mapping):
        return [(f"/{name}", child) for name, child in value.items()]
    if keyword in ("anyOf", "prefixItems") and isinstance(value, list):
        return [(f"/{index}", child) for index, child in enumerate(value)]
    return [("", value)] if keyword in ("items", "additionalProperties") else []


def _package() -> Anything:
    return imported("openvino_genai", "openvino-genai", "adapters")
