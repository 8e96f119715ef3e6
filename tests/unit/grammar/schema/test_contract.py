"""What is refused, restricted, dropped or too much; and what a graph looks like."""

import itertools
import os
import pickle
import subprocess
import sys
import time
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from counted_work import at_most_calls
from random_texts import byte_machine

from decoding.errors import (
    GrammarLimitError,
    GrammarSyntaxError,
    GrammarUnsatisfiableError,
    GrammarUnsupportedError,
)
from decoding.grammar import compile_json_schema
from decoding.grammar.json.shapes import Node, ObjectShape, Property
from decoding.grammar.regular.expressions import ANY_CHARACTER, ANY_STRING, Repeat, Words
from decoding.grammar.regular.work import STEPS_A_SECOND
from decoding.grammar.schema import SchemaLimits, compile_graph
from decoding.testing.schema_members import is_member


@pytest.mark.parametrize(
    ("schema", "where", "keyword"),
    [
        ({"items": {"pattern": r"(a)\1"}}, "/items/pattern", "pattern"),
        (
            {"items": {"type": "array"}, "uniqueItems": True, "minItems": 2, "type": "array"},
            "/uniqueItems",
            "uniqueItems",
        ),
        ({"patternProperties": {r"(a)\1": {}}}, "/patternProperties", "patternProperties"),
        ({"type": "array", "not": {"uniqueItems": True}}, "/not/uniqueItems", "uniqueItems"),
    ],
)
def test_what_is_refused_is_named_and_may_be_dropped(schema: Any, where: str, keyword: str) -> None:
    with pytest.raises(GrammarUnsupportedError) as caught:
        compile_graph(schema)
    assert (caught.value.where, caught.value.keyword) == (where, keyword)
    graph = compile_graph(schema, on_unsupported="ignore")
    assert keyword in {remark.keyword for remark in graph.dropped}
    assert not graph.is_empty(graph.root)


def test_what_is_dropped_inside_of_a_negation_drops_the_negation() -> None:
    graph = compile_graph({"not": {"pattern": r"(a)\1"}}, on_unsupported="ignore")
    assert is_member(graph, graph.root, "aa")


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({"type": "integer", "minimum": 5, "maximum": 3}, "/maximum"),
        (False, ""),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "/allOf/1"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "/properties/a"),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "string", "enum": [1]}},
                "required": ["a"],
            },
            "/properties/a/enum",
        ),
        (
            {
                "type": "array",
                "minItems": 1,
                "items": {"minLength": 3, "maxLength": 2, "type": "string"},
            },
            "/items/maxLength",
        ),
        (
            {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]},
            "/properties/next",
        ),
        ({"type": "string", "pattern": "^a{5}$", "maxLength": 4}, "/maxLength"),
        ({"type": "object", "required": ["a", "b"], "maxProperties": 1}, "/maxProperties"),
        (
            {"type": "object", "additionalProperties": False, "minProperties": 1},
            "/minProperties",
        ),
        (
            {"type": "object", "propertyNames": {"enum": ["a", "b"]}, "minProperties": 3},
            "/minProperties",
        ),
        (
            {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True, "minItems": 3},
            "/minItems",
        ),
        (
            {"type": "array", "items": {"type": "string"}, "contains": {"type": "integer"}},
            "/contains",
        ),
        ({"oneOf": [True, True]}, "/oneOf"),
        # A format elsewhere has nothing to do with it.
        (
            {
                "type": "object",
                "properties": {"a": {"format": "date"}, "b": {"type": "string", "const": 1}},
                "required": ["b"],
            },
            "/properties/b/const",
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"minimum": 3, "type": "integer"}},
                "allOf": [{"properties": {"a": {"maximum": 2}}}],
                "required": ["a"],
            },
            "/allOf/0/properties/a",
        ),
        (
            {
                "type": "object",
                "dependentRequired": {"a": ["b"]},
                "properties": {"b": False},
                "required": ["a"],
            },
            "/required",
        ),
    ],
)
def test_what_nothing_satisfies(schema: Any, where: str) -> None:
    with pytest.raises(GrammarUnsatisfiableError) as caught:
        compile_graph(schema)
    assert caught.value.where == where


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "text"},
        {"minimum": "3"},
        {"multipleOf": 0},
        {"minLength": -1},
        {"maxItems": 1.5},
        {"required": "a"},
        {"required": [1]},
        {"properties": []},
        {"properties": {"a": 1}},
        {"anyOf": {}},
        {"enum": "a"},
        {"prefixItems": {}},
        {"pattern": "("},
        {"pattern": 1},
        {"$ref": 1},
        {"minimum": float("nan")},
    ],
)
def test_what_is_no_schema(schema: Any) -> None:
    with pytest.raises(GrammarSyntaxError):
        compile_graph(schema)


def nested(levels: int, keyword: str) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(levels):
        schema = {keyword: [schema]}
    return schema


