"""Our masks against those of llguidance: equal, or different on purpose."""

from __future__ import annotations

import pytest
from grammars_of_peers import CHOICES, GBNF, LARK, REGEXES, STRINGS, STRUCTURES, Schema
from mask_peers import AS_PEERS, allowed, assert_equal_masks, byte_level_tokens, difference, follow

from decoding import grammar
from decoding.grammar import token_table
from decoding.grammar.peers import llguidance
from decoding.models.fetch import fetch
from decoding.models.gguf import GGUFFile
from decoding.models.tokenizer import HuggingFaceTokenizer

TOKENS = byte_level_tokens()
OURS, THEIRS = grammar.Machine(TOKENS), llguidance.Machine(TOKENS)
ESCAPES = {"x-guidance": {"json_allow_general_unicode_escapes": True}}


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_have_equal_masks(name: str) -> None:
    schema = STRUCTURES[name]
    ours = grammar.compile_json_schema(schema, OURS, style=AS_PEERS)
    assert_equal_masks(ours, llguidance.compile_json_schema(schema, THEIRS), TOKENS)


@pytest.mark.parametrize("name", STRINGS)
def test_strings_have_equal_masks_but_for_two_characters(name: str) -> None:
    schema = STRINGS[name]
    ours = grammar.compile_json_schema(schema, OURS, style=AS_PEERS)
    theirs = llguidance.compile_json_schema(schema | ESCAPES, THEIRS)
    # They take neither DEL nor an escaped slash, which are JSON; we take few escapes in names.
    avoid = b"" if schema["type"] == "string" else b"\\"
    assert_equal_masks(ours, theirs, TOKENS, except_for=[b"\x7f", b"\\/"], avoid=avoid)


def test_numbers_have_equal_masks_as_long_as_they_have_no_exponent() -> None:
    ours = grammar.compile_json_schema({"type": "number"}, OURS)
    theirs = llguidance.compile_json_schema({"type": "number"}, THEIRS)
    assert_equal_masks(ours, theirs, TOKENS, avoid=b"eE")


@pytest.mark.parametrize("pattern", REGEXES)
def test_regexes_have_equal_masks(pattern: str) -> None:
    ours = grammar.compile_regex(pattern, OURS)
    assert_equal_masks(ours, llguidance.compile_regex(pattern, THEIRS), TOKENS)


def test_choices_have_equal_masks() -> None:
    ours = grammar.compile_choices(CHOICES, OURS)
    assert_equal_masks(ours, llguidance.compile_choices(CHOICES, THEIRS), TOKENS)


@pytest.mark.parametrize("text", GBNF)
def test_gbnf_has_equal_masks(text: str) -> None:
    ours = grammar.compile_gbnf(text, OURS)
    assert_equal_masks(ours, llguidance.compile_gbnf(text, THEIRS), TOKENS)


@pytest.mark.parametrize("text", LARK)
def test_lark_has_equal_masks(text: str) -> None:
    ours = grammar.compile_lark(text, OURS)
    assert_equal_masks(ours, llguidance.compile_lark(text, THEIRS), TOKENS)


@pytest.mark.model
def test_masks_over_the_vocabulary_of_a_model_are_equal() -> None:
    metadata = GGUFFile.open(fetch("smollm2")).metadata
    vocabulary = HuggingFaceTokenizer.from_gguf(metadata).vocabulary
    tokens = token_table(vocabulary, [metadata["tokenizer.ggml.eos_token_id"]])
    ours, theirs = grammar.Machine(tokens), llguidance.Machine(tokens)
    for schema in (STRUCTURES["recursion"], STRINGS["names"], STRINGS["strings, 2 to 5"]):
        assert_equal_masks(
            grammar.compile_json_schema(schema, ours, style=AS_PEERS),
            llguidance.compile_json_schema(schema | ESCAPES, theirs),
            tokens,
            except_for=[b"\x7f", b"\\/"],
            avoid=b"\\",
        )
    for pattern in REGEXES[1:5]:
        assert_equal_masks(
            grammar.compile_regex(pattern, ours), llguidance.compile_regex(pattern, theirs), tokens
        )


