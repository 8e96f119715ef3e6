"""Random schemas against random values: what a graph accepts, the `jsonschema` package accepts."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from random_schemas import REFUSED, compiled, newer_schemas, older_schemas, quick, values, verdict

from decoding.errors import GrammarUnsatisfiableError
from decoding.grammar.schema import compile_graph
from decoding.testing.schema_members import is_member


def compare(schema: Any, validator: Any, candidates: list[Any]) -> None:
    try:
        graph = compiled(schema)
    except REFUSED:
        return
    for value in candidates:
        member = graph is not None and is_member(graph, graph.root, value)
        valid = verdict(validator, value)
        if member:
            assert valid is not False, (schema, value)
        elif graph is None or not graph.restrictions:
            assert not valid, (schema, value)


@quick
@given(newer_schemas, newer_schemas, newer_schemas, st.lists(values, min_size=1, max_size=8))
def test_members_are_the_valid_values(root: Any, one: Any, other: Any, candidates: Any) -> None:
    schema = root if isinstance(root, bool) else {**root, "$defs": {"a": one, "b": other}}
    if not isinstance(schema, bool):
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    compare(schema, Draft202012Validator(schema), candidates)


@quick
@given(older_schemas, older_schemas, older_schemas, st.lists(values, min_size=1, max_size=8))
def test_members_are_the_valid_values_of_draft_7(
    root: Any, one: Any, other: Any, candidates: Any
) -> None:
    schema = root if isinstance(root, bool) else {**root, "$defs": {"a": one, "b": other}}
    if not isinstance(schema, bool):
        schema["$schema"] = "http://json-schema.org/draft-07/schema#"
    compare(schema, Draft7Validator(schema), candidates)


@quick
@given(newer_schemas, newer_schemas, st.lists(values, min_size=1, max_size=8))
def test_a_conjunction_has_the_members_of_both(one: Any, other: Any, candidates: Any) -> None:
    try:
        graph = compile_graph({"prefixItems": [one, other], "$defs": {"a": True, "b": True}})
        shape = next(shape for shape in graph.node(graph.root).arrays)
        parts = shape.prefix
        if len(parts) < 2:
            return
        both = graph.conjunction(parts)
    except (*REFUSED, GrammarUnsatisfiableError):
        return
    assert graph.node(both) is graph.node(both)
    for value in candidates:
        member = is_member(graph, both, value)
        apart = all(is_member(graph, part, value) for part in parts)
        assert not member or apart, value
        assert member or not apart or graph.restrictions, value
