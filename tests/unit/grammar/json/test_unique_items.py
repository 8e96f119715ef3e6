"""Arrays of distinct items, of whatever kind: sound, never at a dead end, and of some length."""

import json
import random
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from profiles import amount, spread
from random_texts import accepts, allowed, byte_machine, walk

from decoding.errors import GrammarError, GrammarUnsupportedError
from decoding.grammar import JsonStyle, Machine, compile_json_schema
from decoding.grammar.regular.build import build
from decoding.grammar.regular.nfa import Spelling
from decoding.grammar.regular.regex import parse_full
from decoding.grammar.schema.completions import fewest_completions


@pytest.fixture(scope="module")
def machine() -> Machine:
    return byte_machine()


def string(**keywords: Any) -> dict[str, Any]:
    return {"type": "string", **keywords}


# Items, and arrays that are taken; each of one length, which is reached in some walks too.
KINDS: list[tuple[dict[str, Any], list[Any]]] = [
    (string(format="date"), ["2024-01-01", "2024-01-02", "2024-01-03", "1999-12-28"]),
    (string(format="uuid"), [f"00000000-0000-0000-0000-00000000000{n}" for n in range(10)]),
    (string(format="date-time"), [f"2024-01-31T00:00:0{n}Z" for n in range(10)]),
    ({"type": "number"}, [0, 1, 2, 3, 0.5, 0.25, -1.5, 10]),
    ({"type": "number"}, list(range(40))),
    ({"type": "number", "minimum": 0, "maximum": 1}, [0, 1, 0.5, 0.25]),
    ({"type": "integer", "minimum": 1, "maximum": 300}, [300, 1, 30, 3, 299]),
    ({"type": "integer", "minimum": -3, "maximum": 65_535}, [1, 0, 65_529, 6, 65, 655, 6552]),
    ({"enum": [f"w{n}" for n in range(300)]}, [f"w{n}" for n in range(0, 300, 13)]),
    ({"enum": [*range(90), *map(str, range(90)), None, True]}, [1, "1", None, True, 89, "89"]),
    (string(pattern="^[A-Z]{2}-[0-9]{4}$"), [f"AB-123{n}" for n in range(10)]),
    (string(format="ipv4"), ["1.1.1.1", "1.1.1.11", "1.1.1.111"]),
    ({}, ["a", 1, None, True, 0.5]),
    ({}, [{"any": "object"}]),
    ({"type": "object"}, [{"a": [1, 2]}]),
    ({"type": ["object", "string"]}, ["a", "b", "ab"]),
]


@pytest.mark.parametrize(("items", "taken"), spread(KINDS, 6), ids=lambda part: str(part)[:40])
def test_items_of_any_kind_are_distinct(machine: Machine, items: Any, taken: list[Any]) -> None:
    schema = {"type": "array", "items": items, "uniqueItems": True}
    grammar = compile_json_schema(schema, machine)
    judge = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    assert judge.is_valid(taken)
    assert accepts(grammar.matcher(), json.dumps(taken))
    for twice in ([*taken, taken[0]], [taken[-1], *taken]):
        assert not accepts(grammar.matcher(), json.dumps(twice))
    rng = random.Random(5)
    for _ in range(amount(check=3, full=8)):  # which fails at a dead end
        text = walk(grammar.matcher(), rng, 400)
        if text is not None:
            judge.validate(json.loads(text))


def test_every_value_of_a_long_enumeration_can_be_written(machine: Machine) -> None:
    """The last of them is forced: nothing that was written begins the one that is left."""
    values = ["", *(f"{n:b}" for n in range(80))]
    schema = {"items": {"enum": values}, "uniqueItems": True, "minItems": 81, "type": "array"}
    grammar = compile_json_schema(schema, machine, style=JsonStyle(whitespace="compact"))
    order = random.Random(2).sample(values, len(values))
    matcher = grammar.matcher()
    for byte in json.dumps(order[:-1], separators=(",", ":"))[:-1].encode():
        assert matcher.advance(byte)
    assert allowed(matcher) == [ord(",")]
    assert matcher.advance(ord(","))
    assert matcher.forced_bytes() == f'"{order[-1]}"]'.encode()


def test_values_by_position(machine: Machine) -> None:
    first = [f"a{n}" for n in range(70)]
    schema = {
        "type": "array",
        "prefixItems": [{"enum": first}, {"enum": ["a1"]}],
        "items": {"enum": [*first, 3]},
        "minItems": 3,
        "uniqueItems": True,
    }
    grammar = compile_json_schema(schema, machine)
    assert accepts(grammar.matcher(), '["a2","a1",3.0]')
    assert not accepts(grammar.matcher(), '["a1","a1",3]')
    matcher = grammar.matcher()
    assert not all(map(matcher.advance, b'["a1"'))  # it is needed for the next item


def test_what_cannot_be_told_apart_is_left_out_and_said(machine: Machine) -> None:
    def sentences(schema: dict[str, Any]) -> str:
        grammar = compile_json_schema({"type": "array", "uniqueItems": True, **schema}, machine)
        return " ".join(
            one.sentence for one in grammar.restrictions if one.keyword == "uniqueItems"
        )

    assert "contain arrays or objects" in sentences({"items": {}})
    assert "no numbers with a fraction" in sentences({"items": {"type": "number"}})
    assert "at most 22 items" in sentences({"items": string(format="uuid")})
    assert "29th to 31st" in sentences({"items": string(format="date")})
    assert "at most" not in sentences({"items": {"enum": [f"w{n}" for n in range(300)]}})
    assert "at most" not in sentences({"items": string()})


