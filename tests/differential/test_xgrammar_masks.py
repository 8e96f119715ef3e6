"""Our masks against those of xgrammar: equal, or different where it is unsound or stricter."""

from __future__ import annotations

import json

import jsonschema
import pytest
from grammars_of_peers import CHOICES, GBNF, LARK, REGEXES, STRINGS, STRUCTURES, Schema
from mask_peers import AS_PEERS, assert_equal_masks, byte_level_tokens, difference, follow

from decoding import grammar
from decoding.grammar import TokenGrammar
from decoding.grammar.peers import xgrammar

TOKENS = byte_level_tokens()
OURS, THEIRS = grammar.Machine(TOKENS), xgrammar.Machine(TOKENS)
INTEGER: Schema = {"type": "integer"}
SURROGATES = b"\xed"
"""The byte that they let encoded surrogates begin with, which is no UTF-8."""


def takes(compiled: TokenGrammar, text: str) -> bool:
    matcher = compiled.matcher()
    return follow(matcher, text.encode(), TOKENS) == len(text.encode()) and matcher.is_accepting


def is_valid(text: str, schema: Schema) -> bool:
    try:
        return bool(jsonschema.Draft202012Validator(schema).is_valid(json.loads(text)))
    except json.JSONDecodeError:
        return False


@pytest.mark.parametrize("name", [name for name in STRUCTURES if name != "all of"])
def test_structures_have_equal_masks(name: str) -> None:
    schema = STRUCTURES[name]
    ours = grammar.compile_json_schema(schema, OURS, style=AS_PEERS)
    theirs = xgrammar.compile_json_schema(schema, THEIRS, strict_mode=False)
    assert_equal_masks(ours, theirs, TOKENS)


@pytest.mark.parametrize("name", ["strings", "a property", "properties of one kind"])
def test_strings_have_equal_masks_up_to_an_escape(name: str) -> None:
    ours = grammar.compile_json_schema(STRINGS[name], OURS, style=AS_PEERS)
    theirs = xgrammar.compile_json_schema(STRINGS[name], THEIRS, strict_mode=False)
    assert_equal_masks(ours, theirs, TOKENS, avoid=b"\\")


@pytest.mark.parametrize("pattern", REGEXES)
def test_regexes_have_equal_masks(pattern: str) -> None:
    ours = grammar.compile_regex(pattern, OURS)
    theirs = xgrammar.compile_regex(pattern, THEIRS)
    assert_equal_masks(ours, theirs, TOKENS, avoid=SURROGATES)


def test_choices_have_equal_masks() -> None:
    ours = grammar.compile_choices(CHOICES, OURS)
    assert_equal_masks(ours, xgrammar.compile_choices(CHOICES, THEIRS), TOKENS)


@pytest.mark.parametrize("text", GBNF)
def test_gbnf_has_equal_masks(text: str) -> None:
    ours = grammar.compile_gbnf(text, OURS)
    assert_equal_masks(ours, xgrammar.compile_gbnf(text, THEIRS), TOKENS, avoid=SURROGATES)


@pytest.mark.parametrize("text", LARK)
def test_lark_has_equal_masks(text: str) -> None:
    ours = grammar.compile_lark(text, OURS)
    assert_equal_masks(ours, xgrammar.compile_lark(text, THEIRS), TOKENS)


# What it drops: a schema, and a text that is not valid under it or no JSON.
UNSOUND: dict[str, tuple[Schema, str]] = {
    "not": ({"not": {"type": "string"}}, '"a"'),
    "if and then": (
        {"if": {"properties": {"a": {"const": 1}}, "required": ["a"]}, "then": {"required": ["b"]}},
        '{"a": 1}',
    ),
    "dependentRequired": ({"dependentRequired": {"a": ["b"]}}, '{"a": 1}'),
    "a second branch of allOf": ({"allOf": [{"required": ["a"]}, {"required": ["b"]}]}, '{"a": 1}'),
    "what stands beside anyOf": (
        INTEGER | {"minimum": 5, "anyOf": [INTEGER, {"type": "null"}]},
        "1",
    ),
    "what stands beside $ref": (
        {"$defs": {"whole": INTEGER}, "$ref": "#/$defs/whole", "minimum": 5},
        "1",
    ),
    "what stands beside enum": ({"enum": ["a", 1], "type": "string"}, "1"),
    "maxLength beside a pattern": ({"type": "string", "pattern": "^a+$", "maxLength": 2}, '"aaa"'),
    "look-ahead": ({"type": "string", "pattern": "^(?!x)[a-z]+$"}, '"xab"'),
    "multiples of a fraction": ({"type": "number", "multipleOf": 0.5}, "0.3"),
    "oneOf whose branches overlap": ({"oneOf": [INTEGER, INTEGER | {"minimum": 2}]}, "3"),
    "propertyNames": ({"propertyNames": {"maxLength": 2}}, '{"abc": 1}'),
    "control characters in bounded strings": ({"type": "string", "maxLength": 5}, '"\t"'),
}
STRICT: dict[str, tuple[Schema, str]] = {
    "properties have one order": ({"properties": {"a": {}, "b": {}}}, '{"b": 1, "a": 1}'),
    "patterns match from end to end": ({"type": "string", "pattern": "b+"}, '"abc"'),
    "whole numbers have no fraction": (INTEGER, "1.0"),
    "minus zero is less than zero": ({"type": "number", "minimum": 0}, "-0"),
    "constants have one layout": ({"const": {"a": 1}}, '{ "a": 1}'),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_what_it_drops_and_we_do_not(name: str) -> None:
    schema, text = UNSOUND[name]
    assert not is_valid(text, schema)
    assert not takes(grammar.compile_json_schema(schema, OURS), text)
    assert takes(xgrammar.compile_json_schema(schema, THEIRS, strict_mode=False), text)


@pytest.mark.parametrize("name", STRICT)
def test_what_it_refuses_and_we_do_not(name: str) -> None:
    schema, text = STRICT[name]
    assert is_valid(text, schema)
    assert takes(grammar.compile_json_schema(schema, OURS), text)
    assert not takes(xgrammar.compile_json_schema(schema, THEIRS, strict_mode=False), text)


def test_by_default_it_forbids_what_a_schema_does_not_declare() -> None:
    schema: Schema = {"type": "object", "properties": {"a": {}}}
    assert takes(grammar.compile_json_schema(schema, OURS), '{"b": 1}')
    assert not takes(xgrammar.compile_json_schema(schema, THEIRS), '{"b": 1}')
    assert takes(xgrammar.compile_json_schema(schema, THEIRS, strict_mode=False), '{"b": 1}')


def test_a_dot_is_any_character_to_it() -> None:
    ours, theirs = grammar.compile_regex(".", OURS), xgrammar.compile_regex(".", THEIRS)
    assert difference(ours, theirs, b"", TOKENS) == (set(), {b"\r", b"\n"})


def test_it_takes_encoded_surrogates() -> None:
    ours, theirs = grammar.compile_regex("[^a]", OURS), xgrammar.compile_regex("[^a]", THEIRS)
    more, fewer = difference(ours, theirs, SURROGATES, TOKENS)
    assert not more
    assert {b"\xa0", b"\xbf"} <= fewer
