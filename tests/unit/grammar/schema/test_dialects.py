"""The drafts of JSON Schema: draft 4 in its own sense, others refused, wrong types refused."""

import json
import random
from typing import Any

import pytest
from jsonschema import Draft4Validator, Draft7Validator, Draft202012Validator
from random_texts import accepts, byte_machine, walk

from decoding.errors import GrammarSyntaxError, GrammarUnsupportedError
from decoding.grammar import Machine, compile_json_schema
from decoding.grammar.schema import compile_graph
from decoding.testing.schema_members import is_member

DRAFT3 = "http://json-schema.org/draft-03/schema#"
DRAFT4 = "http://json-schema.org/draft-04/schema#"
DRAFT7 = "http://json-schema.org/draft-07/schema#"
LATEST = "https://json-schema.org/draft/2020-12/schema"


@pytest.fixture(scope="module")
def machine() -> Machine:
    return byte_machine()


INTEGERS: list[dict[str, Any]] = [
    {"type": "integer"},
    {"type": "integer", "minimum": -3, "maximum": 12},
    {"type": "number"},
    {"type": "number", "not": {"type": "integer"}},
    {"not": {"not": {"type": "integer"}}},
    {"enum": [4, 2.5], "type": "integer"},
    {"enum": [4, 2.5]},
    {"not": {"enum": [4]}, "type": "integer"},
    {"oneOf": [{"type": "integer"}, {"multipleOf": 2}]},
    {"type": ["integer", "string"], "multipleOf": 4},
    {"minimum": 4, "exclusiveMinimum": True},
    {"minimum": 4, "exclusiveMinimum": False},
    {"maximum": 4, "exclusiveMaximum": True, "type": "integer"},
    {"const": 5},  # of which draft 4 knows nothing, nor of these
    {"contains": {"type": "null"}},
    {"propertyNames": False},
    {"if": {"type": "integer"}, "then": False},
]
NUMBERS = ["4", "4.0", "4e0", "-0", "0.0", "2.5", "12", "120e-1", "1e1", "5", "1e2", '"x"', "[1]"]


@pytest.mark.parametrize("schema", INTEGERS, ids=str)
def test_draft_4_has_integers_of_its_own(machine: Machine, schema: dict[str, Any]) -> None:
    schema = {"$schema": DRAFT4, **schema}
    grammar = compile_json_schema(schema, machine)
    graph = compile_graph(schema)
    judge = Draft4Validator(schema)
    for text in NUMBERS:
        value = json.loads(text)
        assert is_member(graph, graph.root, value) == judge.is_valid(value), text
        # Of numbers within bounds some spellings are never written, none but "4e0" among these.
        if accepts(grammar.matcher(), text) != judge.is_valid(value):
            assert text in ("4e0", "120e-1", "1e1", "1e2")
            assert judge.is_valid(value)


def test_items_of_draft_4_are_distinct_integers(machine: Machine) -> None:
    schema = {
        "$schema": DRAFT4,
        "type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": 70},
        "uniqueItems": True,
    }
    grammar = compile_json_schema(schema, machine)
    assert accepts(grammar.matcher(), "[1,10,70]")
    for text in ("[1,1]", "[1.0]", "[1,1e0]", "[71]"):
        assert not accepts(grammar.matcher(), text)
    rng = random.Random(1)
    for _ in range(10):
        text = walk(grammar.matcher(), rng, 60)
        if text is not None:
            Draft4Validator(schema).validate(json.loads(text))


def test_identifiers_of_draft_4_are_ids() -> None:
    schema = {
        "$schema": DRAFT4,
        "id": "http://x.test/root.json",
        "definitions": {
            "a": {"id": "inner.json", "definitions": {"b": {"type": "null"}}},
            "c": {"$id": "http://x.test/other.json", "type": "string"},
        },
        "properties": {"p": {"$ref": "inner.json#/definitions/b"}},
    }
    graph = compile_graph(schema)
    assert is_member(graph, graph.root, {"p": None})
    assert not is_member(graph, graph.root, {"p": 1})
    with pytest.raises(GrammarUnsupportedError):
        compile_graph({**schema, "properties": {"p": {"$ref": "http://x.test/other.json"}}})


def test_a_reference_stands_alone_in_draft_4() -> None:
    schema = {
        "$schema": DRAFT4,
        "definitions": {"s": {"type": "string"}},
        "properties": {"a": {"$ref": "#/definitions/s", "maxLength": 1, "required": True}},
    }
    graph = compile_graph(schema)
    assert is_member(graph, graph.root, {"a": "long"})