def test_two_objects_that_must_differ_are_refused(machine: Machine) -> None:
    schema = {"type": "array", "items": {"type": "object"}, "uniqueItems": True, "minItems": 2}
    with pytest.raises(GrammarUnsupportedError, match="masks cannot compare arrays and objects"):
        compile_json_schema(schema, machine)
    grammar = compile_json_schema(schema, machine, on_unsupported="ignore")
    assert accepts(grammar.matcher(), "[{},{}]")


def test_who_may_ignore_the_keyword_has_arrays_of_objects(machine: Machine) -> None:
    schema = {"type": "array", "items": {"type": "object"}, "uniqueItems": True}
    assert not accepts(compile_json_schema(schema, machine).matcher(), '[{},{"a":1}]')
    grammar = compile_json_schema(schema, machine, on_unsupported="ignore")
    assert accepts(grammar.matcher(), '[{},{"a":1}]')
    assert [one.keyword for one in grammar.dropped] == ["uniqueItems"]


@pytest.mark.parametrize(
    ("pattern", "fewest"),
    [
        ("a*", None),
        ("a*b", None),
        ("[ab]", 2),
        ("[0-9]{3}", 10),
        ("x[0-9]{3}|y[0-7]", 8),
        ("[a-z]{1,3}", 27),
        ("ab", 1),
        ("a|ab", 2),
        ("[0-9]{30}", 10),
        ("", 1),
        ("a?", 2),
    ],
)
def test_fewest_completions(pattern: str, fewest: int | None) -> None:
    assert fewest_completions(build(parse_full(pattern), Spelling.TEXT)) == fewest


def test_objects_differ_in_a_property_out_of_few_values(machine: Machine) -> None:
    def action(name: str, **properties: Any) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"id": {"type": "integer"}, "type": {"const": name}, **properties},
            "required": ["id", "type"],
        }

    kinds = {"anyOf": [action("load", url=string()), action("build"), action("publish")]}
    schema = {"type": "array", "items": kinds, "uniqueItems": True, "minItems": 2}
    grammar = compile_json_schema(schema, machine)
    taken = [{"type": "build", "id": 1}, {"id": 1, "type": "load", "url": "u"}]
    assert accepts(grammar.matcher(), json.dumps(taken))
    assert not accepts(grammar.matcher(), json.dumps(taken[:1] * 2))
    assert "for each value of their property 'type'" in grammar.restrictions[0].sentence
    rng = random.Random(4)
    for _ in range(20):
        text = walk(grammar.matcher(), rng, 300)
        if text is not None:
            Draft202012Validator(schema).validate(json.loads(text))
    with pytest.raises(GrammarUnsupportedError):
        compile_json_schema({**schema, "minItems": 4}, machine)


_LETTER, _EMPTY, _NULL = string(pattern="^[ab]$"), string(maxLength=0), {"type": "null"}
_TWO, _ONE = {"type": "integer", "minimum": 1, "maximum": 2}, {"const": 1}


@pytest.mark.parametrize(
    "schema",
    [
        {"items": _LETTER, "minItems": 3},
        {"items": _EMPTY, "minItems": 2},
        {"prefixItems": [string(pattern="^a?$"), _EMPTY], "minItems": 2},
        {"prefixItems": [_TWO, {}], "items": _NULL, "minItems": 4},
        {"prefixItems": [{"const": 1.0}], "items": _ONE, "minItems": 2},
        {"prefixItems": [{"enum": [1, "a"]}], "items": _ONE, "minItems": 3},
        {"prefixItems": [_NULL], "contains": {"enum": [[1], [2]]}},
        {"prefixItems": [_TWO, {"type": "boolean"}], "items": {"enum": [2, True]}, "minItems": 5},
    ],
    ids=str,
)
def test_arrays_without_enough_different_items_are_refused(
    schema: dict[str, Any], machine: Machine
) -> None:
    whole = {"type": "array", "uniqueItems": True, **schema}
    with pytest.raises(GrammarError):
        compile_json_schema(whole, machine)
    with pytest.raises(GrammarError):  # the node that needs such an array has no value either
        compile_json_schema(
            {"type": "object", "required": ["a"], "properties": {"a": whole}}, machine
        )
    either = {"anyOf": [whole, {"const": "x"}]}
    grammar = compile_json_schema(either, machine, on_unsupported="ignore")
    texts = {walk(grammar.matcher(), random.Random(seed), 50) for seed in range(10)}
    assert texts == {'"x"'} or grammar.dropped


@pytest.mark.parametrize(
    "schema",
    [
        {"prefixItems": [string(pattern="^a?$"), _EMPTY]},
        {"prefixItems": [_NULL, _LETTER, string(), {}], "minItems": 4},
        {"prefixItems": [_TWO, _TWO], "items": _NULL, "minItems": 3},
        {"prefixItems": [_NULL], "items": {"type": ["null", "integer"]}, "minItems": 3},
        {"prefixItems": [{"type": "boolean"}, _NULL], "items": {"type": "boolean"}, "minItems": 3},
    ],
    ids=str,
)
def test_arrays_of_few_different_items_reach_their_end(
    schema: dict[str, Any], machine: Machine
) -> None:
    whole = {"type": "array", "uniqueItems": True, **schema}
    grammar = compile_json_schema(whole, machine)
    texts = [walk(grammar.matcher(), random.Random(seed), 400) for seed in range(40)]
    found = [json.loads(text) for text in texts if text is not None]
    assert found
    for value in found:
        Draft202012Validator(whole).validate(value)
