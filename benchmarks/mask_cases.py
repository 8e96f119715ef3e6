"""Benchmark inputs: JSON Schemas with valid and invalid texts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decoding.grammar.schema import Schema


@dataclass(frozen=True, slots=True)
class Case:
    """One schema.

    texts: JSON, and whether its value is valid.
    """

    name: str
    schema: Schema
    texts: tuple[tuple[str, bool], ...]


def read_cases(folder: Path) -> list[Case]:
    """Files of MaskBench: `schema`, and `tests` with `data` and `valid`."""
    cases = []
    for path in sorted(folder.glob("*.json")):
        read = json.loads(path.read_text("utf-8"))
        texts = [(_written(test["data"]), bool(test["valid"])) for test in read["tests"]]
        cases.append(Case(path.name, read["schema"], tuple(texts)))
    return cases


def _written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _case(name: str, schema: Schema, valid: list[Any], invalid: list[Any]) -> Case:
    texts = [(_written(value), True) for value in valid]
    return Case(name, schema, (*texts, *((_written(value), False) for value in invalid)))


_TEXT, _WHOLE, _FLAG = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
_PERSON = {
    "type": "object",
    "properties": {"name": _TEXT, "age": {"type": "integer", "minimum": 0}, "email": _TEXT},
    "required": ["name", "age"],
    "additionalProperties": False,
}
_TREE = {
    "type": "object",
    "properties": {"value": _WHOLE, "children": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["value"],
    "additionalProperties": False,
}
_EVENT = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["created", "moved", "deleted"]},
        "on": {"type": "string", "format": "date"},
        "id": {"type": "string", "format": "uuid"},
    },
    "required": ["kind", "on"],
}
_SHAPES = {
    "oneOf": [
        {
            "type": "object",
            "properties": {"shape": {"const": "circle"}, "radius": {"type": "number"}},
            "required": ["shape", "radius"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {
                "shape": {"const": "square"},
                "side": {"type": "number", "minimum": 0},
            },
            "required": ["shape", "side"],
            "additionalProperties": False,
        },
    ]
}
_CALL = {
    "type": "object",
    "properties": {
        "function": {"const": "search"},
        "arguments": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "minLength": 1, "maxLength": 200},
                "limit": {"type": "integer", "minimum": 1, "maximum": 100},
                "tags": {"type": "array", "items": _TEXT, "maxItems": 5},
            },
            "required": ["query"],
            "additionalProperties": False,
        },
    },
    "required": ["function", "arguments"],
    "additionalProperties": False,
}
_ADDRESS = {
    "$defs": {"place": {"type": "string", "pattern": "^[A-Z][a-z]+( [A-Z][a-z]+)*$"}},
    "type": "object",
    "properties": {
        "city": {"$ref": "#/$defs/place"},
        "zip": {"type": "string", "pattern": "^[0-9]{5}(-[0-9]{4})?$"},
        "country": {"$ref": "#/$defs/place"},
    },
    "required": ["city", "zip"],
}
_PAYMENT = {
    "type": "object",
    "properties": {"method": {"enum": ["card", "cash"]}, "number": _TEXT},
    "required": ["method"],
    "if": {"properties": {"method": {"const": "card"}}},
    "then": {"required": ["number"]},
}
_UUID = "123e4567-e89b-12d3-a456-426614174000"
_NESTED: Any = [[[[[[[[]]]]]]]]

BUILT_IN = (
    _case(
        "person",
        _PERSON,
        [{"name": "Ada Lovelace", "age": 36}, {"name": "Zoë", "age": 0, "email": "zoe@site.org"}],
        [{"name": "Ada"}, {"name": "Ada", "age": -1}, {"name": "Ada", "age": 36, "x": 1}],
    ),
    _case(
        "any order",
        {"properties": {"first": _TEXT, "second": _WHOLE}, "required": ["first", "second"]},
        [{"second": 2, "first": "one"}, {"first": "one", "third": None, "second": 2}],
        [{"second": "two", "first": "one"}],
    ),
    _case(
        "tree",
        _TREE,
        [{"value": 1, "children": [{"value": 2}, {"value": 3, "children": []}]}],
        [{"value": 1, "children": [{}]}],
    ),
    _case(
        "event",
        _EVENT,
        [{"kind": "moved", "on": "2024-02-29", "id": _UUID}],
        [{"kind": "moved", "on": "2023-02-29"}, {"kind": "lost", "on": "2024-02-29"}],
    ),
    _case(
        "shapes",
        _SHAPES,
        [{"shape": "circle", "radius": 2.5}, {"side": 4, "shape": "square"}],
        [{"shape": "circle", "side": 4}, {"shape": "square", "side": -1}],
    ),
    _case(
        "function call",
        _CALL,
        [
            {
                "function": "search",
                "arguments": {"query": "grammar masks", "limit": 10, "tags": ["a"]},
            }
        ],
        [
            {"function": "search", "arguments": {"query": "", "limit": 10}},
            {"function": "search", "arguments": {"query": "q", "limit": 1000}},
        ],
    ),
    _case(
        "address",
        _ADDRESS,
        [{"city": "San Jose", "zip": "95112-0001", "country": "France"}],
        [{"city": "paris", "zip": "75001"}, {"city": "Paris", "zip": "7501"}],
    ),
    _case(
        "if and then",
        _PAYMENT,
        [{"method": "card", "number": "4111 1111"}, {"method": "cash"}],
        [{"method": "card"}],
    ),
    _case(
        "matrix",
        {"type": "array", "items": {"type": "array", "items": {"type": "number"}, "minItems": 2}},
        [[[1, 2.5], [-0.125, 1e10]], []],
        [[[1]], [[1, "2"]]],
    ),
    _case(
        "tuple",
        {"type": "array", "prefixItems": [_TEXT, _WHOLE, _FLAG], "items": False, "minItems": 3},
        [["a", 1, True]],
        [["a", 1], ["a", 1, True, None]],
    ),
    _case(
        "names of headers",
        {"type": "object", "patternProperties": {"^x-": _TEXT}, "additionalProperties": False},
        [{"x-request-id": "7", "x-": ""}, {}],
        [{"y-request-id": "7"}, {"x-count": 7}],
    ),
    _case(
        "map of counts",
        {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
        [{"apples": 3, "pears": 12}],
        [{"apples": 0}, {"apples": 1.5}],
    ),
    _case(
        "long enumeration",
        {"enum": [f"item-{number:03}" for number in range(300)]},
        ["item-000", "item-299"],
        ["item-300", "item-0000"],
    ),
    _case(
        "range of integers",
        {"type": "integer", "minimum": -273, "maximum": 5778},
        [-273, 0, 5778],
        [-274, 5779, 10000],
    ),
    _case(
        "formats",
        {"prefixItems": [{"format": "date"}, {"format": "ipv4"}, {"format": "email"}]},
        [["2024-12-31", "192.168.0.1", "someone@site.org"]],
        [["2024-13-31"], ["2024-12-31", "192.168.0.256"], ["2024-12-31", "1.1.1.1", "someone"]],
    ),
    _case(
        "bounded string",
        {"type": "string", "minLength": 3, "maxLength": 5000},
        ["The quick brown fox jumps over the lazy dog. " * 8, "日本語"],
        ["ab", "日本"],
    ),
    _case(
        "either or not",
        {"anyOf": [{"type": "null"}, {"not": {"type": ["null", "boolean", "number"]}}]},
        [None, "text", {"a": 1}, [1]],
        [True, 3],
    ),
    _case(
        "dependent",
        {
            "properties": {"user": _TEXT, "password": _TEXT},
            "dependentRequired": {"user": ["password"]},
            "type": "object",
        },
        [{"password": "x", "user": "me"}, {"password": "x"}],
        [{"user": "me"}],
    ),
    _case(
        "count of properties",
        {"type": "object", "minProperties": 1, "maxProperties": 2},
        [{"a": 1, "b": [2]}],
        [{}, {"a": 1, "b": 2, "c": 3}],
    ),
    _case(
        "any JSON",
        {},
        [{"text": 'a "quoted" word\nand \\ more', "list": [1, -2.5e-3, None, False]}, _NESTED],
        [],
    ),
)
"""Small, and of every kind; peers refuse some and are wrong about others."""
