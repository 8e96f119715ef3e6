"""The grammar of a request: its kinds, its normal form, its options and what is refused."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest
from parameter_values import NAN

from decoding.errors import ParameterError
from decoding.parameters import GenerationParameters
from decoding.request_grammar import Grammar


@pytest.mark.parametrize("kind", ["json", "json_object"])
@pytest.mark.parametrize(
    "value",
    [
        '{ "b": [1, 2.5, null], "a": "é" }',
        {"b": [1, 2.5, None], "a": "é"},
        MappingProxyType({"b": (1, 2.5, None), "a": "é"}),
    ],
)
def test_json_grammars_have_one_form(kind: Any, value: Any) -> None:
    grammar = Grammar(kind, value)
    assert grammar.value == '{"b":[1,2.5,null],"a":"é"}'
    assert grammar.schema == {"b": [1, 2.5, None], "a": "é"}
    assert grammar.to_dict() == {"type": kind, "value": {"b": [1, 2.5, None], "a": "é"}}


def test_the_order_of_keys_is_part_of_a_grammar() -> None:
    assert Grammar("json", {"a": 1, "b": 2}) != Grammar("json", {"b": 2, "a": 1})
    assert Grammar("json", {"a": 1}) != Grammar("json", {"a": True})


def test_the_schema_of_a_grammar() -> None:
    assert Grammar("regex", "{").schema is None
    named = Grammar("json_schema", {"name": "n", "schema": {"type": "null"}})
    assert named.schema == {"type": "null"}
    fresh = named.schema
    fresh.clear()
    assert named.schema == {"type": "null"}


@pytest.mark.parametrize(
    ("kind", "value", "name"),
    [
        ("ebnf", "x", "grammar.type"),
        (None, "x", "grammar.type"),
        (["json"], "x", "grammar.type"),
        ("regex", {"a": 1}, "grammar.value"),
        ("regex", None, "grammar.value"),
        ("json", None, "grammar.value"),
        ("json", [], "grammar.value"),
        ("json", "", "grammar.value"),
        ("json", "{", "grammar.value"),
        ("json", "[1]", "grammar.value"),
        ("json", "true", "grammar.value"),
        ("json", '{"a": NaN}', "grammar.value"),
        ("json", '{"a": 1e999}', "grammar.value"),
        ("json", '{"a": "\\ud800"}', "grammar.value"),
        ("json", '{"a":' * 100_000, "grammar.value"),
        ("json", {"a": NAN}, "grammar.value"),
        ("json", {1: "a"}, "grammar.value"),
        ("json", {"a": {1, 2}}, "grammar.value"),
        ("json_schema", {"type": "null"}, "grammar.value"),
        ("json_schema", {"schema": "{}"}, "grammar.value"),
        ("json_schema", "[]", "grammar.value"),
    ],
)
def test_malformed_grammars_are_refused(kind: Any, value: Any, name: str) -> None:
    with pytest.raises(ParameterError) as caught:
        Grammar(kind, value)
    assert caught.value.name == name


def test_a_schema_that_contains_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["a"] = endless
    with pytest.raises(ParameterError, match="recursion limit exceeded"):
        Grammar("json", endless)


@pytest.mark.parametrize("mapping", [{"type": "regex"}, {"type": "regex", "value": "", "x": 1}, {}])
def test_a_grammar_in_a_dict_has_two_keys(mapping: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="grammar must be a mapping of `type` and `value`"):
        GenerationParameters.from_dict({"grammar": mapping})


OPTIONS: dict[str, Any] = {
    "on_unsupported": "ignore",
    "formats": "strict",
    "style": {"indent": 2, "key_order": "declared"},
    "resources": {"https://a.org/b": {"type": "integer"}},
}


def test_options_of_a_schema_survive_a_dict() -> None:
    bare = {"type": "json", "value": {"type": "integer"}}
    assert Grammar.from_dict(bare).to_dict() == bare
    for name, value in OPTIONS.items():
        whole = {**bare, name: value}
        grammar = Grammar.from_dict(whole)
        assert grammar.to_dict() == whole
        assert Grammar.from_dict(grammar.to_dict()) == grammar != Grammar.from_dict(bare)
        assert hash(grammar) == hash(Grammar.from_dict(whole))
        parameters = GenerationParameters.from_dict({"grammar": whole})
        assert parameters.grammar == grammar
        assert parameters.to_dict()["grammar"] == whole


def test_resources_are_kept_as_text() -> None:
    documents = {"b": {"type": "integer"}}
    grammar = Grammar("json", {}, resources=documents)
    documents["b"]["type"] = "string"
    assert grammar.documents == {"b": {"type": "integer"}}
    assert Grammar("json", {}).documents is None


@pytest.mark.parametrize(
    "options",
    [
        {"on_unsupported": "drop"},
        {"on_unsupported": ["raise"]},
        {"formats": None},
        {"style": "compact"},
        {"style": {"indent": 2}},
        {"resources": [1]},
        {"resources": "{"},
    ],
)
def test_wrong_options_of_a_schema(options: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=rf"grammar\.{next(iter(options))} must be"):
        Grammar("json", {}, **options)


@pytest.mark.parametrize("name", OPTIONS)
def test_options_belong_to_schemas(name: str) -> None:
    with pytest.raises(ParameterError, match=f"grammar.{name} must be left out for a regex"):
        Grammar.from_dict({"type": "regex", "value": "a", name: OPTIONS[name]})


# The round trip