@pytest.mark.parametrize(
    "name",
    [
        DRAFT3,
        "http://json-schema.org/draft-03/schema",
        "https://json-schema.org/draft-03/hyper-schema#",
        "http://json-schema.org/draft-05/schema#",
        "http://example.com/my-metaschema",
        "",
        "draft-07",
        "x" * 100_000,
    ],
    ids=lambda name: name[:40],
)
@pytest.mark.parametrize("on_unsupported", ["raise", "ignore"])
def test_a_dialect_that_is_not_known_is_refused(name: str, on_unsupported: Any) -> None:
    with pytest.raises(GrammarUnsupportedError) as caught:
        compile_graph({"$schema": name, "type": "string"}, on_unsupported=on_unsupported)
    assert (caught.value.where, caught.value.keyword) == ("/$schema", "$schema")
    assert len(str(caught.value)) < 400
    assert ("draft 3" in str(caught.value)) == ("draft-03" in name)
    inner = {"properties": {"a": {"$schema": name}}}
    with pytest.raises(GrammarUnsupportedError) as caught:
        compile_graph(inner)
    assert caught.value.where == "/properties/a/$schema"


@pytest.mark.parametrize(
    "name",
    [
        "http://json-schema.org/draft-04/schema#",
        "http://json-schema.org/draft-04/schema",
        "https://json-schema.org/draft-04/schema#",
        "json-schema.org/draft-04/schema#",
        "http://json-schema.org/draft-04/hyper-schema#",
    ],
)
def test_a_draft_may_be_spelled_in_several_ways(name: str) -> None:
    graph = compile_graph({"$schema": name, "type": "integer"})
    assert not is_member(graph, graph.root, 4.0)
    graph = compile_graph({"$schema": "http://json-schema.org/schema#", "prefixItems": [False]})
    assert not is_member(graph, graph.root, [1])  # it means the latest one


def test_the_name_of_a_draft_is_a_string() -> None:
    with pytest.raises(GrammarSyntaxError) as caught:
        compile_graph({"$schema": 7})
    assert caught.value.where == "/$schema"


@pytest.mark.parametrize("named", [True, False])
def test_an_inner_schema_may_be_of_another_draft(named: bool) -> None:
    inner: dict[str, Any] = {"$schema": DRAFT4, "type": "integer"}
    if named:
        inner["id"] = "http://x.test/inner"
    schema = {
        "$schema": LATEST,
        "properties": {"a": inner, "b": {"type": "integer"}, "c": {"$ref": "#/properties/a"}},
    }
    graph = compile_graph(schema)
    judge = Draft202012Validator(schema)
    for value in ({"a": 4}, {"a": 4.0}, {"b": 4.0}, {"c": 4}):
        assert is_member(graph, graph.root, value) == judge.is_valid(value), value
    assert not is_member(graph, graph.root, {"c": 4.0})


WRONG: list[tuple[str, Any, str | None]] = [
    # keyword, value, the draft in which it is wrong (None: in all of them)
    ("required", True, None),
    ("required", "a", None),
    ("required", [1], None),
    ("minimum", "3", None),
    ("minimum", True, None),
    ("multipleOf", 0, None),
    ("minLength", -1, None),
    ("maxItems", 1.5, None),
    ("uniqueItems", "true", None),
    ("uniqueItems", 1, None),
    ("type", "any", None),
    ("type", "strin", None),
    ("type", [], None),
    ("type", ["string", {"type": "null"}], None),
    ("enum", "a", None),
    ("pattern", 1, None),
    ("format", 1, None),
    ("properties", [], None),
    ("properties", {"a": 1}, None),
    ("patternProperties", {"a": None}, None),
    ("additionalProperties", "no", None),
    ("allOf", {}, None),
    ("anyOf", [3], None),
    ("not", [], None),
    ("dependencies", [], DRAFT7),
    ("dependencies", {"a": "b"}, DRAFT7),
    ("dependencies", {"a": "b"}, ""),
    ("dependentRequired", {"a": "b"}, LATEST),
    ("dependentSchemas", {"a": ["b"]}, ""),
    ("items", [{"type": "string"}], LATEST),
    ("items", [{"type": "string"}], ""),
    ("items", 3, None),
    ("prefixItems", {}, LATEST),
    ("exclusiveMinimum", True, DRAFT7),
    ("exclusiveMinimum", True, LATEST),
    ("exclusiveMaximum", False, ""),
    ("exclusiveMinimum", 3, DRAFT4),
    ("contains", 1, DRAFT7),
    ("propertyNames", "a", DRAFT7),
    ("if", "a", DRAFT7),
    ("minContains", -1, LATEST),
    ("unevaluatedProperties", 0, LATEST),
    ("$ref", 1, None),
    ("properties", {"a": True}, DRAFT4),
    ("$id", 3, DRAFT7),
    ("$id", None, ""),
    ("$id", ["x"], LATEST),
    ("id", 3, DRAFT4),
    ("$anchor", [], LATEST),
    ("$dynamicAnchor", {}, ""),
    ("definitions", 3, None),
    ("definitions", {"a": None}, DRAFT7),
    ("$defs", [], LATEST),
    ("$defs", {"a": 3}, ""),
    ("contentSchema", "a", LATEST),
    ("divisibleBy", 2, ""),
    ("extends", {}, ""),
    ("disallow", "string", ""),
]


