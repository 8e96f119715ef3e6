"""What each keyword means to masks: one schema, one text, and whether it is valid."""

from typing import Any

import pytest
from counted_work import at_most_calls
from random_texts import accepts, byte_machine

from decoding.errors import GrammarUnsatisfiableError
from decoding.grammar import CompiledGrammar, JsonStyle, Machine, compile_json_schema
from decoding.grammar.json import configurations as places

CASES: list[tuple[str, Any, str, bool]] = [
    (
        "compact ws",
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
        '{"a":1,"b":2}',
        True,
    ),
    (
        "spaced ws",
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
        '{"a": 1, "b": 2}',
        True,
    ),
    (
        "indent ws",
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
        '{\n  "a": 1,\n  "b": 2\n}',
        True,
    ),
    (
        "property order swapped",
        {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
        '{"b":1,"a":2}',
        True,
    ),
    (
        "additionalProperties default true",
        {"type": "object", "properties": {"a": {"type": "integer"}}},
        '{"a":1,"zz":2}',
        True,
    ),
    (
        "extra key before declared",
        {"type": "object", "properties": {"a": {"type": "integer"}}},
        '{"zz":2,"a":1}',
        True,
    ),
    (
        "additionalProperties:false",
        {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False},
        '{"a":1,"zz":2}',
        False,
    ),
    (
        "required missing",
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        "{}",
        False,
    ),
    ("pattern unanchored", {"type": "string", "pattern": "b+"}, '"abc"', True),
    ("pattern anchored", {"type": "string", "pattern": "^b+$"}, '"abc"', False),
    ("pattern alternation anchors", {"type": "string", "pattern": "^a$|^b$"}, '"b"', True),
    ("pattern alternation anchors neg", {"type": "string", "pattern": "^a$|^b$"}, '"ab"', False),
    ("pattern lookahead", {"type": "string", "pattern": "^(?!x)[a-z]+$"}, '"xab"', False),
    ("pattern \\d unicode", {"type": "string", "pattern": "^\\d$"}, '"٣"', False),
    ("pattern needs escape", {"type": "string", "pattern": "^[^a]$"}, '"\\n"', True),
    ("pattern+maxLength", {"type": "string", "pattern": "^a+$", "maxLength": 2}, '"aaa"', False),
    ("minLength counts codepoints", {"type": "string", "minLength": 2}, '"😀"', False),
    ("minLength escape counts 1", {"type": "string", "minLength": 2}, '"\\u0041"', False),
    ("\\u escape of printable", {"type": "string"}, '"\\u0041"', True),
    ("surrogate pair escape", {"type": "string"}, '"\\ud83d\\ude00"', True),
    ("control char raw", {"type": "string"}, '"a\tb"', False),
    ("maxLength", {"type": "string", "maxLength": 3}, '"abcd"', False),
    ("integer min/max", {"type": "integer", "minimum": 5, "maximum": 17}, "18", False),
    ("integer 1.0", {"type": "integer"}, "1.0", True),
    ("integer 1e2", {"type": "integer"}, "1e2", True),
    ("number exp", {"type": "number"}, "1.5e-7", True),
    ("number min float", {"type": "number", "minimum": 0.5}, "0.4", False),
    ("number range with exp", {"type": "number", "minimum": 0.5}, "5e2", True),
    ("multipleOf", {"type": "integer", "multipleOf": 3}, "7", False),
    ("leading zero", {"type": "integer"}, "01", False),
    ("-0", {"type": "integer"}, "-0", True),
    (
        "uniqueItems",
        {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
        "[1,1]",
        False,
    ),
    ("contains", {"type": "array", "contains": {"const": 1}}, "[2]", False),
    ("minItems", {"type": "array", "items": {"type": "integer"}, "minItems": 2}, "[1]", False),
    (
        "prefixItems",
        {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]},
        "[1,2]",
        False,
    ),
    (
        "prefixItems short ok",
        {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]},
        "[1]",
        True,
    ),
    (
        "oneOf both match",
        {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 3}]},
        "5",
        False,
    ),
    ("oneOf disjoint", {"oneOf": [{"type": "integer"}, {"type": "string"}]}, "5", True),
    (
        "anyOf with siblings",
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}},
            "required": ["a"],
            "anyOf": [{"required": ["b"]}, {"required": ["c"]}],
        },
        '{"a":1}',
        False,
    ),
    (
        "allOf merge",
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]},
            ]
        },
        '{"a":1,"b":"x"}',
        True,
    ),
    (
        "allOf merge neg",
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]},
            ]
        },
        '{"a":1}',
        False,
    ),
    ("not", {"not": {"type": "string"}}, '"x"', False),
    (
        "if/then",
        {
            "type": "object",
            "properties": {"k": {"enum": ["a", "b"]}},
            "if": {"properties": {"k": {"const": "a"}}},
            "then": {"required": ["z"]},
        },
        '{"k":"a"}',
        False,
    ),
    (
        "dependentRequired",
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "dependentRequired": {"a": ["b"]},
        },
        '{"a":1}',
        False,
    ),
    (
        "patternProperties",
        {
            "type": "object",
            "patternProperties": {"^x": {"type": "integer"}},
            "additionalProperties": False,
        },
        '{"x1":"s"}',
        False,
    ),
    (
        "patternProperties ok",
        {
            "type": "object",
            "patternProperties": {"^x": {"type": "integer"}},
            "additionalProperties": False,
        },
        '{"x1":1}',
        True,
    ),
    ("propertyNames", {"type": "object", "propertyNames": {"pattern": "^x"}}, '{"y":1}', False),
    ("minProperties", {"type": "object", "minProperties": 1}, "{}", False),
    ("maxProperties", {"type": "object", "maxProperties": 1}, '{"a":1,"b":2}', False),
    (
        "$ref recursion",
        {
            "$defs": {
                "n": {
                    "type": "object",
                    "properties": {
                        "v": {"type": "integer"},
                        "c": {"type": "array", "items": {"$ref": "#/$defs/n"}},
                    },
                    "required": ["v"],
                    "additionalProperties": False,
                }
            },
            "$ref": "#/$defs/n",
        },
        '{"v":1,"c":[{"v":2,"c":[{"v":3}]}]}',
        True,
    ),
    (
        "$ref siblings",
        {"$defs": {"s": {"type": "string"}}, "$ref": "#/$defs/s", "maxLength": 1},
        '"ab"',
        False,
    ),
    ("$anchor ref", {"$defs": {"s": {"$anchor": "x", "type": "integer"}}, "$ref": "#x"}, "1", True),
    ("format date", {"type": "string", "format": "date"}, '"2024-13-45"', False),
    ("format email", {"type": "string", "format": "email"}, '"nope"', False),
    ("format unknown", {"type": "string", "format": "foo-bar"}, '"x"', True),
    ("format uuid", {"type": "string", "format": "uuid"}, '"x"', False),
    ("enum object", {"enum": [{"a": [1, 2]}, 3]}, '{"a": [1, 2]}', True),
    ("enum w/ type filter", {"type": "integer", "enum": [1, "x"]}, '"x"', False),
    ("const unicode", {"const": "é\n"}, '"é\\n"', True),
    ("type array", {"type": ["integer", "null"]}, "null", True),
    ("false schema", {"type": "object", "properties": {"a": False}}, '{"a":1}', False),
    ("true schema deep", True, '{"a":[{"b":[1,null,{"c":[]}]}]}', True),
    (
        "unevaluatedProperties",
        {
            "allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}],
            "unevaluatedProperties": False,
        },
        '{"b":1}',
        False,
    ),
]


