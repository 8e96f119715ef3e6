"""One row a keyword and case: schema, values that are valid, values that are not."""

from typing import Any

import pytest
from jsonschema import Draft4Validator, Draft7Validator, Draft202012Validator

from decoding.grammar.schema import compile_graph
from decoding.testing.schema_members import is_member

OBJ, ARR, STR, INT = "object", "array", "string", "integer"

CASES: list[tuple[Any, list[Any], list[Any]]] = [
    (True, [None, True, 1, "a", [], {"a": [1]}], []),
    ({}, [None, 0.5, {"a": {}}], []),
    ({"unknown": 1, "_format": "x", "description": "d"}, [None, "a"], []),
    # type
    ({"type": "null"}, [None], [False, 0, "", [], {}]),
    ({"type": "boolean"}, [True, False], [0, 1, None]),
    ({"type": STR}, ["", "ä"], [1, None]),
    ({"type": "number"}, [1, 1.5, 1e9], [True, "1"]),
    ({"type": INT}, [1, 1.0, -3], [1.5, True, "1"]),
    ({"type": ARR}, [[], [1, "a"]], [{}, "a"]),
    ({"type": OBJ}, [{}, {"a": 1}], [[], None]),
    ({"type": ["integer", "null"]}, [1, None], [1.5, False]),
    ({"type": ["integer", "number"]}, [1, 1.5], ["a"]),
    # enum, const
    ({"enum": [1, "a", None, False]}, [1, 1.0, "a", None, False], [True, 0, "b", {}]),
    ({"enum": [0, 1]}, [0, 1], [False, True]),
    (
        {"enum": [[1, {"a": 2}], {"b": []}]},
        [[1, {"a": 2}], {"b": []}],
        [[1], {}, {"b": [], "c": 1}],
    ),
    ({"type": INT, "enum": [1, "x"]}, [1], ["x"]),
    ({"enum": ["a", "bb", "ccc"], "minLength": 2}, ["bb", "ccc"], ["a"]),
    ({"enum": ["a", "b"], "pattern": "b"}, ["b"], ["a"]),
    ({"enum": [{"a": 1}, {"a": 2}], "const": {"a": 2}}, [{"a": 2}], [{"a": 1}]),
    ({"const": {"a": 1, "b": [True]}}, [{"b": [True], "a": 1.0}], [{"a": 1}, {"a": 1, "b": [1]}]),
    ({"const": []}, [[]], [[1], {}]),
    ({"const": {}}, [{}], [{"a": 1}]),
    ({"const": "é\n"}, ["é\n"], ["e"]),
    ({"enum": [[1, 2], [3]], "minItems": 2}, [[1, 2]], [[3]]),
    # numbers
    ({"minimum": 2, "maximum": 4}, [2, 3.5, 4, "a"], [1.9, 5]),
    ({"exclusiveMinimum": 2, "exclusiveMaximum": 4}, [2.1, 3], [2, 4]),
    ({"multipleOf": 3}, [0, 3, -6, "a"], [1, 3.5]),
    ({"multipleOf": 0.5}, [0.5, 2], [0.25]),
    ({"type": INT, "multipleOf": 1.5}, [3, 0], [1.5, 2]),
    ({"type": INT, "minimum": 0.5, "maximum": 2.5}, [1, 2], [0, 3]),
    # strings
    ({"minLength": 2, "maxLength": 3}, ["ab", "äöü", 1], ["a", "\U0001f600", "abcd"]),
    ({"pattern": "b+"}, ["abc", 1], ["ac"]),
    ({"pattern": "^a$|^b$"}, ["a", "b"], ["ab"]),
    ({"pattern": "^(?!x)[a-z]+$"}, ["ax"], ["xa"]),
    ({"pattern": "^a+$", "maxLength": 2, "minLength": 2}, ["aa"], ["a", "aaa"]),
    # objects
    ({"properties": {"a": {"type": INT}}}, [{}, {"a": 1}, {"b": "x"}, 3], [{"a": "x"}]),
    ({"properties": {"a": False, "b": True}}, [{"b": 1}], [{"a": 1}]),
    ({"required": ["a", "b"]}, [{"b": 1, "a": 2}, []], [{"a": 1}, {}]),
    ({"properties": {"a": {}}, "additionalProperties": False}, [{}, {"a": 1}], [{"b": 1}]),
    ({"properties": {"a": {}}, "additionalProperties": {"type": STR}}, [{"b": "x"}], [{"b": 1}]),
    ({"patternProperties": {"^x": {"type": INT}}}, [{"x1": 1, "y": "a"}], [{"x1": "a"}]),
    (
        {"patternProperties": {"^x": {"type": INT}}, "additionalProperties": False},
        [{"x": 1}, {}],
        [{"y": 1}, {"x": "a"}],
    ),
    (
        {"patternProperties": {"a": {"minimum": 2}, "b": {"maximum": 4}}},
        [{"ab": 3, "a": 9, "b": 0}],
        [{"ab": 1}, {"ab": 5}],
    ),
    (
        {"properties": {"ab": {"type": INT}}, "patternProperties": {"a": {"minimum": 2}}},
        [{"ab": 2}],
        [{"ab": 1}, {"ab": 2.5}],
    ),
    ({"patternProperties": {"a": False}}, [{"b": 1}], [{"ba": 1}]),
    ({"propertyNames": {"maxLength": 1}}, [{"a": 1}, {}], [{"ab": 1}]),
    ({"propertyNames": {"enum": ["a"]}, "properties": {"b": {}}}, [{"a": 1}], [{"b": 1}]),
    ({"propertyNames": False}, [{}], [{"a": 1}]),
    ({"minProperties": 1, "maxProperties": 2}, [{"a": 1}], [{}, {"a": 1, "b": 1, "c": 1}]),
    ({"dependentRequired": {"a": ["b"]}}, [{}, {"b": 1}, {"a": 1, "b": 1}], [{"a": 1}]),
    (
        {"dependentSchemas": {"a": {"properties": {"b": {"type": INT}}, "required": ["b"]}}},
        [{"b": "x"}, {"a": 1, "b": 2}],
        [{"a": 1}, {"a": 1, "b": "x"}],
    ),
    ({"dependentSchemas": {"a": False}}, [{"b": 1}], [{"a": 1}]),
    # arrays
    ({"items": {"type": INT}}, [[], [1, 2], "a"], [[1, "a"]]),
    ({"prefixItems": [{"type": INT}, {"type": STR}]}, [[1], [1, "a", None]], [["a"], [1, 1]]),
    ({"prefixItems": [{"type": INT}], "items": False}, [[], [1]], [[1, 1]]),
    ({"prefixItems": [{}], "items": {"type": STR}}, [[1, "a"]], [[1, 1]]),
    ({"prefixItems": [{}, False]}, [[1]], [[1, 2]]),
    ({"minItems": 1, "maxItems": 2}, [[1], [1, 2]], [[], [1, 2, 3]]),
    ({"contains": {"const": 1}}, [[2, 1], "a"], [[], [2]]),
    ({"contains": {"const": 1}, "minContains": 2}, [[1, 1]], [[1, 2]]),
    ({"contains": {"const": 1}, "minContains": 0}, [[], [2]], []),
    ({"contains": {"const": 1}, "maxContains": 1}, [[1, 2]], [[1, 1], [2]]),
    ({"items": {"type": INT}, "uniqueItems": True}, [[1, 2], []], [[1, 1.0]]),
    (
        {"items": {"enum": ["a", "b", True, 1]}, "uniqueItems": True},
        [["a", "b"], [True, 1]],
        [["a", "a"]],
    ),
    ({"items": {"type": "boolean"}, "uniqueItems": True, "minItems": 2}, [[True, False]], [[True]]),
    ({"uniqueItems": True, "maxItems": 1}, [[{}]], [[1, 1]]),
    # logic
    ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, [1, 2], [0, 3]),
    (
        {
            "allOf": [
                {"properties": {"a": {"type": INT}}, "required": ["a"]},
                {"properties": {"a": {"minimum": 3}}, "additionalProperties": {"type": STR}},
            ]
        },
        [{"a": 3, "b": "x"}],
        [{"a": 2}, {"a": 3, "b": 1}, {"a": 3.5}],
    ),
    (
        {"allOf": [{"properties": {"a": {}}, "additionalProperties": False}, {"required": ["a"]}]},
        [{"a": 1}],
        [{}, {"a": 1, "b": 1}],
    ),
    (
        {
            "patternProperties": {"^a": {"type": INT}},
            "additionalProperties": {"type": STR},
            "allOf": [{"patternProperties": {"^b": {"minLength": 2}}}],
        },
        [{"a": 1, "b": "xx", "c": "x"}],
        [{"b": 1}, {"b": "x"}, {"a": "x"}, {"c": 1}],
    ),
    ({"anyOf": [{"type": INT}, {"minLength": 2}]}, [1, "ab", None], ["a"]),
    ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, [{"a": 1}, {"b": 1}, 1], [{}]),
    ({"oneOf": [{"type": INT}, {"minimum": 2}]}, [1, 2.5, "a"], [3, 1.5]),
    (
        {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        [{"a": 1}, {"b": 1}],
        [{"a": 1, "b": 1}, {}],
    ),
    (
        {
            "oneOf": [
                {"properties": {"k": {"const": "a"}, "x": {"type": INT}}, "required": ["k"]},
                {"properties": {"k": {"const": "b"}, "x": {"type": STR}}, "required": ["k"]},
            ]
        },
        [{"k": "a", "x": 1}, {"k": "b", "x": "s"}],
        [{"k": "a", "x": "s"}, {}, {"k": "c"}],
    ),
    (
        {
            "type": OBJ,
            "oneOf": [
                {"properties": {"a": {"type": INT}}},
                {"properties": {"b": {"type": INT}}, "additionalProperties": False},
            ],
        },
        [{"a": 1}, {"c": 1}, {"a": 1, "b": 1}],
        [{}, {"b": 1}, {"a": "x"}],
    ),
    ({"not": {"type": STR}}, [1, None, [], {}], ["a"]),
    ({"not": {"not": {"type": STR}}}, ["a"], [1, []]),
    (
        {"not": {"enum": [1, "a", {"a": 1}, [1]]}},
        [2, "b", {"a": 2}, {"a": 1, "b": 1}, []],
        [1, {"a": 1}, [1]],
    ),
    ({"not": {"required": ["a", "b"]}, "type": OBJ}, [{"a": 1}, {}], [{"a": 1, "b": 1}]),
    ({"not": {"properties": {"a": {"type": INT}}}}, [{"a": "x"}], [{}, {"a": 1}, 1]),
    ({"not": {"anyOf": [{"type": STR}, {"minimum": 3}]}}, [1], ["a", 3, None, []]),
    ({"not": {"allOf": [{"type": STR}, {"minLength": 2}]}}, [1, "a"], ["ab"]),
    (
        {"not": {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}},
        [{"a": 1, "b": 1}, {}],
        [{"a": 1}],
    ),
    ({"not": {"pattern": "^a"}, "type": STR}, ["b"], ["a"]),
    ({"not": {"items": {"type": INT}}}, [["a", 1]], [[1], [], 1]),
    ({"not": {"contains": {"type": INT}}}, [["a"], []], [["a", 1], 1]),
    ({"not": {"minItems": 2}, "type": ARR}, [[1]], [[1, 2]]),
    ({"not": {"maxProperties": 1}}, [{"a": 1, "b": 1}], [{"a": 1}]),
    (
        {"not": {"prefixItems": [{"type": INT}, {"type": STR}]}},
        [["a"], [1, 1]],
        [[1, "a"], [1], []],
    ),
    (
        {"not": {"additionalProperties": False, "properties": {"a": {}}}},
        [{"b": 1}, {"a": 1, "b": 1}],
        [{"a": 1}, {}],
    ),
    ({"not": {"dependentRequired": {"a": ["b"]}}}, [{"a": 1}], [{}, {"a": 1, "b": 1}]),
    (
        {"not": {"if": {"required": ["a"]}, "then": {"required": ["b"]}}},
        [{"a": 1}],
        [{}, {"a": 1, "b": 1}],
    ),
    (
        {
            "if": {"properties": {"k": {"const": "a"}}, "required": ["k"]},
            "then": {"required": ["x"]},
            "else": {"required": ["y"]},
        },
        [{"k": "a", "x": 1}, {"y": 1}, {"k": "b", "y": 1}],
        [{"k": "a", "y": 1}, {"x": 1}],
    ),
    ({"if": {"type": INT}, "then": {"minimum": 3}}, [3, 2.5, "a"], [2]),
    ({"if": {"type": INT}, "else": {"type": STR}}, [3, "a"], [2.5, None]),
    # unevaluated
    (
        {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False},
        [{"a": 1}],
        [{"b": 1}],
    ),
    (
        {
            "anyOf": [{"properties": {"a": {"type": INT}}}, {"properties": {"b": {"type": INT}}}],
            "unevaluatedProperties": False,
        },
        [{"a": 1, "b": 1}, {"a": 1}, {}],
        [{"a": "x", "b": 1}, {"c": 1}],
    ),
    (
        {
            "if": {"properties": {"a": {"const": 1}}, "required": ["a"]},
            "unevaluatedProperties": False,
        },
        [{"a": 1}, {}],
        [{"a": 2}],
    ),
    ({"prefixItems": [{"type": INT}], "unevaluatedItems": {"type": STR}}, [[1, "a"]], [[1, 1]]),
    (
        {"contains": {"type": INT}, "unevaluatedItems": {"type": STR}},
        [["a", 1]],
        [["a"], [1, None]],
    ),
    ({"unevaluatedProperties": False, "patternProperties": {"^a": {}}}, [{"ab": 1}], [{"b": 1}]),
    (
        {"enum": [{"a": 1}, {"b": 1}], "properties": {"a": {}}, "unevaluatedProperties": False},
        [{"a": 1}],
        [{"b": 1}, {}],
    ),
]

