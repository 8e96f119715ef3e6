"""Lone surrogates, which no text has: what asks for them is refused when it is compiled."""

from typing import Any

import pytest
from random_texts import accepts, byte_machine

from decoding.errors import DecodingError, GrammarUnsatisfiableError, ParameterError
from decoding.grammar import (
    Machine,
    compile_choices,
    compile_gbnf,
    compile_json_schema,
    compile_lark,
    compile_regex,
)

LONE = "\ud800"


@pytest.fixture(scope="module")
def machine() -> Machine:
    return byte_machine()


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({"enum": ["\udfff"]}, "/enum"),
        ({"const": f"a{LONE}"}, "/const"),
        ({"const": [LONE]}, "/const"),
        ({"type": "object", "properties": {LONE: {}}, "required": [LONE]}, "/properties"),
        ({"type": "object", "required": [f"{LONE}a"]}, "/required"),
        ({"type": "object", "properties": {"a": {"enum": [LONE]}}, "required": ["a"]},
         "/properties/a/enum"),
        ({"type": "array", "items": {"const": LONE}, "minItems": 1}, "/items/const"),
        ({"type": "string", "pattern": LONE}, "/pattern"),
        ({"type": "string", "pattern": r"^[\ud800-\udfff]+$"}, "/pattern"),
    ],
)  # fmt: skip
def test_a_schema_that_asks_for_one_is_refused(machine: Machine, schema: Any, where: str) -> None:
    with pytest.raises(GrammarUnsatisfiableError) as caught:
        compile_json_schema(schema, machine)
    assert caught.value.where == where
    str(caught.value).encode()


def test_a_value_with_one_is_left_out_of_others(machine: Machine) -> None:
    for schema in (
        {"enum": ["a", LONE]},
        {"enum": ["a", {"b": LONE}]},
        {"properties": {LONE: {"type": "null"}}, "enum": ["a"]},
        {"enum": ["a"], "not": {"const": LONE}},
        {"enum": ["a"], "$ref": f"#/$defs/{LONE}", "$defs": {LONE: {}}},
    ):
        grammar = compile_json_schema(schema, machine)
        assert accepts(grammar.matcher(), '"a"')
    grammar = compile_json_schema({"enum": ["a", LONE]}, machine)
    assert "lone surrogate" in grammar.restrictions[0].sentence
    closed = {"type": "object", "properties": {LONE: {}, "a": {}}, "additionalProperties": False}
    with pytest.raises(GrammarUnsatisfiableError):
        compile_json_schema({**closed, "minProperties": 2}, machine)


def test_pairs_of_surrogates_are_characters(machine: Machine) -> None:
    grammar = compile_json_schema({"type": "string", "pattern": r"^\ud83d\ude00$"}, machine)
    assert accepts(grammar.matcher(), '"\U0001f600"')


@pytest.mark.parametrize(
    "compiled",
    [
        lambda machine: compile_regex(LONE, machine),
        lambda machine: compile_regex("[\ud800-\udfff]", machine),
        lambda machine: compile_regex(r"a\ud800", machine),
        lambda machine: compile_gbnf(f'root ::= "{LONE}"', machine),
        lambda machine: compile_gbnf("root ::= [\ud800-\udfff]", machine),
        lambda machine: compile_lark(f'start: "{LONE}"', machine),
        lambda machine: compile_lark(f"start: /{LONE}/", machine),
    ],
)
def test_other_grammars_refuse_them_too(machine: Machine, compiled: Any) -> None:
    with pytest.raises(DecodingError):
        compiled(machine)


def test_choices_are_exactly_those_that_are_given(machine: Machine) -> None:
    for texts in ([LONE], ["a", f"b{LONE}"]):
        with pytest.raises(ParameterError, match="lone surrogates"):
            compile_choices(texts, machine)