@pytest.fixture(scope="module")
def machine() -> Machine:
    return byte_machine()


@pytest.mark.parametrize(
    ("schema", "text", "valid"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_text_is_allowed_if_it_is_valid(
    machine: Machine, schema: Any, text: str, valid: bool
) -> None:
    grammar = compile_json_schema(schema, machine)
    assert accepts(grammar.matcher(), text) == valid


def masks(grammar: CompiledGrammar, text: str) -> list[int]:
    """One in front of each byte of a text."""
    matcher, found = grammar.matcher(), []
    for byte in text.encode():
        found.append(int.from_bytes(matcher.mask().tobytes(), "little"))
        assert matcher.advance(byte)
    return found


@pytest.mark.parametrize(
    ("schema", "keyword", "few", "many", "text"),
    [
        ({"type": "string"}, "maxLength", 200, 20_000, '"' + "ab é" * 30),
        ({"type": "array", "items": {"type": "string"}}, "maxItems", 50, 5_000, "[" + '"a", ' * 40),
    ],
)
def test_a_bound_far_away_costs_no_more_than_one_near_by(
    schema: Any, keyword: str, few: int, many: int, text: str
) -> None:
    found, sizes = [], []
    for bound in ({}, {keyword: few}, {keyword: many}):
        machine = byte_machine()
        found.append(masks(compile_json_schema({**schema, **bound}, machine), text))
        sizes.append(machine.store().size)
    assert found[0] == found[1] == found[2]
    assert sizes[2] == sizes[1]


def test_many_words_are_a_tree(machine: Machine) -> None:
    before = machine.store().size
    with at_most_calls(200_000):
        grammar = compile_json_schema({"enum": [f"word {n}" for n in range(5_000)]}, machine)
    with at_most_calls(2_000):
        found = masks(grammar, '"word 4999"')
    digits, quote = sum(1 << byte for byte in b"0123456789"), 1 << ord('"')
    assert [found[6], found[9], found[10]] == [digits, digits | quote, quote]
    assert machine.store().size - before < 1 << 18


@pytest.mark.parametrize(("opening", "closing"), [(b"[" * 1_000, b"]"), (b'{"a":' * 200, b"1}}")])
def test_a_text_nests_deeper_than_one_store_of_frames_holds(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, opening: bytes, closing: bytes
) -> None:
    monkeypatch.setattr(places, "MAX_FRAMES", 1 << 16)
    matcher = compile_json_schema(True, machine, style=JsonStyle(nesting=None)).matcher()
    taken = []
    for _ in range(60):
        taken.append(matcher.state)
        assert matcher.follow(opening)
    assert matcher.follow(closing)
    assert not matcher.is_accepting
    matcher.rollback(2)
    assert matcher.state == taken[-1]
    assert matcher.mask().any()


def test_nothing_valid_is_an_error_with_a_pointer(machine: Machine) -> None:
    schema = {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "integer", "minimum": 5, "maximum": 3}},
    }
    with pytest.raises(GrammarUnsatisfiableError) as caught:
        compile_json_schema(schema, machine)
    assert caught.value.where == "/properties/a/maximum"