@pytest.mark.parametrize(("keyword", "value", "draft"), WRONG, ids=lambda part: str(part)[:30])
def test_a_keyword_of_a_wrong_type_is_refused_wherever_it_stands(
    keyword: str, value: Any, draft: str | None
) -> None:
    for name in (DRAFT4, DRAFT7, LATEST, "") if draft is None else (draft,):
        top = {"$schema": name} if name else {}
        below = {"a/b": {keyword: value}}
        for around, where in (
            ({keyword: value}, ""),
            ({"properties": below}, "/properties/a~1b"),
            ({"definitions": below}, "/definitions/a~1b"),  # that nothing refers to
            ({"items": {"allOf": [{}, {keyword: value}]}}, "/items/allOf/1"),
            ({"x": {"y": [{keyword: value}]}, "properties": {"p": {"$ref": "#/x/y/0"}}}, "/x/y/0"),
        ):
            with pytest.raises((GrammarSyntaxError, GrammarUnsupportedError)) as caught:
                compile_graph({**top, **around})
            found = caught.value.where.removeprefix("#")
            assert found.startswith(f"{where}/{keyword}"), (name, caught.value)


def test_what_is_no_keyword_of_a_draft_has_any_type() -> None:
    compile_graph({"$schema": DRAFT4, "const": 1, "if": "then", "$defs": 3, "contains": 4})
    compile_graph({"$schema": DRAFT7, "prefixItems": 3, "dependentRequired": []})
    compile_graph({"$schema": LATEST, "divisibleBy": 2, "dependencies": 3, "_required": True})
    compile_graph({"properties": {"required": {}, "extends": {}, "$schema": {"type": "string"}}})
    compile_graph({"enum": [{"required": True, "$schema": "?"}], "default": {"type": 3}})
    compile_graph({"$schema": DRAFT7, "items": [{}], "definitions": {"items": {}}})


def test_a_document_of_others_whose_names_are_of_a_wrong_type_is_refused() -> None:
    for wrong in ({"$id": 3}, {"$anchor": []}, {"$defs": 3}):
        document = {"$defs": {"right": {"$anchor": "a"}, "wrong": wrong}}
        with pytest.raises(GrammarSyntaxError) as caught:
            compile_graph(
                {"properties": {"p": {"$ref": "other.json#b"}}}, resources={"other.json": document}
            )
        assert caught.value.where == "/properties/p/$ref"


def test_what_draft_3_alone_has_may_be_dropped() -> None:
    graph = compile_graph({"type": "integer", "divisibleBy": 2}, on_unsupported="ignore")
    assert [remark.keyword for remark in graph.dropped] == ["divisibleBy"]


@pytest.mark.parametrize("draft", [DRAFT4, DRAFT7, LATEST])
def test_formats_that_a_draft_has_not_are_enforced_and_never_denied(draft: str) -> None:
    schema = {"$schema": draft, "type": "string", "format": "uuid"}
    graph = compile_graph(schema)
    assert not is_member(graph, graph.root, "x")
    denied = {"$schema": draft, "type": "string", "minLength": 1, "not": {"format": "uuid"}}
    if draft == LATEST:
        graph = compile_graph(denied)
        assert is_member(graph, graph.root, "x")
    else:  # `jsonschema`, which ignores the format, has no valid value
        assert not Draft7Validator(denied).is_valid("x")
        with pytest.raises(GrammarUnsupportedError):
            compile_graph(denied)