def chain(links: int, link: Any) -> Any:
    definitions: dict[str, Any] = {str(n): link(f"#/$defs/{n + 1}") for n in range(links)}
    return {"$defs": {**definitions, str(links): {"type": "string"}}, "$ref": "#/$defs/0"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "schema",
    [
        nested(10_000, "allOf"),
        nested(400, "allOf"),
        nested(400, "anyOf"),
        nested(400, "oneOf"),
        chain(3_000, lambda target: {"$ref": target}),
        chain(3_000, lambda target: {"allOf": [{"$ref": target}]}),
        chain(3_000, lambda target: {"properties": {"a": {"$ref": target}}, "required": ["a"]}),
        {"allOf": [{"anyOf": [{"required": [f"{n}{m}"]} for m in range(10)]} for n in range(6)]},
        {"type": "string", "maxLength": 20_000},
        {"type": "array", "maxItems": 5_000},
        {"oneOf": [{"type": "string", "pattern": f"^a{n}x"} for n in range(100)]},
        {"dependentRequired": {f"k{n}": [f"k{n + 1}"] for n in range(3_000)}},
    ],
    ids=range(12),
)
def test_what_is_deep_or_large_ends_soon(schema: Any) -> None:
    with at_most_calls(2_000_000), suppress(GrammarLimitError):
        graph = compile_graph(schema)
        graph.node(graph.root)