# name: schema, a text that both take, some tokens that only we or only they allow behind it
ONLY_WE: dict[str, tuple[Schema, bytes, set[bytes]]] = {
    "properties come in any order": (
        {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"]},
        b'{"',
        {b"b"},
    ),
    "what is not declared may come before what is": (
        {"type": "object", "properties": {"a": {}}},
        b'{"z":null,"a',
        {b'"', b'":'},
    ),
    "an integer may be written with a fraction of zeros or an exponent": (
        {"type": "integer"},
        b"1",
        {b".", b"e", b"E"},
    ),
    "printable characters may be written as escapes": ({"type": "string"}, b'"\\u00', {b"4", b"6"}),
    "DEL is a character like any other": ({"type": "string"}, b'"', {b"\x7f"}),
    "a slash may be escaped": ({"type": "string"}, b'"\\', {b"/"}),
    "a slash of a word may be escaped": ({"enum": ["a/b"]}, b'"a', {b"\\"}),
    "minus zero is at least zero": ({"type": "number", "minimum": 0}, b"", {b"-"}),
    "a number in a range may have an exponent": ({"type": "number", "maximum": 1}, b"", {b"2"}),
}
ONLY_THEY: dict[str, tuple[Schema, bytes, set[bytes]]] = {
    "white space between two tokens of JSON is that of json.dumps": (
        {"type": "array"},
        b"[ ",
        {b" "},
    ),
    "exponents have two digits, so that any reader can hold the number": (
        {"type": "number"},
        b"1e41",
        {b"0", b"12"},
    ),
    "a name that decides about its value has no escapes of printable characters": (
        STRINGS["properties of one kind"] | ESCAPES,
        b'{"\\u',
        {b"d", b"4"},
    ),
    "there is no year 0": ({"type": "string", "format": "date"}, b'"000', {b"0"}),
    "a leap second comes at the end of a day": (
        {"type": "string", "format": "time"},
        b'"12:41:',
        {b"6"},
    ),
}


@pytest.mark.parametrize("name", ONLY_WE)
def test_what_only_we_allow(name: str) -> None:
    schema, text, tokens = ONLY_WE[name]
    ours = grammar.compile_json_schema(schema, OURS)
    more, fewer = difference(ours, llguidance.compile_json_schema(schema, THEIRS), text, TOKENS)
    assert more >= tokens
    assert not fewer


@pytest.mark.parametrize("name", ONLY_THEY)
def test_what_only_they_allow(name: str) -> None:
    schema, text, tokens = ONLY_THEY[name]
    ours = grammar.compile_json_schema(schema, OURS)
    more, fewer = difference(ours, llguidance.compile_json_schema(schema, THEIRS), text, TOKENS)
    assert fewer >= tokens
    assert not more


def test_a_dot_is_no_line_terminator_as_in_ecmascript() -> None:
    ours, theirs = grammar.compile_regex(".", OURS), llguidance.compile_regex(".", THEIRS)
    assert difference(ours, theirs, b"", TOKENS) == (set(), {b"\r"})


def test_there_is_no_lexer_that_takes_the_longest_match() -> None:
    text = "start: A B\nA: /a+/\nB: /ab/"
    ours, theirs = grammar.compile_lark(text, OURS), llguidance.compile_lark(text, THEIRS)
    assert follow(ours.matcher(), b"aab", TOKENS) == 3
    assert follow(theirs.matcher(), b"aab", TOKENS) < 3


def test_what_is_forced_has_no_one_spelling() -> None:
    """llguidance by itself allows one token there, which `Machine` switches off."""
    matcher = llguidance.compile_choices(["name"], THEIRS).matcher()
    spelled = {TOKENS.spelled[token] for token in allowed(matcher)}
    assert {b"n", b"name"} <= spelled
