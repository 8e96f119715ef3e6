"""States of partly generated JSON arrays; their kernel records are made when first needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from decoding.grammar.json.array_plan import ArrayPlan, Counts
from decoding.grammar.json.cardinality import may_differ
from decoding.grammar.json.tracked_values import TrackedValues
from decoding.grammar.regular.lazy_dfa import LazyDfa
from decoding.kernels.grammar import layout
from decoding.kernels.grammar.layout import ARRAY_STATE, MOVE

_LOW = (1 << layout.WORD) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Alternative:
    """One shape that an array may have, and its vote: the number of the node with the shape.

    members: for unique items with few values: for each position, pairs of a value's bit and the
        node of an item of that value; the last position stands for all later ones.
    tracked: the values of unique items that have more values.
    """

    vote: int
    plan: ArrayPlan
    members: tuple[tuple[tuple[int, int], ...], ...] = ()
    tracked: TrackedValues | None = None

    @property
    def remembers(self) -> bool:
        """Whether the texts of earlier items are remembered, because later items must differ."""
        return self.plan.shape.unique and not self.members and self.tracked is None

    def at(self, position: int) -> tuple[tuple[int, int], ...]:
        """The pairs of `members` at a position."""
        return self.members[min(position, len(self.members) - 1)]

    def is_possible(self, count: int, progress: Progress) -> bool:
        """Whether further items can complete the array."""
        if not self.plan.is_possible(count, progress.counts):
            return False
        if self.tracked is not None:
            return self.tracked.can_follow(progress.used, count, self.plan.shape.minimum)
        if not self.members or count >= self.plan.shape.minimum:
            return True
        due = range(count, self.plan.shape.minimum)
        choices = [sum(bit for bit, _ in self.at(position)) for position in due]
        return may_differ(choices, progress.used)

    def items(self, count: int, progress: Progress) -> Iterator[tuple[int, Gain]]:
        """The possible nodes of the next item, each with its gain."""
        if self.tracked is not None:
            maximum, minimum = self.plan.shape.maximum, self.plan.shape.minimum
            if maximum is None or count < maximum:
                for node, bit in self.tracked.nodes(count, progress.used, minimum):
                    yield node, Gain((), bit)
            return
        if self.members:
            for bit, node in self.at(count):
                if not bit & progress.used:
                    yield node, Gain((), bit)
            return
        for way in self.plan.ways(count):
            yield way.node, Gain(way.counts, 0)

    def after(self, progress: Progress, gains: Sequence[Gain]) -> Progress | None:
        """The progress after an item with these gains; `None` where `maxContains` is exceeded."""
        conditions = sorted({one for gain in gains for one in gain.counts})
        counts = self.plan.added(progress.counts, tuple(conditions))
        bits = 0
        for gain in gains:
            bits |= gain.bit
        used = progress.used | (bits if self.tracked is None else self.tracked.value(bits))
        return None if counts is None else Progress(counts, used)


class Progress(NamedTuple):
    """The counts of `contains` conditions so far, and the bits of the values that were used."""

    counts: Counts
    used: int = 0


class Gain(NamedTuple):
    """The `contains` conditions that an item counts for, and the bit of its value or 0."""

    counts: tuple[int, ...]
    bit: int


@dataclass(frozen=True, slots=True)
class _State:
    """The number of items, up to a cap, and the alternatives that still match."""

    count: int
    left: tuple[tuple[int, Progress], ...]


class ArrayStates:
    """The array states of one value: which shapes still match, and each state's kernel record.

    value: writes the record of an item that may be a member of some nodes; its second argument says
    whether each scalar has one spelling only. Every state can be completed.
    """

    def __init__(
        self,
        dfa: LazyDfa,
        alternatives: Sequence[Alternative],
        value: Callable[[tuple[int, ...], bool], int],
    ) -> None:
        self._dfa, self._alternatives, self._value = dfa, alternatives, value
        self._cap = max(one.plan.cap for one in alternatives)
        self._states: dict[int, _State] = {}
        self._places: dict[_State, int] = {}
        # By state and vote of the next item: pairs of an alternative and a gain.
        self._votes: dict[int, list[list[tuple[int, Gain]]]] = {}

    def first(self) -> int:
        """The state of an empty array."""
        empty = [(index, Progress(one.plan.first)) for index, one in enumerate(self._alternatives)]
        return self._place(_State(0, tuple(empty)))

    def item(self, place: int) -> tuple[int, ...]:
        """Write the record of an array state's next item.

        Returns nothing, or several states where one record cannot hold all nodes of the item.
        """
        state = self._states[place]
        votes: dict[int, list[tuple[int, Gain]]] = {}
        for index, progress in state.left:
            alternative = self._alternatives[index]
            for node, gain in alternative.items(state.count, progress):
                after = alternative.after(progress, (gain,))
                if alternative.tracked is not None or (
                    after is not None and alternative.is_possible(state.count + 1, after)
                ):
                    votes.setdefault(node, []).append((index, gain))
        canonical = any(self._alternatives[index].remembers for index, _ in state.left)
        nodes = tuple(votes)
        if len(nodes) <= layout.MAX_SET:
            self._votes[place] = list(votes.values())
            value = self._value(nodes, canonical) if nodes else 0
            self._dfa.fields[place + ARRAY_STATE.ITEM] = value
            return ()
        several = []
        for first in range(0, len(nodes), layout.MAX_SET):
            part = nodes[first : first + layout.MAX_SET]
            value = self._value(part, canonical)
            fields = self._dfa.fields
            one = self._dfa.write(
                [value, *fields[place + 1 : place + ARRAY_STATE.MOVES].tolist(), 0]
            )
            self._states[one], self._votes[one] = state, [votes[node] for node in part]
            several.append(one)
        self._dfa.fields[place + ARRAY_STATE.ITEM] = layout.SEVERAL
        return tuple(several)

    def move(self, place: int, votes: int, again: int) -> None:
        """Write the state after an item that is a member of the nodes in `votes`.

        again: 1 if an earlier item is equal, else 0.
        """
        state = self._states[place]
        met: dict[int, list[Gain]] = {}
        for vote, meanings in enumerate(self._votes[place]):
            if votes >> vote & 1:
                for index, gain in meanings:
                    met.setdefault(index, []).append(gain)
        left = []
        for index, progress in state.left:
            alternative = self._alternatives[index]
            if index in met and not (again and alternative.plan.shape.unique):
                after = alternative.after(progress, met[index])
                if after is not None:
                    left.append((index, after))
        following = _State(min(state.count + 1, self._cap), tuple(left))
        target = self._place(following) if left else 0
        move = self._dfa.write([0, votes & _LOW, votes >> layout.WORD, again, target])
        fields = self._dfa.fields
        fields[move + MOVE.NEXT] = fields[place + ARRAY_STATE.MOVES]
        fields[place + ARRAY_STATE.MOVES] = move

    def _place(self, state: _State) -> int:
        known = self._places.get(state)
        if known is None:
            votes = 0
            for index, progress in state.left:
                alternative = self._alternatives[index]
                if alternative.plan.is_whole(state.count, progress.counts):
                    votes |= 1 << alternative.vote
            known = self._dfa.write([-1, votes & _LOW, votes >> layout.WORD, 0])
            self._places[state], self._states[known] = known, state
        return known
