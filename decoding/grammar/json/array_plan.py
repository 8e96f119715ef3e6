"""Decides which items an array may take next so that all its conditions can still be met."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import inf, prod
from typing import TypeAlias

from decoding.errors import GrammarLimitError
from decoding.grammar.json.shapes import ArrayShape, Contains

Meet: TypeAlias = Callable[[tuple[int, ...]], int]
"""Gives the node of the values that are members of all of some nodes."""
IsEmpty: TypeAlias = Callable[[int], bool]
Counts: TypeAlias = tuple[int, ...]
"""For each `contains` condition, the number of items that count for it, up to a cap."""

MAX_COUNTS = 500
"""The most combinations of counts of several `contains` conditions."""


@dataclass(frozen=True, slots=True)
class Way:
    """A possible item: a node, and the `contains` conditions that its members count for."""

    node: int
    counts: tuple[int, ...]


def ways_of(contains: Sequence[Contains]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield each set of `contains` conditions an item may count for, with the nodes it is in.

    For a condition with a maximum, an item that does not count for it is in the node `outside`.
    """
    for chosen in product((False, True), repeat=len(contains)):
        pairs = list(zip(contains, chosen, strict=True))
        nodes = [one.node if taken else one.outside for one, taken in pairs]
        counts = tuple(index for index, taken in enumerate(chosen) if taken)
        yield counts, tuple(node for node in nodes if node is not None)


class ArrayPlan:
    """The possible continuations of a partly written array of one shape.

    If `shape.contains` has several conditions, none of them has a maximum.
    """

    def __init__(self, shape: ArrayShape, meet: Meet, is_empty: IsEmpty) -> None:
        self.shape = shape
        self._positions = len(shape.prefix)
        rest = () if shape.rest is None else (shape.rest,)
        options = list(ways_of(shape.contains))
        found = []
        for item in (*shape.prefix, *rest):
            ways = (Way(meet((item, *nodes)) if nodes else item, c) for c, nodes in options)
            found.append(tuple(way for way in ways if not is_empty(way.node)))
        self._ways = found if rest else [*found, ()]
        self._caps = tuple(
            one.minimum if one.maximum is None else one.maximum for one in shape.contains
        )
        self._known: dict[tuple[int, Counts], bool] = {}
        self._fewest: dict[Counts, float] = {}
        several = len(shape.contains) > 1
        if several and prod(one.minimum + 1 for one in shape.contains) > MAX_COUNTS:
            raise GrammarLimitError("", "combinations of `contains` counts", MAX_COUNTS)

    @property
    def first(self) -> Counts:
        """The counts of an empty array."""
        return (0,) * len(self._caps)

    @cached_property
    def cap(self) -> int:
        """The number of items from which on larger numbers make no difference."""
        if self.shape.maximum is not None:
            return self.shape.maximum
        return max(self.shape.minimum, self._positions)

    def ways(self, count: int) -> tuple[Way, ...]:
        """The possible items after `count` items, whatever has been counted."""
        return self._ways[min(count, self._positions)]

    def added(self, counts: Counts, way: tuple[int, ...]) -> Counts | None:
        """The counts after one more item; `None` where a maximum is exceeded."""
        found = list(counts)
        for index in way:
            if found[index] < self._caps[index]:
                found[index] += 1
            elif self.shape.contains[index].maximum is not None:
                return None
        return tuple(found)

    def is_whole(self, count: int, counts: Counts) -> bool:
        """Whether an array with `count` items and these counts is valid as it is."""
        shape = self.shape
        if count < shape.minimum or (shape.maximum is not None and count > shape.maximum):
            return False
        return all(n >= one.minimum for n, one in zip(counts, shape.contains, strict=True))

    def is_possible(self, count: int, counts: Counts) -> bool:
        """Whether further items can make the array valid."""
        key = min(count, self.cap + 1), counts
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._decided(count, counts)
        return known

    def _decided(self, count: int, counts: Counts) -> bool:
        maximum = self.shape.maximum
        reached = {counts}
        while True:
            if any(self.is_whole(count, one) for one in reached):
                return True
            if maximum is not None and count >= maximum:
                return False
            if count >= self._positions:
                return any(self._ends(count, one) for one in reached)
            following = {self.added(one, way.counts) for one in reached for way in self.ways(count)}
            reached = {one for one in following if one is not None}
            count += 1

    def _ends(self, count: int, counts: Counts) -> bool:
        """Whether an array past its prefix, which is not valid yet, can be completed."""
        shape, ways = self.shape, self.ways(count)
        if not ways:
            return False
        owed = max(shape.minimum - count, 0)
        room = inf if shape.maximum is None else shape.maximum - count
        if len(counts) != 1 or shape.contains[0].maximum is None:
            due = tuple(max(c.minimum - n, 0) for c, n in zip(shape.contains, counts, strict=True))
            items = max(owed, self._items_for(due))
            return items < inf and items <= room
        condition, done = shape.contains[0], counts[0]
        counting = any(way.counts for way in ways)
        most = (condition.maximum or 0) - done if counting else 0
        owed_of_it = max(condition.minimum - done, 0)
        items = max(owed, owed_of_it)
        if any(not way.counts for way in ways):
            return owed_of_it <= most and items <= room
        return items <= min(most, room)

    def _items_for(self, due: Counts) -> float:
        """The fewest items past the prefix that raise the counts by `due`; ∞ where none do."""
        if not any(due):
            return 0
        if len(due) == 1:
            return due[0] if any(way.counts for way in self._ways[-1]) else inf
        known = self._fewest.get(due)
        if known is None:
            known = inf
            for way in self._ways[-1]:
                less = tuple(max(n - (i in way.counts), 0) for i, n in enumerate(due))
                if less != due:
                    known = min(known, 1 + self._items_for(less))
            self._fewest[due] = known
        return known
