"""Response formats in every shape that clients send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from chat_models import CHATML, answer, model_of, sampled

from decoding.chat import prepare, read_response_format
from decoding.errors import ParameterError
from decoding.grammar.json_style import JsonStyle

SCHEMA = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"]}
SHAPES: list[dict[str, Any]] = [
    {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}},
    {"type": "json_schema", "json_schema": {"name": "x", "schema": json.dumps(SCHEMA)}},
    {"type": "json_schema", "value": {"name": "x", "schema": SCHEMA}},
    {"type": "json_schema", "value": SCHEMA},
    {"type": "json_object", "value": SCHEMA},
    {"type": "json", "value": SCHEMA},
    {"type": "json", "value": json.dumps(SCHEMA)},
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_a_schema_means_the_same(shape: dict[str, Any]) -> None:
    grammar = read_response_format(shape)
    assert grammar is not None
    assert grammar.schema == SCHEMA


def test_the_other_shapes() -> None:
    assert read_response_format(None) is None
    assert read_response_format({"type": "text"}) is None
    bare = read_response_format({"type": "json_object"})
    assert bare is not None
    assert bare.schema == {"type": "object"}
    regex = read_response_format({"type": "regex", "value": "a+"})
    assert regex is not None
    assert (regex.type, regex.value) == ("regex", "a+")


@pytest.mark.parametrize(
    "shape",
    [
        "json_object",
        {},
        {"type": 1},
        {"type": "grammar"},
        {"type": "regex"},
        {"type": "regex", "value": 1},
        {"type": "json_schema"},
        {"type": "json_schema", "json_schema": 1},
        {"type": "json_schema", "json_schema": {"schema": 1}},
        {"type": "json_schema", "value": "{"},
        {"type": "json_object", "value": [1]},
        {"type": "json_object", "value": "[1]"},
    ],
)
def test_other_shapes_are_refused(shape: Any) -> None:
    with pytest.raises(ParameterError):
        read_response_format(shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_options_of_a_grammar_stand_beside_its_type(shape: dict[str, Any]) -> None:
    options: dict[str, Any] = {
        "formats": "strict",
        "on_unsupported": "ignore",
        "style": {"whitespace": "spaced"},
        "resources": {"urn:x": {"type": "null"}},
    }
    found = read_response_format({**shape, **options})
    assert found is not None
    told = found.to_dict()
    assert {name: told[name] for name in options} == {
        **options,
        "style": JsonStyle.from_dict(options["style"]).to_dict(),
    }


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ({"type": "json", "value": 5}, "value"),
        ({"type": "regex", "value": 5}, "value"),
        ({"type": "json_schema", "json_schema": {"schema": 5}}, "json_schema.schema"),
        ({"type": "json_schema", "value": {"schema": 5}}, "value.schema"),
        ({"type": "json_object", "formats": "some"}, "formats"),
        ({"type": "regex", "value": "a", "formats": "strict"}, "formats"),
    ],
)
def test_errors_name_the_place_in_the_format(shape: dict[str, Any], name: str) -> None:
    with pytest.raises(ParameterError) as caught:
        read_response_format(shape)
    assert caught.value.name == f"response_format.{name}"


def test_an_answer_has_the_format() -> None:
    model = model_of(CHATML)
    shape = {"type": "json_object", "value": SCHEMA | {"additionalProperties": False}}
    prepared = prepare(model, "x", response_format=shape, parameters=sampled(1, 2000))
    _, message = answer(prepared, model)
    assert json.loads(message.content or "")["a"] in (1, 2)
