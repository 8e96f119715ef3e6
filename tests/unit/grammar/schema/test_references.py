"""References: pointers, anchors, identifiers, dynamic ones; and those that lead nowhere."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from decoding.errors import GrammarSyntaxError, GrammarUnsupportedError
from decoding.grammar.schema import compile_graph
from decoding.testing.schema_members import is_member

TREE: dict[str, Any] = {
    "$id": "https://example.com/tree",
    "$dynamicAnchor": "node",
    "properties": {"data": True, "children": {"items": {"$dynamicRef": "#node"}}},
}
STRICT: dict[str, Any] = {
    "$id": "https://example.com/strict-tree",
    "$dynamicAnchor": "node",
    "$ref": "tree",
    "unevaluatedProperties": False,
    "$defs": {"tree": TREE},
}

CASES: list[tuple[Any, list[Any], list[Any]]] = [
    (
        {
            "properties": {
                "v": {"type": "integer"},
                "c": {"type": "array", "items": {"$ref": "#"}},
            },
            "required": ["v"],
            "additionalProperties": False,
        },
        [{"v": 1, "c": [{"v": 2, "c": [{"v": 3}]}]}],
        [{"v": 1, "c": [{"c": []}]}, {"v": 1, "c": [{"v": "x"}]}],
    ),
    (
        {"$defs": {"s/%~": {"type": "string"}}, "items": {"$ref": "#/$defs/s~1%25~0"}},
        [["a"]],
        [[1]],
    ),
    (
        {"properties": {"a": {"type": "string"}, "b": {"$ref": "#/properties/a", "maxLength": 1}}},
        [{"b": "x"}],
        [{"b": "xx"}, {"b": 1}],
    ),
    ({"$defs": {"s": {"$anchor": "x", "type": "integer"}}, "$ref": "#x"}, [1], ["a"]),
    (
        {
            "$id": "https://example.com/root",
            "$defs": {
                "inner": {
                    "$id": "inner",
                    "$defs": {"t": {"type": "integer"}},
                    "items": {"$ref": "#/$defs/t"},
                }
            },
            "properties": {"a": {"$ref": "inner"}},
        },
        [{"a": [1]}],
        [{"a": ["x"]}],
    ),
    (
        {
            "$id": "https://example.com/root",
            "$defs": {"s": {"type": "string"}},
            "$ref": "root#/$defs/s",
        },
        ["a"],
        [1],
    ),
    (
        {"$ref": "https://json-schema.org/draft/2020-12/schema"},
        [{"minLength": 1}],
        [{"minLength": -1}],
    ),
    (STRICT, [{"children": [{"data": 1}]}], [{"children": [{"daat": 1}]}]),
    (TREE, [{"children": [{"daat": 1}]}], []),
]


@pytest.mark.parametrize(("schema", "valid", "invalid"), CASES, ids=lambda part: str(part)[:50])
def test_references(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    graph = compile_graph(schema)
    validator = Draft202012Validator(schema)
    for value in valid:
        assert is_member(graph, graph.root, value), value
        assert validator.is_valid(value)
    for value in invalid:
        assert not is_member(graph, graph.root, value), value
        assert not validator.is_valid(value)


def test_recursive_references_of_2019_09_look_outwards() -> None:
    inner = {
        "$id": "https://example.com/inner",
        "$recursiveAnchor": True,
        "properties": {"next": {"$recursiveRef": "#"}},
    }
    schema = {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "$id": "https://example.com/outer",
        "$recursiveAnchor": True,
        "$ref": "inner",
        "required": ["v"],
        "$defs": {"inner": inner},
    }
    graph = compile_graph(schema)
    assert is_member(graph, graph.root, {"v": 1, "next": {"v": 2}})
    assert not is_member(graph, graph.root, {"v": 1, "next": {}})


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "/properties/a/$ref"),
        ({"items": {"$ref": "https://example.com/other"}}, "/items/$ref"),
        ({"items": {"$ref": "#nowhere"}}, "/items/$ref"),
    ],
)
def test_what_leads_nowhere_is_refused_with_its_place(schema: Any, where: str) -> None:
    with pytest.raises(GrammarUnsupportedError) as caught:
        compile_graph(schema)
    assert caught.value.where == where
    assert caught.value.keyword == "$ref"


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}, "items": {"$ref": "#/$defs/a"}},
        {"anyOf": [{"type": "string"}, {"not": {"$ref": "#"}}]},
    ],
)
def test_a_schema_that_describes_a_value_by_itself_is_no_schema(schema: Any) -> None:
    with pytest.raises(GrammarSyntaxError):
        compile_graph(schema)


def test_equal_schemas_are_one_node() -> None:
    item = {"type": "object", "properties": {"a": {"type": "string"}}}
    graph = compile_graph({"prefixItems": [item, dict(item), {**item, "description": "d"}]})
    (shape,) = graph.node(graph.root).arrays
    assert len(set(shape.prefix)) == 1
