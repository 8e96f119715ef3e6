"""Large schemas: work that grows fast is avoided or counted, and limits say where they are met."""

from __future__ import annotations

from typing import Any

import pytest
from counted_work import at_most_calls

from decoding.errors import GrammarLimitError, GrammarUnsatisfiableError
from decoding.grammar.schema import SchemaLimits, compile_graph
from decoding.testing.schema_members import is_member


def _ranges(count: int) -> list[dict[str, Any]]:
    return [{"type": "integer", "minimum": 3 * i, "maximum": 3 * i + 1} for i in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: {"not": one}], ids=["is", "not"])
@pytest.mark.parametrize("keyword", ["oneOf", "anyOf"])
def test_many_disjoint_ranges_take_work_in_proportion(wrap: Any, keyword: str) -> None:
    # Every pair of 500 ranges alone would take 250,000 calls of each function on the way.
    with at_most_calls(5_000_000):
        graph = compile_graph(wrap({keyword: _ranges(500)}))
    negated = "not" in wrap({})
    for value in (0, 1, 3, 1_497, 1_498):
        assert is_member(graph, graph.root, value) != negated
    for value in (2, -1, 1_499, 1_500, 0.5):
        assert is_member(graph, graph.root, value) == negated


def test_ranges_that_all_overlap_are_counted() -> None:
    ranges = [{"type": "integer", "minimum": -i, "maximum": i} for i in range(300)]
    with pytest.raises(GrammarLimitError, match="seconds of work"):
        compile_graph({"oneOf": ranges}, limits=SchemaLimits(deadline_s=0.3))


@pytest.mark.parametrize("keyword", ["properties", "patternProperties"])
def test_patterns_are_counted(keyword: str) -> None:
    # Parsing one takes as long as merging twenty pairs of alternatives.
    schema = {keyword: {f"k{i}": {"type": "string", "pattern": f"^w{i}x$"} for i in range(300)}}
    with pytest.raises(GrammarLimitError, match="seconds of work"):
        compile_graph(schema, limits=SchemaLimits(deadline_s=0.04))


def test_many_tagged_settings_are_no_work_of_seconds() -> None:
    """Settings as of a build tool, `oneOf` by a tag that the first branch excludes: 0.6 s of a core.

    To merge the constraints of two branches takes microseconds, and there are very many to merge.
    """
    tags = [f"@build:{number}" for number in range(19)]
    kinds: list[dict[str, Any]] = [{"type": "boolean"}, {"type": "string"}]
    kinds.append({"oneOf": [{"type": "boolean"}, {"type": "object", "maxProperties": 3}]})
    kinds.append({"type": "array", "items": {"anyOf": [{"type": "object"}, {"type": "string"}]}})
    free = {"type": "object", "additionalProperties": {"type": "object"}}
    custom = {"builder": {"type": "string", "not": {"enum": tags}}, "configurations": free}
    branches: list[dict[str, Any]] = [{"properties": custom, "required": ["builder"]}]
    definitions = {}
    for number, tag in enumerate(tags):
        settings = {f"p{number % 3}{place}": kinds[place % 4] for place in range(30)}
        required = [f"p{number % 3}0"]
        definitions[f"settings{number}"] = {"properties": settings, "required": required}
        own = {"$ref": f"#/definitions/settings{number}"}
        several = {"type": "object", "additionalProperties": own}
        asked = {"builder": {"const": tag}, "options": own, "configurations": several}
        branches.append({"properties": {**asked, "defaultConfiguration": {"type": "string"}}})
    for one in (*branches, *definitions.values()):
        one |= {"type": "object", "additionalProperties": False}
    target = {"type": "object", "additionalProperties": {"oneOf": branches}}
    compile_graph(
        {"definitions": definitions, "properties": {"targets": target}},
        limits=SchemaLimits(deadline_s=2.0),
    )


@pytest.mark.slow
@pytest.mark.parametrize("of", [lambda i: {"a": i}, lambda i: [i]], ids=["objects", "arrays"])
def test_too_many_constants_are_refused_before_they_are_compiled(of: Any) -> None:
    with pytest.raises(GrammarLimitError) as caught, at_most_calls(4_000_000):
        compile_graph({"enum": [of(i) for i in range(100_000)]})
    assert caught.value.where == "/enum"


def test_many_constants_of_few_scalars_are_compiled() -> None:
    graph = compile_graph({"enum": [{f"k{i}": i % 3} for i in range(1_000)]})
    assert is_member(graph, graph.root, {"k999": 0})


def test_steps_of_which_numbers_are_no_multiples_are_counted() -> None:
    # 50 primes: each is divided by each other one at every further branch.
    primes = [n for n in range(2, 230) if all(n % d for d in range(2, n))]
    branches = [{"type": "integer", "multipleOf": prime} for prime in primes]
    with pytest.raises(GrammarLimitError, match="seconds of work"):
        compile_graph({"oneOf": branches}, limits=SchemaLimits(deadline_s=0.3))


def test_unique_items_of_many_schemas_are_counted() -> None:
    items = [{"type": "integer", "minimum": i} for i in range(300)]
    schema = {"type": "array", "prefixItems": items, "uniqueItems": True}
    with pytest.raises(GrammarLimitError, match="seconds of work"):
        compile_graph(schema, limits=SchemaLimits(deadline_s=0.3))


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({"const": {"\ud800": 1}}, "/const"),
        ({"enum": [{"\ud800": 1}]}, "/enum"),
        ({"const": {"a": {"\ud800": 1}}}, "/const"),
        ({"const": [{"\ud800": 1}]}, "/const"),
    ],
)
def test_keys_of_constants_with_a_lone_surrogate_are_refused_where_they_stand(
    schema: dict[str, Any], where: str
) -> None:
    with pytest.raises(GrammarUnsatisfiableError, match="surrogate") as caught:
        compile_graph(schema)
    assert caught.value.where == where


def test_limits_of_contains_say_where() -> None:
    conditions = [{"contains": {"const": i}, "minContains": 100} for i in range(2)]
    array = {"type": "array", "allOf": conditions}
    with pytest.raises(GrammarLimitError, match="counts") as caught:
        compile_graph({"properties": {"a": array}, "required": ["a"], "type": "object"})
    assert caught.value.where.startswith("/properties/a")
