"""How JSON is written where a schema leaves it open."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from case_marks import mostly_slow
from mask_cases import END, SCHEMAS, SPELLED, token_table_of_pieces
from profiles import spread

from decoding.errors import GrammarError, ParameterError
from decoding.grammar import CompiledGrammar, JsonStyle, Machine, compile_json_schema
from decoding.grammar.masking.routes import INTERPRETED, KERNELS

VALUES = [
    1,
    "x",
    [],
    {},
    [1],
    {"a": []},
    {"a": [1, 2, {"b": None, "c": {}}], "d": {"e": {"f": {"g": [True, []]}}}},
    [[[[[1, 2], {}]]], {"a": {"b": "c"}}],
]
WRITINGS: dict[str, dict[str, Any]] = {
    "spaced": {},
    "compact": {"separators": (",", ":")},
    "0": {"indent": 0},
    "2": {"indent": 2},
    "4": {"indent": 4},
}
STYLES = {
    "spaced": JsonStyle(whitespace="spaced"),
    "compact": JsonStyle(whitespace="compact"),
    "0": JsonStyle(indent=0),
    "2": JsonStyle(indent=2),
    "4": JsonStyle(indent=4),
}
ORDERED = JsonStyle(key_order="declared")
ALL_STYLES = [
    JsonStyle(),
    *STYLES.values(),
    JsonStyle(whitespace="free", longest=2),
    ORDERED,
    JsonStyle(indent=2, key_order="declared", nesting=2, digits=20),
    JsonStyle(nesting=1),
    JsonStyle(nesting=3),
]


@pytest.fixture(scope="module")
def machine() -> Machine:
    return Machine(token_table_of_pieces())


def fits(grammar: CompiledGrammar, text: str) -> bool:
    """Whether a text is whole; masks are compared with what is taken on the way."""
    matcher = grammar.matcher()
    for byte in text.encode():
        mask = matcher.mask()
        taken = matcher.advance(byte)
        assert bool(mask[byte >> 5] >> (byte & 31) & 1) == taken, text
        if not taken:
            return False
    return matcher.is_accepting


def nested(levels: int, brackets: str = "[]") -> str:
    return brackets[0] * levels + brackets[1] * levels


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("writing", WRITINGS)
def test_what_json_dumps_writes_fits_by_default(machine: Machine, value: Any, writing: str) -> None:
    assert fits(compile_json_schema({}, machine), json.dumps(value, **WRITINGS[writing]))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("writing", WRITINGS)
def test_a_fixed_layout_is_the_only_one(machine: Machine, style: str, writing: str) -> None:
    grammar = compile_json_schema({}, machine, style=STYLES[style])
    for value in VALUES:
        text = json.dumps(value, **WRITINGS[writing])
        assert fits(grammar, text) == (text == json.dumps(value, **WRITINGS[style])), text


@pytest.mark.parametrize(
    ("style", "text", "expected"),
    [
        (JsonStyle(), "[\n" + " " * 20 + "1]", True),
        (JsonStyle(), "[\n" + " " * 21 + "1]", False),
        (JsonStyle(), "[  1]", False),
        (JsonStyle(), "[\t1]", False),
        (JsonStyle(), "[\r\n1]", False),
        (JsonStyle(), "[\n\n1]", False),
        (JsonStyle(), "[ \n1]", False),
        (JsonStyle(), " 1", False),
        (JsonStyle(longest=3), "[\n   1 ,\n2\n]", True),
        (JsonStyle(longest=3), "[\n    1]", False),
        (JsonStyle(whitespace="free", longest=3), "[ \t\n1,\r\n2]", True),
        (JsonStyle(whitespace="free", longest=3), "[    1]", False),
        (JsonStyle(whitespace="compact"), "[ 1]", False),
    ],
)
def test_white_space(machine: Machine, style: JsonStyle, text: str, expected: bool) -> None:
    assert fits(compile_json_schema({}, machine, style=style), text) == expected


@pytest.mark.parametrize(
    "schema", spread([{}, {"type": "integer"}, {"type": "integer", "minimum": 7}], 2)
)
@pytest.mark.parametrize("sign", ["", "-"])
def test_digits_are_as_many_as_python_reads(
    machine: Machine, schema: dict[str, Any], sign: str
) -> None:
    grammar = compile_json_schema(schema, machine)
    is_member = not (sign and "minimum" in schema)
    assert fits(grammar, sign + "9" * 4300) == is_member
    assert not fits(grammar, sign + "9" * 4301)
    json.loads("-" + "9" * 4300)
    with pytest.raises(ValueError, match="digits"):
        json.loads("9" * 4301)
    free = compile_json_schema(schema, machine, style=JsonStyle(digits=None))
    assert fits(free, sign + "9" * 5000) == is_member
    few = compile_json_schema(schema, machine, style=JsonStyle(digits=20))
    assert fits(few, sign + "9" * 20) == is_member
    assert not fits(few, sign + "9" * 21)


def test_a_number_can_always_end(machine: Machine) -> None:
    style = JsonStyle(digits=20)
    for schema in ({"type": "number"}, {"type": "integer", "multipleOf": 7}, {"minimum": 0.5}):
        grammar = compile_json_schema({"type": "number", **schema}, machine, style=style)
        for seed in range(20):
            rng, matcher, text = random.Random(seed), grammar.matcher(), b""
            while True:
                mask = matcher.mask()
                bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
                tokens = [token for token in np.flatnonzero(bits).tolist() if token != END]
                assert tokens or matcher.is_accepting, text
                if not tokens:
                    break
                token = rng.choice(tokens)
                assert matcher.advance(token)
                text += SPELLED[token]
            assert len(text.lstrip(b"-")) <= 20


def test_masks_of_digits_are_shared(machine: Machine) -> None:
    matcher = compile_json_schema({"type": "integer"}, machine).matcher()
    masks = set()
    for _ in range(50):
        assert matcher.advance(ord("7"))
        masks.add(id(matcher.mask()))
    assert len(masks) == 1


def test_nesting_is_what_readers_read(machine: Machine) -> None:
    grammar = compile_json_schema({}, machine)
    for text in (nested(200), '{"a":' * 199 + nested(1) + "}" * 199, "[" * 199 + "1" + "]" * 199):
        assert fits(grammar, text)
    assert not fits(grammar, nested(201))
    assert not fits(grammar, '{"a":' * 200 + nested(1) + "}" * 200)
    free = compile_json_schema({}, machine, style=JsonStyle(nesting=None))
    assert fits(free, nested(300))


TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "kids": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "note": {"type": "array", "items": {"type": "array", "items": {"type": "null"}}},
            },
            "required": ["kids"],
            "additionalProperties": False,
        }
    },
}


def tree(levels: int) -> str:
    return '{"kids":[' * levels + '{"kids":[]}' + "]}" * levels


def test_what_a_schema_requires_finds_room(machine: Machine) -> None:
    grammar = compile_json_schema(TREE, machine, style=JsonStyle(nesting=5))
    assert fits(grammar, tree(1))
    # Another node would need two levels, of which one is left.
    assert not fits(grammar, '{"kids":[{"kids":[{')
    matcher = grammar.matcher()
    assert matcher.count_allowed(b'{"kids":[{"kids":[{') == len(b'{"kids":[{"kids":[')
    assert fits(grammar, '{"kids":[{"note":[[null]],"kids":[]}]}')
    deep = '{"kids":[' * 99 + '{"kids":[]}' + "]}" * 99
    assert fits(compile_json_schema(TREE, machine), deep)
    assert not fits(compile_json_schema(TREE, machine), tree(100))


@pytest.mark.parametrize("nesting", spread([1, 2, 3, 4, 5], 2))
def test_shallow_texts_have_no_dead_end(machine: Machine, nesting: int) -> None:
    style = JsonStyle(nesting=nesting)
    for number, schema in enumerate([TREE, *SCHEMAS]):
        try:
            grammar = compile_json_schema(schema, machine, style=style)
        except GrammarError:
            assert nesting == 1
            continue
        rng = random.Random(100 * nesting + number)
        for _ in range(4):
            matcher = grammar.matcher()
            text = b""
            for _ in range(60):
                bits = np.unpackbits(matcher.mask().view(np.uint8), bitorder="little")
                tokens = [token for token in np.flatnonzero(bits).tolist() if token != END]
                assert tokens or matcher.is_accepting, text
                if not tokens:
                    break
                # What opens is taken first, so that texts become deep.
                opening = [token for token in tokens if SPELLED[token][-1:] in (b"{", b"[")]
                token = rng.choice(opening if opening and rng.random() < 0.6 else tokens)
                assert matcher.advance(token)
                text += SPELLED[token]
            assert _depth(text) <= nesting, text


def _depth(text: bytes) -> int:
    depth = most = 0
    quoted = escaped = False
    for byte in text:
        if quoted:
            quoted = escaped or byte != ord('"')
            escaped = byte == ord("\\") and not escaped
        else:
            quoted = byte == ord('"')
            depth += (byte in b"[{") - (byte in b"]}")
            most = max(most, depth)
    return most


KEYS = {
    "type": "object",
    "properties": {"z": {"type": "integer"}, "a": {"type": "string"}, "m": {"type": "boolean"}},
    "required": ["a"],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"z":1,"a":"x","m":true}', True),
        ('{"a":"x"}', True),
        ('{"z":1,"a":"x"}', True),
        ('{"a":"x","z":1}', False),
        ('{"m":true', False),
        ('{"z":1,"m":true', False),
        ('{"q":1', False),
        ('{"a":"x","q":1,"qq":2}', True),
        ('{"a":"x","q":1,"m":true}', False),
        ('{"z":1,"z":1', False),
    ],
)
def test_declared_keys_come_in_their_order(machine: Machine, text: str, expected: bool) -> None:
    assert fits(compile_json_schema(KEYS, machine, style=ORDERED), text) == expected
    if expected:
        assert fits(compile_json_schema(KEYS, machine), text)


@pytest.mark.parametrize(
    ("schema", "text", "expected"),
    [
        # What a key asks for comes behind it, or has come.
        ({"dependentRequired": {"b": ["a"]}}, '{"a":1,"b":2}', True),
        ({"dependentRequired": {"b": ["a"]}}, '{"b":', False),
        ({"dependentRequired": {"b": ["a"]}}, '{"c":3}', True),
        ({"dependentRequired": {"a": ["c"]}}, '{"a":1,"b":2,"c":3}', True),
        ({"dependentRequired": {"a": ["c"]}}, '{"a":1}', False),
        ({"maxProperties": 2, "required": ["b"]}, '{"a":1,"b":2}', True),
        ({"maxProperties": 2, "required": ["b"]}, '{"a":1,"b":2,"c":3}', False),
        ({"maxProperties": 1, "required": ["b"]}, '{"a":', False),
        ({"maxProperties": 1, "required": ["b"]}, '{"b":2}', True),
        # The number of keys that must come is no reason to pass over none.
        ({"minProperties": 2}, '{"b":1,"a":2}', True),
    ],
)
def test_order_and_other_conditions(
    machine: Machine, schema: dict[str, Any], text: str, expected: bool
) -> None:
    properties = {name: {"type": "integer"} for name in "abc"}
    whole = {"type": "object", "properties": properties, "additionalProperties": False, **schema}
    assert fits(compile_json_schema(whole, machine, style=ORDERED), text) == expected


def test_alternatives_have_orders_of_their_own_keys(machine: Machine) -> None:
    schema = {
        "anyOf": [
            {
                "type": "object",
                "properties": {"kind": {"const": kind}, name: {"type": "integer"}},
                "required": ["kind", name],
                "additionalProperties": False,
            }
            for kind, name in (("a", "x1"), ("b", "age"))
        ]
    }
    grammar = compile_json_schema(schema, machine, style=ORDERED)
    assert fits(grammar, '{"kind":"b","age":1}')
    assert not fits(grammar, '{"kind":"a","age":1}')
    assert not fits(grammar, '{"age":1')


@pytest.mark.parametrize("number", mostly_slow(range(len(ALL_STYLES))))
def test_masks_of_both_backends_are_equal_and_have_no_dead_end(number: int) -> None:
    style, tokens = ALL_STYLES[number], token_table_of_pieces()
    machines = Machine(tokens, route=KERNELS), Machine(tokens, route=INTERPRETED)
    for index, schema in enumerate(SCHEMAS):
        try:
            grammars = [compile_json_schema(schema, machine, style=style) for machine in machines]
        except GrammarError:
            assert style.nesting == 1
            continue
        rng = random.Random(index)
        compiled, interpreted = (grammar.matcher() for grammar in grammars)
        for _ in range(40):
            mask = compiled.mask()
            assert np.array_equal(mask, interpreted.mask())
            bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
            choices = [token for token in np.flatnonzero(bits).tolist() if token != END]
            assert choices or compiled.is_accepting
            for token in rng.sample(range(len(SPELLED) - 2), 10):
                assert compiled.count_allowed([token]) == int(bits[token])
            if not choices:
                break
            tried = rng.sample(choices, min(6, len(choices)))
            token = max(tried, key=lambda one: len(SPELLED[one]))
            assert compiled.advance(token)
            assert interpreted.advance(token)


def test_plain_integers(machine: Machine) -> None:
    grammar = compile_json_schema({"type": "integer", "x-spelling": "digits"}, machine)
    for text in ("0", "7", "-12", "9" * 4300):
        assert fits(grammar, text)
    for text in ("1.0", "1e2", "01", "-", "9" * 4301):
        assert not fits(grammar, text)
    listed = {"type": "integer", "x-spelling": "digits", "enum": [1, 20]}
    grammar = compile_json_schema(listed, machine)
    assert [fits(grammar, text) for text in ("1", "20", "2e1", "1.0")] == [True, True, False, False]


def test_what_a_style_leaves_out_is_listed(machine: Machine) -> None:
    found = compile_json_schema({}, machine).restrictions
    assert {"whitespace", "digits", "nesting"} <= {one.keyword for one in found}
    free = JsonStyle(whitespace="free", digits=None, nesting=None, key_order="declared")
    found = compile_json_schema({}, machine, style=free).restrictions
    keywords = {one.keyword for one in found}
    assert {"whitespace", "key order"} <= keywords
    assert not {"digits", "nesting"} & keywords


@pytest.mark.parametrize(
    "fields",
    [
        {"whitespace": "some"},
        {"whitespace": None},
        {"longest": -1},
        {"longest": None},
        {"indent": True},
        {"indent": 2, "whitespace": "compact"},
        {"digits": 19},
        {"digits": 10**400},
        {"nesting": 0},
        {"nesting": "200"},
        {"key_order": ["declared"]},
    ],
)
def test_wrong_styles_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="style"):
        JsonStyle(**fields)


@pytest.mark.parametrize("style", ALL_STYLES)
def test_styles_survive_a_dict(style: JsonStyle) -> None:
    assert JsonStyle.from_dict(json.loads(json.dumps(style.to_dict()))) == style
    with pytest.raises(ParameterError, match="style"):
        JsonStyle.from_dict({"indents": 2})
