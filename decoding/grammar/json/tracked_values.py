"""Items out of a few thousand values, each of which an array has at most once.

What an item was is told by votes: value number i, from 1, is in the node of every bit of i. So a
dozen nodes tell thousands of values apart. The nodes leave out what the array has already, so that
a text which has begun can always be ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from decoding.grammar.json.cardinality import MAX_VALUES, may_differ, members
from decoding.grammar.json.shapes import Graph


class TrackedValues:
    """The values that the items of an array may have, by position.

    Sets of values are integers: bit i stands for value i. Nodes are made when they are first asked
    for.
    """

    def __init__(self, graph: Graph, values: Sequence[Any], items: Sequence[int]) -> None:
        """items: the node of each position; the last one of all that follow, unless none may."""
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
        """Whether the items from `count` to `minimum` can all differ, and from what is used."""
        due = range(count, minimum)
        if not due:
            return True
        if len(self._allowed) == 1:
            return (self._allowed[0] & ~used).bit_count() >= len(due)
        return may_differ([self.allowed(position) for position in due], used)

    def nodes(self, position: int, used: int, minimum: int) -> Iterator[tuple[int, int]]:
        """For the next item: the node of each bit of a value's number, and the bit."""
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
        """The set of the one value whose number has these bits."""
        return 1 << bits - 1


def value_key(value: object) -> object:
    """Equal for JSON scalars that are equal; truth values are no numbers."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return type(value), value
    return Fraction(value) if isinstance(value, int | float | Decimal) else value
