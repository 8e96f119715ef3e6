"""Checks, when a schema is compiled, that masks can be made for every reachable node.

Automata, object types and array plans are built lazily, when a text first needs them. The check
makes sure, for all nodes that texts can reach, that these stay within their limits. A schema that
exceeds a limit is refused with a JSON pointer, so no text fails half-way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from decoding.errors import GrammarLimitError
from decoding.grammar.json.keys import check_keys
from decoding.grammar.json.records import MOST_WAYS, array_alternative
from decoding.grammar.json.shapes import ArrayShape, Graph, Node, ObjectShape
from decoding.grammar.numbers.canonical import canonical_numbers
from decoding.grammar.numbers.forms import spelled_numbers
from decoding.grammar.regular import operations
from decoding.grammar.regular.counted import counted, counted_automata
from decoding.grammar.regular.expressions import Characters, Expression, Not, Repeat, Words
from decoding.grammar.regular.nfa import Spelling
from decoding.grammar.regular.work import count
from decoding.grammar.schema.report import Remark
from decoding.kernels.grammar import layout

_POINT_STEPS, _RANGE_STEPS = 100, 4_000  # of making the automaton of one number, or of a range
_ITEM_STEPS = 4  # cost of each item that has its own schema, in steps of work
_COUNTED = 16  # counts of characters that always fit beside an automaton
_SURELY = 100_000
"""Languages without intersections and complements of this size always fit in an automaton."""


class LocatedGraph(Graph, Protocol):
    """A graph that knows the JSON pointers of its nodes."""

    def where(self, number: int) -> str:
        """The JSON pointer of a schema that a node comes from."""


def check_reachable(graph: LocatedGraph) -> tuple[Remark, ...]:
    """Raise `GrammarLimitError` unless masks can be made for every node that texts can reach.

    Returns remarks on values that are left out, because they have too many alternatives.
    """
    seen = {graph.root}
    pending = [graph.root]
    remarks: list[Remark] = []
    while pending:
        number = pending.pop()
        node = graph.node(number)
        refused: list[str] = []
        try:
            leads_to = set(_checked(graph, node, refused))
            if len(node.arrays) + len(node.objects) > layout.MAX_SET:
                _count_numbers(graph.node(one) for one in leads_to)
        except GrammarLimitError as error:
            if error.where:
                raise
            raise GrammarLimitError(graph.where(number), error.what, error.limit) from error
        if len(node.objects) > layout.MAX_SET:
            sentence = (
                f"of nested objects with more than {layout.MAX_SET} alternatives each,"
                f" {MOST_WAYS:,} combinations are followed; values of other combinations are never"
                " produced"
            )
            remarks.append(Remark(graph.where(number), "object", sentence))
        for where in dict.fromkeys(refused):
            sentence = (
                "keys in several patterns are left out, as their conditions cannot be combined"
            )
            remarks.append(Remark(where, "patternProperties", sentence))
        pending += leads_to - seen
        seen |= leads_to
    return tuple(remarks)


def _count_numbers(nodes: Iterable[Node]) -> None:
    """Count the automata of numbers that one mask of many alternatives needs."""
    for numbers in {node.numbers for node in nodes}:
        for part in numbers:
            is_point = part.low is not None and part.low == part.high
            is_plain = part.low is part.high is None and not part.excluded
            count(0 if is_plain else _POINT_STEPS if is_point else _RANGE_STEPS)


def _checked(graph: Graph, node: Node, refused: list[str]) -> Iterator[int]:
    """Check that a node stays within the limits; yield the nodes of its items and properties."""
    _check_scalars(node, Spelling.JSON)
    for array in node.arrays:
        for item in _items(graph, array):
            if array.unique:
                _check_scalars(graph.node(item), Spelling.CANONICAL)
            yield item
    for shape in node.objects:
        yield from _values(graph, shape, refused)


def _check_scalars(node: Node, spelling: Spelling) -> None:
    if node.strings is not None and _may_fail(node.strings):
        counted_automata(node.strings, spelling)
    if any(one.step is not None or one.not_steps for one in node.numbers):
        spelled_numbers(node.numbers) if spelling is Spelling.JSON else canonical_numbers(
            node.numbers
        )


def _may_fail(language: Expression) -> bool:
    """Whether the automaton of a language may exceed the limits."""
    parts = list(counted(language))
    return sum(part.bounded for part in parts) > _COUNTED or any(
        operations.has_logic(part.language) or operations.fold(part.language, _size) > _SURELY
        for part in parts
    )


def _size(node: Expression, parts: list[int]) -> int:
    """An estimate of the number of characters of an expression, repetitions multiplied out."""
    if isinstance(node, Characters):
        return 1 + len(node.ranges) // 8
    if isinstance(node, Words):
        return sum(map(len, node.words))
    if isinstance(node, Repeat):
        return parts[0] * max(node.minimum, node.maximum or 0, 1)
    if isinstance(node, Not):
        raise TypeError(node)
    return sum(parts)


def _items(graph: Graph, shape: ArrayShape) -> Iterable[int]:
    """The nodes of the items of a shape; raises `GrammarLimitError` for too large a plan."""
    count(_ITEM_STEPS * len(shape.prefix))
    alternative = array_alternative(graph, 0, shape)
    if alternative.members:
        return {node for position in alternative.members for _, node in position}
    positions = range(len(shape.prefix) + 1)
    return {way.node for position in positions for way in alternative.plan.ways(position)}


def _values(graph: Graph, shape: ObjectShape, refused: list[str]) -> Iterable[int]:
    """The nodes of the property values of a shape."""
    found = {one.node for one in shape.properties} | {node for _, node in shape.patterns}
    found |= {shape.additional, *check_keys(graph, shape, refused)}
    return {node for node in found if node is not None and not graph.is_empty(node)}
