"""Numbers at the ends of binary64 and of what texts may say: every set that compiles is written."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from random_texts import accepts, byte_machine, walk

from decoding.errors import GrammarLimitError, GrammarSyntaxError, GrammarUnsupportedError
from decoding.grammar import JsonStyle, Machine, compile_json_schema


@pytest.fixture(scope="module")
def machine() -> Machine:
    return byte_machine()


WRITTEN: list[dict[str, Any]] = [
    {"type": "number", "minimum": 1e200},
    {"type": "number", "maximum": -1e200},
    {"type": "number", "minimum": 1e-120, "maximum": 1e-110},
    {"type": "number", "minimum": 9.99999999999999e99, "maximum": 1e130},
    {"type": "array", "items": {"type": "number", "minimum": 1e150}, "minItems": 1, "maxItems": 2},
    {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": 5e-324}, {"const": "a"}]},
    {"const": 10**450},
    {"const": 1e23},
    {"const": 10**23},
    {"type": "integer", "minimum": 1e200, "maximum": 1e200},
    {"type": "integer", "minimum": 10**23, "maximum": 10**23 + 5},
    {"type": "number", "minimum": 10**23, "maximum": 2 * 10**23},
    {"type": "number", "maximum": 10**22 * 17},
]


@pytest.mark.parametrize("schema", WRITTEN, ids=lambda schema: str(schema)[:50])
def test_numbers_far_from_one_are_written(schema: dict[str, Any], machine: Machine) -> None:
    grammar = compile_json_schema(schema, machine)
    validator = Draft202012Validator(schema)
    texts = [walk(grammar.matcher(), random.Random(seed), 2_000) for seed in range(20)]
    written = [json.loads(text) for text in texts if text is not None]
    assert written
    assert [value for value in written if not validator.is_valid(value)] == []


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({"type": "number", "minimum": 0.1234567890123456, "maximum": 0.1234567890123457}, "minim"),
        ({"multipleOf": 1e-20, "type": "number", "exclusiveMinimum": 0, "maximum": 1e-17}, "mult"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 5e-324}, "maximum"),
        ({"properties": {"a": {"maximum": -(10**400), "type": "number"}}, "required": ["a"]}, "a/"),
        ({"type": "number", "not": {"type": "integer"}, "minimum": 2**53}, "minimum"),
    ],
)
def test_a_set_without_a_text_is_refused_where_it_stands(
    schema: dict[str, Any], where: str, machine: Machine
) -> None:
    wrapped = {"type": "object", **schema} if "properties" in schema else schema
    with pytest.raises(GrammarUnsupportedError, match="need more digits") as caught:
        compile_json_schema(wrapped, machine)
    assert where in caught.value.where


def test_numbers_longer_than_the_style_allows_are_refused(machine: Machine) -> None:
    schema = {"type": "integer", "minimum": 10**200}
    assert accepts(compile_json_schema(schema, machine).matcher(), str(10**200))
    with pytest.raises(GrammarUnsupportedError, match="digits"):
        compile_json_schema(schema, machine, style=JsonStyle(digits=20))


def test_unique_numbers_that_need_an_exponent_are_integers(machine: Machine) -> None:
    items = {"type": "number", "minimum": 1e200}
    schema = {"type": "array", "items": items, "uniqueItems": True, "minItems": 2}
    grammar = compile_json_schema(schema, machine)
    texts = [walk(grammar.matcher(), random.Random(seed), 3_000) for seed in range(5)]
    found = [json.loads(text) for text in texts if text is not None]
    assert found
    assert all(min(values) >= 1e200 and len(set(values)) == len(values) for values in found)


HUGE = [10**4_400, -(10**4_400), Decimal("1e99999999"), Decimal("1e-9999")]


@pytest.mark.parametrize("bound", HUGE, ids=["long", "negative", "decimal", "tiny"])
@pytest.mark.parametrize("keyword", ["minimum", "const", "multipleOf"])
def test_numbers_that_no_reader_reads_are_refused(
    keyword: str, bound: Any, machine: Machine
) -> None:
    with pytest.raises((GrammarLimitError, GrammarSyntaxError), match=keyword):
        compile_json_schema({"type": "number", keyword: bound}, machine)


def test_common_multiples_of_many_digits_are_a_limit(machine: Machine) -> None:
    steps = [{"multipleOf": 10**2_000 + step} for step in (1, 3, 7)]
    with pytest.raises(GrammarLimitError):
        compile_json_schema({"type": "integer", "minimum": 1, "allOf": steps}, machine)
