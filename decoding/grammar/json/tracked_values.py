"""Numbers the up to 1,024 values of unique array items; one node for each binary digit.

Value number i, from 1, is a member of the node of each binary digit of i that is 1. So ten nodes
identify a thousand values. The nodes exclude values that the array already has, so that an item
that has begun can always be completed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from decoding.grammar.json.cardinality import MAX_VALUES, may_differ, members
from decoding.grammar.json.shapes import Graph


class TrackedValues:
    """The numbered values that a unique-items array may have at each position; which are left.

    A set of values is an integer whose bit i stands for value i. Nodes are made on first use.
    """

    def __init__(self, graph: Graph, values: Sequence[Any], items: Sequence[int]) -> None:
        """items: the node of each position; the last one also of all later positions."""
        self._graph, self._values, self._items = graph, values, items
        numbers = {value_key(value): number for number, value in enumerate(values)}
        found = []
        for item in items:
            own = members(graph.node(item), MAX_VALUES) or ()
            kept = (numbers.get(value_key(value)) for value in own)
            found.append(sum(1 << number for number in kept if number is not None))
        self._allowed = found

    def allowed(self, position: int) -> int:
        """The values that the item at a position may have."""
        return self._allowed[min(position, len(self._allowed) - 1)]

    def can_follow(self, used: int, count: int, minimum: int) -> bool:
        """Whether items `count` to `minimum` can differ from each other and from `used`."""
        due = range(count, minimum)
        if not due:
            return True
        if len(self._allowed) == 1:
            return (self._allowed[0] & ~used).bit_count() >= len(due)
        return may_differ([self.allowed(position) for position in due], used)

    def nodes(self, position: int, used: int, minimum: int) -> Iterator[tuple[int, int]]:
        """For the next item: pairs of the node of a binary digit, and the digit's value."""
        left = self.allowed(position) & ~used
        chosen = [number for number in range(len(self._values)) if left >> number & 1]
        if position + 1 < minimum and len(self._allowed) > 1:
            chosen = [
                number
                for number in chosen
                if self.can_follow(used | 1 << number, position + 1, minimum)
            ]
        item = self._items[min(position, len(self._items) - 1)]
        for bit in range(len(self._values).bit_length()):
            values = [self._values[number] for number in chosen if number + 1 >> bit & 1]
            if values:
                yield self._graph.restrict_to(item, values), 1 << bit

    def value(self, bits: int) -> int:
        """The set of the one value with the number `bits`."""
        return 1 << bits - 1


def value_key(value: object) -> object:
    """A dictionary key that is equal for equal JSON scalars; `true` is not equal to 1."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return type(value), value
    return Fraction(value) if isinstance(value, int | float | Decimal) else value
