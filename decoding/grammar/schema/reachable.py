"""What texts of a schema may come to need, checked when it is compiled.

Automata, types of objects and plans of arrays are made when a text first needs them. Whether they
can be made is found here, for every node that a text may come to: a schema of which some part
cannot be made is refused with the pointer of that part, not in the middle of a text.
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
from decoding.grammar.schema.report import Remark
from decoding.kernels.grammar import layout

_SURELY = 100_000
"""Characters of a language without logic of which an automaton can be made for certain."""


class LocatedGraph(Graph, Protocol):
    """A graph that knows where its nodes come from."""

    def where(self, number: int) -> str:
        """The JSON pointer of a schema that a node comes from."""


def check_reachable(graph: LocatedGraph) -> tuple[Remark, ...]:
    """Raise `GrammarLimitError` unless everything that a text may need can be made.

    Returns the restrictions that values with very many alternatives bring.
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
        except GrammarLimitError as error:
            if error.where:
                raise
            raise GrammarLimitError(graph.where(number), error.what, error.limit) from error
        if len(node.objects) > layout.MAX_SET:
            sentence = (
                f"of objects with more than {layout.MAX_SET} alternatives inside one another, "
                f"{MOST_WAYS:,} combinations are followed; what fits others alone is never produced"
            )
            remarks.append(Remark(graph.where(number), "object", sentence))
        for where in dict.fromkeys(refused):
            sentence = "keys in several patterns are never produced, as all of these cannot be held"
            remarks.append(Remark(where, "patternProperties", sentence))
        pending += leads_to - seen
        seen |= leads_to
    return tuple(remarks)


def _checked(graph: Graph, node: Node, refused: list[str]) -> Iterator[int]:
    """Yield the nodes that a node leads to, once what it consists of can be made."""
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
    """Whether the automaton of a language could be too large."""
    return any(
        operations.has_logic(part.language) or operations.fold(part.language, _size) > _SURELY
        for part in counted(language)
    )


def _size(node: Expression, parts: list[int]) -> int:
    """About how many characters a language without logic has, all copies counted."""
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
    """The nodes of the items of arrays."""
    alternative = array_alternative(graph, 0, shape)
    if alternative.members:
        return {node for position in alternative.members for _, node in position}
    positions = range(len(shape.prefix) + 1)
    return {way.node for position in positions for way in alternative.plan.ways(position)}


def _values(graph: Graph, shape: ObjectShape, refused: list[str]) -> Iterable[int]:
    """The nodes of the values in objects."""
    found = {one.node for one in shape.properties} | {node for _, node in shape.patterns}
    found |= {shape.additional, *check_keys(graph, shape, refused)}
    return {node for node in found if node is not None and not graph.is_empty(node)}
