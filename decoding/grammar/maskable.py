"""What a graph may say that masks cannot hold yet."""

from __future__ import annotations

from decoding.errors import GrammarUnsupportedError
from decoding.grammar.shapes import ArrayShape, Graph, Node


def check_maskable(graph: Graph) -> None:
    """Raise `GrammarUnsupportedError` if arrays must have distinct items or few of some kind.

    Both need a memory of the items that came before; the error names the keyword and the root.
    """
    seen = {graph.root}
    stack = [graph.root]
    while stack:
        node = graph.node(stack.pop())
        for array in node.arrays:
            _check(array)
        for number in _parts(node):
            if number not in seen:
                seen.add(number)
                stack.append(number)


def _check(array: ArrayShape) -> None:
    if array.unique:
        raise GrammarUnsupportedError("", "uniqueItems", "masks do not compare items")
    if any(contained.maximum is not None for contained in array.contains):
        raise GrammarUnsupportedError("", "maxContains", "masks do not count items up to a bound")


def _parts(node: Node) -> list[int]:
    """The nodes of the items and properties of a node."""
    numbers: list[int | None] = []
    for array in node.arrays:
        numbers += [*array.prefix, array.rest, *(contained.node for contained in array.contains)]
    for shape in node.objects:
        numbers += [declared.node for declared in shape.properties]
        numbers += [shape.additional, *(number for _, number in shape.patterns)]
    return [number for number in numbers if number is not None]