OLDER: list[tuple[Any, list[Any], list[Any]]] = [
    ({"items": [{"type": INT}], "additionalItems": False}, [[1], []], [[1, 2], ["a"]]),
    ({"items": [{"type": INT}], "additionalItems": {"type": STR}}, [[1, "a"]], [[1, 2]]),
    ({"items": {}, "additionalItems": False}, [[1, 2]], []),
    (
        {"dependencies": {"a": ["b"], "c": {"required": ["d"]}}},
        [{"a": 1, "b": 1}, {"c": 1, "d": 1}],
        [{"a": 1}, {"c": 1}],
    ),
    (
        {"definitions": {"s": {"type": STR}}, "properties": {"a": {"$ref": "#/definitions/s"}}},
        [{"a": "x"}],
        [{"a": 1}],
    ),
]


def check(schema: Any, valid: list[Any], invalid: list[Any], validator: Any) -> None:
    graph = compile_graph(schema)
    assert not graph.restrictions
    for value in valid:
        assert is_member(graph, graph.root, value), value
        assert validator.is_valid(value), value
    for value in invalid:
        assert not is_member(graph, graph.root, value), value
        assert not validator.is_valid(value), value


@pytest.mark.parametrize(("schema", "valid", "invalid"), CASES, ids=lambda part: str(part)[:60])
def test_keywords(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    check(schema, valid, invalid, Draft202012Validator(schema))


@pytest.mark.parametrize(("schema", "valid", "invalid"), OLDER, ids=lambda part: str(part)[:60])
def test_keywords_of_draft_7_also_without_its_name(
    schema: Any, valid: list[Any], invalid: list[Any]
) -> None:
    if not isinstance(schema.get("items"), list):  # of which 2020-12 has none
        check(schema, valid, invalid, Draft7Validator(schema))
    named = {"$schema": "http://json-schema.org/draft-07/schema#", **schema}
    check(named, valid, invalid, Draft7Validator(named))


def test_bounds_of_draft_4_are_made_open_by_a_flag() -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "minimum": 1,
        "exclusiveMinimum": True,
        "maximum": 3,
        "exclusiveMaximum": False,
    }
    check(schema, [1.5, 3], [1, 3.5], Draft4Validator(schema))


def test_beside_a_reference_draft_7_says_nothing_and_2020_12_does() -> None:
    schema = {"definitions": {"s": {"type": STR}}, "$ref": "#/definitions/s", "maxLength": 1}
    graph = compile_graph(schema)
    assert not is_member(graph, graph.root, "ab")
    graph = compile_graph({"$schema": "http://json-schema.org/draft-07/schema#", **schema})
    assert is_member(graph, graph.root, "ab")


def test_a_step_of_a_tenth_is_a_tenth() -> None:
    graph = compile_graph({"multipleOf": 0.1})
    assert is_member(graph, graph.root, 0.3)
    assert not is_member(graph, graph.root, 0.35)
