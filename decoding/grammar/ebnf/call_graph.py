"""Graph algorithms on the calls between rules: topological order and strong components."""

from __future__ import annotations

from collections.abc import Sequence


def back_edges(targets: Sequence[Sequence[int]], start: int) -> tuple[list[int], set[int]]:
    """The nodes reachable from `start` in postorder, and the targets of back edges.

    The order is topological, called rules first, once the edges to those targets are removed.
    """
    order: list[int] = []
    entered: set[int] = set()
    open_, done = {start}, set()
    path = [(start, 0)]
    while path:
        node, index = path.pop()
        if index < len(targets[node]):
            path.append((node, index + 1))
            target = targets[node][index]
            if target in open_:
                entered.add(target)
            elif target not in done:
                open_.add(target)
                path.append((target, 0))
        else:
            open_.discard(node)
            done.add(node)
            order.append(node)
    return order, entered


def components(targets: Sequence[Sequence[int]]) -> list[list[int]]:
    """The strongly connected components, in topological order.

    Source: R. Tarjan 1972, "Depth-first search and linear graph algorithms".
    """
    number: dict[int, int] = {}
    lowest: dict[int, int] = {}
    pending: list[int] = []
    settled: set[int] = set()
    found: list[list[int]] = []
    for root in range(len(targets)):
        path = [] if root in number else [(root, 0)]
        while path:
            node, index = path.pop()
            if index == 0:
                number[node] = lowest[node] = len(number)
                pending.append(node)
            elif targets[node][index - 1] not in settled:
                lowest[node] = min(lowest[node], lowest[targets[node][index - 1]])
            if index < len(targets[node]):
                path.append((node, index + 1))
                target = targets[node][index]
                if target not in number:
                    path.append((target, 0))
            elif lowest[node] == number[node]:
                component: list[int] = []
                while not component or component[-1] != node:
                    component.append(pending.pop())
                settled.update(component)
                found.append(sorted(component))
    return found[::-1]