def test_what_nests_as_deep_as_is_allowed_is_compiled_copied_and_pickled() -> None:
    machine = byte_machine()
    for inside in (
        lambda one: {"properties": {"a": one}},
        lambda one: {"items": one},
        lambda one: [one],
    ):
        deep: Any = {}
        for _ in range(SchemaLimits().nesting // 2 - 1):
            deep = inside(deep)
        schema = {"const": deep} if isinstance(deep, list) else deep
        grammar = compile_json_schema(schema, machine)
        assert (
            pickle.loads(pickle.dumps(grammar)).restrictions == grammar.restrictions
        )  # written here
        for _ in range(500):
            deep = inside(deep)
        with pytest.raises(GrammarLimitError, match="nesting"):
            compile_json_schema({"const": deep} if isinstance(deep, list) else deep, machine)


def test_limits_are_the_callers() -> None:
    schema = {"properties": {"a": {"type": "string"}, "b": {"type": "null"}}}
    with pytest.raises(GrammarLimitError, match="nodes"):
        compile_graph(schema, limits=SchemaLimits(nodes=3))
    with pytest.raises(GrammarLimitError, match="nesting"):
        compile_graph(schema, limits=SchemaLimits(nesting=2))
    with pytest.raises(GrammarLimitError, match="seconds"):
        compile_graph(schema, limits=SchemaLimits(deadline_s=0.0))


def test_the_limit_is_on_work_and_not_on_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same schema is refused, or not, however fast the machine is."""
    schema = {"properties": {f"p{n}": {"type": "string", "maxLength": n} for n in range(200)}}

    def compiles(seconds: float) -> bool:
        try:
            compile_graph(schema, limits=SchemaLimits(deadline_s=seconds))
        except GrammarLimitError:
            return False
        return True

    enough = next(n for n in range(1, 100) if compiles(n / 1_000))
    assert enough > 1
    for clock in ("monotonic", "perf_counter", "process_time", "thread_time", "time"):
        monkeypatch.setattr(time, clock, itertools.count(0, 10**9).__next__)  # a machine at a crawl
    for _ in range(3):
        assert compiles(enough / 1_000)
        assert not compiles((enough - 1) / 1_000)


def test_unknown_formats_are_annotations_unless_formats_are_strict() -> None:
    schema = {"type": "string", "format": "no-such-format"}
    assert compile_graph(schema).notes
    with pytest.raises(GrammarUnsupportedError):
        compile_graph(schema, format="strict")


def test_known_formats_are_enforced_unless_they_are_annotations() -> None:
    schema = {"format": "date"}
    graph = compile_graph(schema)
    assert is_member(graph, graph.root, "2024-02-29")
    assert not is_member(graph, graph.root, "2024-13-45")
    graph = compile_graph(schema, format="annotation")
    assert is_member(graph, graph.root, "2024-13-45")


def test_restrictions_are_listed_and_sound() -> None:
    schema = {
        "type": "object",
        "not": {"patternProperties": {"^x": {"type": "string"}}, "required": ["a"]},
    }
    graph = compile_graph(schema)
    assert graph.restrictions
    assert is_member(graph, graph.root, {"x": "s"})  # `a` is missing
    assert not is_member(graph, graph.root, {"a": 1, "x": "s"})


def test_strings_keep_their_plain_forms() -> None:
    def strings(schema: Any) -> Any:
        graph = compile_graph(schema)
        return graph.node(graph.root).strings

    assert strings({"type": "string"}) == ANY_STRING
    assert strings({"minLength": 1, "maxLength": 3}) == Repeat(ANY_CHARACTER, 1, 3)
    assert strings({"allOf": [{"minLength": 1}, {"maxLength": 3}]}) == Repeat(ANY_CHARACTER, 1, 3)
    assert strings({"enum": ["b", "a", 1]}) == Words(("a", "b"))
    assert strings({"enum": ["b", "abc"], "pattern": "^a"}) == Words(("abc",))
    assert strings({"type": "integer"}) is None


def test_shapes_say_nothing_of_what_cannot_occur() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "enum": [1]}, "b": True},
        "additionalProperties": {"allOf": [{"type": "string"}, {"type": "null"}]},
    }
    graph = compile_graph(schema)
    node = graph.node(graph.root)
    assert node == Node(objects=(ObjectShape((Property("a", None), Property("b", 0))),))
    graph = compile_graph({"type": "array", "prefixItems": [True, False], "items": True})
    (shape,) = graph.node(graph.root).arrays
    assert (len(shape.prefix), shape.rest, shape.maximum) == (1, None, 1)


@pytest.mark.slow
def test_equal_work_is_counted_in_every_process() -> None:
    """Hashes of strings differ from process to process, and the order of sets with them."""
    script = """
from decoding.grammar.schema import compilation, report
reports = []
plain = report.Report.__init__

def kept(self, *given):
    plain(self, *given)
    reports.append(self)

report.Report.__init__ = kept
branches = [{"properties": {f"p{i}": {"type": "string"}, "q": {"not": {"const": i}}},
             "required": [f"r{j}" for j in range(i)]} for i in range(12)]
compilation.compile_graph({"oneOf": branches, "not": {"required": ["a", "b", "c"]}})
print(reports[0].work.steps)
"""
    counts = set()
    for seed in ("1", "2", "3"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        counts.add(done.stdout)
    assert len(counts) == 1


def test_nodes_that_are_made_later_are_no_work_of_compiling() -> None:
    schema = {"prefixItems": [{"items": {"minimum": 1}}, {"items": {"type": "integer"}}]}
    steps = next(
        n for n in range(1, 10_000) if compiles_in(schema, n)
    )  # as few as there may be, so that none is left
    graph = compile_graph(schema, limits=SchemaLimits(deadline_s=steps / STEPS_A_SECOND))
    (shape,) = graph.node(graph.root).arrays
    assert not graph.is_empty(graph.conjunction(shape.prefix))


def compiles_in(schema: Any, steps: int) -> bool:
    with suppress(GrammarLimitError):
        compile_graph(schema, limits=SchemaLimits(deadline_s=steps / STEPS_A_SECOND))
        return True
    return False


def test_nodes_are_made_on_demand_too() -> None:
    graph = compile_graph({"prefixItems": [{"minimum": 1}, {"maximum": 0}, {"type": "integer"}]})
    (shape,) = graph.node(graph.root).arrays
    one, two, three = shape.prefix
    assert not graph.is_empty(graph.conjunction((one, two)))  # strings, for example
    assert graph.is_empty(graph.conjunction((one, two, three)))
    assert graph.conjunction((one, three)) == graph.conjunction((three, one))
    assert graph.conjunction((one,)) == one


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (
            {"$ref": "#/x", "x": 5},
            "/$ref: '#/x' must lead to a schema (an object or a boolean), not to 5",
        ),
        (
            {"type": "object", "$ref": "#/x", "x": [1]},
            "/$ref: '#/x' must lead to a schema (an object or a boolean), not to [1]",
        ),
        (
            {"properties": {1: {}}},
            "/properties: properties must be an object of schemas, not {1: {}}",
        ),
        (
            {"dependentRequired": {1: []}},
            "/dependentRequired: dependentRequired must be an object of lists of names, not {1: []}",
        ),
        ({"enum": [Decimal("sNaN")]}, "/enum: must be a number, not Decimal('sNaN')"),
        ({"$ref": "#"}, "/$ref: '#' leads back to itself: no value is defined"),
        ({"$schema": 5}, "/$schema: must be the URI of a draft, not 5"),
        (3, "the root: a schema must be an object or a boolean, not 3"),
    ],
)
def test_a_refusal_says_what_must_be_there_and_what_came(schema: Any, text: str) -> None:
    with pytest.raises(GrammarSyntaxError) as caught:
        compile_graph(schema)
    assert str(caught.value) == text


def test_a_schema_that_two_drafts_share_is_checked_by_both() -> None:
    shared = {"items": [{"type": "null"}]}  # 2020-12 has no lists here
    drafts = (
        "https://json-schema.org/draft/2020-12/schema",
        "http://json-schema.org/draft-07/schema#",
    )
    schema = {"allOf": [{"$schema": draft, "not": shared} for draft in drafts]}
    with pytest.raises(GrammarSyntaxError, match="/allOf/0/not/items: items must be a schema"):
        compile_graph(schema)
