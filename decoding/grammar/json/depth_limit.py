"""Restricts the graph of a JSON Schema's nodes to values of limited nesting depth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from decoding.grammar.json.shapes import ArrayShape, Graph, Node
from decoding.grammar.json.simplify import simplify_array, simplify_object


class DepthLimitedGraphs:
    """For each limit 0, 1, 2 …, the graph restricted to so many nested arrays and objects.

    In a graph of n nodes, every node that is not empty has a member of depth n or less. So deep
    limits do not restrict values near the root.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._known: list[DepthLimitedGraph] = [DepthLimitedGraph(graph, None)]

    def at(self, levels: int) -> DepthLimitedGraph:
        """The graph of the values with at most `levels` nested arrays and objects."""
        while len(self._known) <= levels:
            self._known.append(DepthLimitedGraph(self.graph, self._known[-1]))
        return self._known[levels]

    def has_all(self, numbers: Iterable[int], levels: int) -> bool:
        """Whether each of some nodes, none of them empty, has a member of this depth.

        All reachable nodes are decided level by level from 0 on, which bounds the recursion.
        """
        asked = tuple(numbers)
        undecided = _reachable(self.graph, asked)
        for level in range(levels + 1):
            shallow = self.at(level)
            undecided = [number for number in undecided if shallow.is_empty(number)]
            if not undecided:
                return True
        return not any(number in undecided for number in asked)


def _reachable(graph: Graph, numbers: Iterable[int]) -> list[int]:
    """The nodes that can be reached from some nodes, and these, without empty nodes."""
    found: dict[int, None] = {}
    pending = list(numbers)
    while pending:
        number = pending.pop()
        if number in found or graph.is_empty(number):
            continue
        found[number] = None
        node = graph.node(number)
        for array in node.arrays:
            pending += array.prefix
            pending += [] if array.rest is None else [array.rest]
            for one in array.contains:
                pending += [one.node] if one.outside is None else [one.node, one.outside]
        for shape in node.objects:
            pending += [one.node for one in shape.properties if one.node is not None]
            pending += [inner for _, inner in shape.patterns]
            pending += [] if shape.additional is None else [shape.additional]
    return list(found)


class DepthLimitedGraph:
    """A graph of the same nodes with the values of a limited depth.

    inner: the graph of items and property values, of a depth less by one; `None` at depth 0, where
    there are no arrays and objects.
    """

    def __init__(self, graph: Graph, inner: DepthLimitedGraph | None) -> None:
        self.root = graph.root
        self.inner = inner
        self._graph = graph
        self._nodes: dict[int, Node] = {}
        self.known_empty: dict[int, bool] = {}

    def __len__(self) -> int:
        return len(self._graph)

    def node(self, number: int) -> Node:
        """The node restricted to members within the depth."""
        known = self._nodes.get(number)
        if known is None:
            known = self._nodes[number] = self._restricted(self._graph.node(number))
        return known

    def conjunction(self, numbers: tuple[int, ...]) -> int:
        """See `shapes.Graph`."""
        return self._graph.conjunction(numbers)

    def restrict_to(self, number: int, values: Sequence[Any]) -> int:
        """See `shapes.Graph`; scalars have depth 0."""
        return self._graph.restrict_to(number, values)

    def is_empty(self, number: int) -> bool:
        """Whether the node has no member within the depth."""
        known = self.known_empty.get(number)
        if known is None:
            known = self._graph.is_empty(number) or self._lacks(number)
            self.known_empty[number] = known
        return known

    def _lacks(self, number: int) -> bool:
        # A member within a smaller depth is one within this depth.
        below = self.inner
        while below is not None:
            if below.known_empty.get(number) is False:
                return False
            below = below.inner
        whole = self._graph.node(number)
        if whole.null or whole.true or whole.false or whole.strings is not None or whole.numbers:
            return False
        node = self.node(number)
        return not (node.arrays or node.objects)

    def _restricted(self, node: Node) -> Node:
        inner = self.inner
        if inner is None:
            return replace(node, arrays=(), objects=())
        objects = (simplify_object(shape, inner.is_empty) for shape in node.objects)
        arrays = (_simplified(shape, inner) for shape in node.arrays)
        return replace(
            node,
            arrays=tuple(shape for shape in arrays if shape is not None),
            objects=tuple(shape for shape in objects if shape is not None),
        )


def _simplified(shape: ArrayShape, inner: DepthLimitedGraph) -> ArrayShape | None:
    # The unrestricted graph has decided whether there are enough different items.
    not_unique = replace(shape, unique=False)
    simplified = simplify_array(
        not_unique, inner.is_empty, inner.conjunction, lambda _, bound: bound
    )
    return None if simplified is None else replace(simplified, unique=shape.unique)
