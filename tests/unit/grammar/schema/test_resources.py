"""References to further documents, which are given and never fetched."""

from typing import Any

import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4, DRAFT202012

from decoding.errors import GrammarSyntaxError, GrammarUnsupportedError
from decoding.grammar.schema import compile_graph
from decoding.testing.schema_members import is_member

ROOT: dict[str, Any] = {
    "$id": "https://x.test/schemas/root.json",
    "properties": {"a": {"$ref": "names.json#/$defs/name"}, "b": {"$ref": "#/properties/a"}},
}
NAMES: dict[str, Any] = {
    "$defs": {"name": {"type": "string", "maxLength": {"long": 3}["long"]}},
    "type": "object",
}


@pytest.mark.parametrize(
    "resources",
    [
        {"https://x.test/schemas/names.json": NAMES},
        {"https://x.test/schemas/names.json#": NAMES},
        {"names.json": NAMES},
        Registry().with_resource("https://x.test/schemas/names.json", Resource(NAMES, DRAFT202012)),
    ],
    ids=["absolute", "fragment", "relative", "registry"],
)
def test_a_reference_leads_to_a_document_that_is_given(resources: Any) -> None:
    graph = compile_graph(ROOT, resources=resources)
    for key in ("a", "b"):
        assert is_member(graph, graph.root, {key: "abc"})
        assert not is_member(graph, graph.root, {key: "abcd"})


@pytest.mark.parametrize("bundle_is_last", [False, True])
def test_a_document_that_is_given_goes_before_a_part_of_another(bundle_is_last: bool) -> None:
    # As in bundles, whose parts keep the names of the files that they were made of.
    name, text = "https://x.test/name.json", {"type": "string"}
    bundle = {"definitions": {"name": {"$id": name, "type": "integer"}}, "properties": {}}
    given = [(name, text), ("https://x.test/bundle.json", bundle)]
    schema = {"properties": {"a": {"$ref": name}, "b": {"$ref": "https://x.test/bundle.json"}}}
    graph = compile_graph(schema, resources=dict(given if bundle_is_last else given[::-1]))
    assert is_member(graph, graph.root, {"a": "x", "b": {}})
    assert not is_member(graph, graph.root, {"a": 1})


def test_documents_refer_to_each_other_and_back() -> None:
    tree = {"properties": {"up": {"$ref": "root.json"}, "n": {"$ref": "b.json"}}}
    root = {"$id": "https://x.test/root.json", "type": "object", "$ref": "tree.json"}
    resources = {
        "https://x.test/tree.json": {"$id": "https://x.test/tree.json", **tree},
        "https://x.test/b.json": {"type": "integer"},
    }
    graph = compile_graph(root, resources=resources)
    assert is_member(graph, graph.root, {"up": {"up": {"n": 1}}})
    assert not is_member(graph, graph.root, {"up": {"up": {"n": "1"}}})
    assert not is_member(graph, graph.root, {"up": 1})


def test_each_document_is_of_its_own_draft() -> None:
    old = {"$schema": "http://json-schema.org/draft-04/schema#", "type": "integer"}
    schema = {"properties": {"a": {"$ref": "old.json"}, "b": {"type": "integer"}}}
    for resources in (
        {"old.json": old},
        Registry().with_resource("old.json", DRAFT4.create_resource(old)),
    ):
        graph = compile_graph(schema, resources=resources)
        assert is_member(graph, graph.root, {"a": 4, "b": 4.0})
        assert not is_member(graph, graph.root, {"a": 4.0})


def test_nothing_is_fetched() -> None:
    def retrieve(uri: str) -> Any:
        raise AssertionError(uri)

    registry: Any = Registry(retrieve=retrieve)
    for resources in (None, {}, registry, {"other.json": NAMES}):
        with pytest.raises(GrammarUnsupportedError) as caught:
            compile_graph(ROOT, resources=resources)
        assert caught.value.where == "/properties/a/$ref"
        assert "nothing is fetched" in str(caught.value)
        assert "resources={'names.json'" in str(caught.value)


def test_a_document_that_has_no_such_schema_is_named() -> None:
    with pytest.raises(GrammarUnsupportedError, match="has no such schema"):
        compile_graph(ROOT, resources={"names.json": {"$defs": {}}})


@pytest.mark.parametrize(
    "resources", [{"names.json": "{}"}, {"names.json": None}, {3: {}}, {"names.json": [1]}]
)
def test_resources_are_schemas_by_uri(resources: Any) -> None:
    with pytest.raises(GrammarSyntaxError, match="resources map URIs to schemas"):
        compile_graph(ROOT, resources=resources)


def test_keywords_of_a_wrong_type_are_refused_in_a_further_document() -> None:
    with pytest.raises(GrammarSyntaxError, match="minimum must be a number"):
        compile_graph({"$ref": "a.json"}, resources={"a.json": {"minimum": "3"}})
    compile_graph({"type": "null"}, resources={"a.json": {"minimum": "3"}})  # it is not read
