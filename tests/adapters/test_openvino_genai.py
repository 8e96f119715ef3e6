"""Exports to OpenVINO GenAI, with a stand-in that keeps its arguments."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from decoding import Grammar
from decoding.adapters.openvino_genai import export
from decoding.errors import GrammarUnsupportedError, MissingDependencyError, ParameterError
from decoding.grammar import JsonStyle

SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]},
    {"type": "array", "prefixItems": [{"enum": [1, "x"]}], "items": {"const": None}, "title": "t"},
    {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}},
]
IGNORED: list[tuple[dict[str, Any], str]] = [
    ({"type": "integer", "multipleOf": 3}, "/multipleOf"),
    ({"properties": {"a": {"not": {"type": "null"}}}}, "/properties/a/not"),
    ({"anyOf": [{"type": "string"}], "minLength": 3}, "/minLength"),
    ({"items": {"$ref": "#/$defs/a", "maximum": 3}, "$defs": {"a": {}}}, "/items/maximum"),
    ({"if": {"type": "string"}}, "/if"),
    ({"patternProperties": {"a": {}}}, "/patternProperties"),
]


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    made = SimpleNamespace(StructuredOutputConfig=lambda **given: given)
    monkeypatch.setitem(sys.modules, "openvino_genai", made)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_schemas_that_are_enforced_are_handed_over(schema: dict[str, Any]) -> None:
    assert json.loads(export(Grammar("json", schema))["json_schema"]) == schema


@pytest.mark.parametrize(("schema", "where"), IGNORED)
def test_what_would_be_ignored_is_refused_with_its_pointer(
    schema: dict[str, Any], where: str
) -> None:
    with pytest.raises(GrammarUnsupportedError) as refused:
        export(Grammar("json", schema))
    assert refused.value.where == where


def test_other_grammars_become_ebnf() -> None:
    assert export(Grammar("regex", "[0-9]{4}")) == {"grammar": "root ::= ([0-9]){4}\n"}
    made = export(Grammar("lark", 'start: "a" NUM\nNUM: /[0-9]/'))["grammar"]
    assert made.startswith("root ::= ")
    with pytest.raises(GrammarUnsupportedError, match="no references to tokens"):
        export(Grammar("gbnf", "root ::= <[5]>"))


def test_options_that_a_schema_alone_cannot_say_are_refused() -> None:
    with pytest.raises(GrammarUnsupportedError, match="style"):
        export(Grammar("json", SCHEMAS[0], style=JsonStyle(whitespace="compact")))
    with pytest.raises(ParameterError, match="a Grammar"):
        export("root ::= a")


def test_without_the_package_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino_genai", None)
    with pytest.raises(MissingDependencyError, match="openvino-genai"):
        export(Grammar("regex", "a"))
