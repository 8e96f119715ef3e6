"""The growing arrays in which automata and types are written, and how parts get into them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from decoding.errors import GrammarLimitError
from decoding.grammar.regular.any_string import ANY_STRING
from decoding.grammar.regular.nfa import Nfa
from decoding.kernels.grammar import subsets
from decoding.kernels.grammar.jit import shared
from decoding.kernels.grammar.layout import (
    ANY_STRING_BETWEEN,
    ANY_STRING_LABEL,
    AUTOMATON,
    AUTOMATON_SIZE,
    DEAD,
    HEAD,
    HEAD_SIZE,
    NEEDS_ROOM,
    STATE,
    STATE_SIZE,
)

if TYPE_CHECKING:
    from decoding.grammar.regular.counted import Bounds

MAX_FIELDS = 1 << 25
"""128 MiB of int32."""
_OFFSETS = (1 << 31) - 1
"""Fields are referred to by int32."""


class RoomError(GrammarLimitError):
    """What is stored of texts takes all the memory that it may take.

    Matchers never raise it: what was stored is dropped, and what a text needs is made again.
    """


class LazyDfa:
    """One int32 array of records that only grows, and the hash table of its automaton states.

    Each method that writes raises `RoomError` where the array would be too long.

    fields: the array; `fields[HEAD.FREE]` is its first free offset.
    table: offsets of automaton states, a power of two long.
    shared_fields, shared_table: both as kernels take them.
    is_full: whether it once had no room for what was to be written.
    """

    __slots__ = ("_most", "fields", "is_full", "shared_fields", "shared_table", "table")

    def __init__(self, room: int = 1 << 20, scale: int = 1) -> None:
        """Make an empty array.

        room: fields that are there at once, a power of two; none takes memory until written.
        scale: `MAX_FIELDS` times so many fields are allowed.
        """
        self._most = min(max(MAX_FIELDS * scale, room), _OFFSETS)
        self.is_full = False
        self._take_fields(np.zeros(room, np.int32))
        self._take_table(np.zeros(room >> 6, np.int32))
        self.fields[HEAD.FREE] = HEAD_SIZE

    def take(self, size: int) -> int:
        """The offset of `size` new fields, all 0."""
        offset = int(self.fields[HEAD.FREE])
        if offset + size + (1 << 16) > len(self.fields):
            self._lengthen(size)
        self.fields[HEAD.FREE] = offset + size
        # Kernels leave what they no longer need behind the end.
        self.fields[offset : offset + size] = 0
        return offset

    def write(self, values: Sequence[int] | NDArray[np.int32]) -> int:
        """The offset of a copy of some values."""
        offset = self.take(len(values))
        self.fields[offset : offset + len(values)] = values
        return offset

    def retried(self, kernel: Callable[[], int]) -> int:
        """What a kernel answers once it has the room it needs."""
        said = kernel()
        while said == NEEDS_ROOM:
            self.make_room()
            said = kernel()
        return said

    def fill(self, state: int) -> None:
        """Make the next states of a state."""
        # Only its own row: there is room for no other state.
        alone = shared(np.zeros(1, np.int64))
        self.retried(lambda: subsets.expand(self.shared_fields, self.shared_table, state, alone))

    def make_room(self) -> None:
        """Lengthen what is short: the table, else the fields."""
        if 3 * int(self.fields[HEAD.HASH_USED]) > len(self.table):
            table = np.zeros(4 * len(self.table), np.int32)
            subsets.rehash(self.shared_fields, self.shared_table, shared(table))
            self._take_table(table)
        else:
            self._lengthen(0)

    def _lengthen(self, size: int) -> None:
        used = int(self.fields[HEAD.FREE])
        length = 2 * len(self.fields)
        while length < used + size + (1 << 18):
            length *= 2
        if length > self._most:
            self.is_full = True
            if self._most == _OFFSETS:
                raise MemoryError(f"one step takes more than {4 * _OFFSETS:,} bytes of automata")
            raise RoomError("", "fields of automata", self._most)
        fields = np.zeros(length, self.fields.dtype)
        fields[:used] = self.fields[:used]
        self._take_fields(fields)

    def _take_fields(self, fields: NDArray[np.int32]) -> None:
        self.fields, self.shared_fields = fields, shared(fields)

    def _take_table(self, table: NDArray[np.int32]) -> None:
        self.table, self.shared_table = table, shared(table)

    def add_automaton(
        self,
        parts: Sequence[tuple[Nfa, int | NDArray[np.int64]]],
        names: int = 0,
        reach: NDArray[np.int64] | None = None,
        bounds: Sequence[Bounds | None] = (),
    ) -> int:
        """The state before the first byte of a union of automata; 0 if nothing is in any.

        parts: each automaton with the number of the element that it accepts, or with one for each
            of its accepting states.
        names: elements below this are names of keys; the others are bits of a label.
        reach: for every state of the union, in order, the words of keys it leads to.
        bounds: for each automaton, what bounds the characters of its strings.
        """
        states = sum(part.states for part, _ in parts)
        if states == 0:
            return DEAD
        words = 0 if reach is None else reach.shape[1]
        edges = sum(len(part.edges) for part, _ in parts)
        head = self.take(AUTOMATON_SIZE + 3 * states + 1 + 3 * edges + states * words)
        fields = self.fields
        rows = head + AUTOMATON_SIZE
        edges_at = rows + states + 1
        elements = edges_at + 3 * edges
        universal = elements + states
        base, done = 0, 0
        endless = all(bound is None or bound.maximum is None for bound in bounds)
        for part, element in parts:
            counts = np.bincount(part.edges[:, 0], minlength=part.states)
            endless = endless and bool(counts.all())
            first = rows + base + 1
            fields[first : first + part.states] = done + np.cumsum(counts)
            moves = part.edges[:, 1:] + np.array((0, 0, base))
            fields[edges_at + 3 * done : edges_at + 3 * (done + len(moves))] = moves.ravel()
            fields[elements + base + part.accepts] = element + 1
            fields[universal + base : universal + base + part.states] = part.universal
            base, done = base + part.states, done + len(moves)
        if reach is not None:
            fields[universal + states : universal + states * (1 + words)] = reach.ravel()
        fields[head + AUTOMATON.ROWS] = rows
        fields[head + AUTOMATON.EDGES] = edges_at
        fields[head + AUTOMATON.ELEMENTS] = elements
        fields[head + AUTOMATON.UNIVERSAL] = universal
        fields[head + AUTOMATON.REACH] = universal + states
        fields[head + AUTOMATON.WORDS] = words
        fields[head + AUTOMATON.NAMES] = names
        fields[head + AUTOMATON.ENDLESS] = endless
        bases = np.cumsum([0, *(part.states for part, _ in parts)])
        if any(bound is not None for bound in bounds):
            self._count(
                head, states, [(b, int(first)) for b, first in zip(bounds, bases, strict=False)]
            )
        starts = np.concatenate(
            [part.starts + b for (part, _), b in zip(parts, bases, strict=False)]
        )
        return self.retried(
            lambda: subsets.begin(self.shared_fields, self.shared_table, head, shared(starts))
        )

    def _count(self, head: int, states: int, bounds: Sequence[tuple[Bounds | None, int]]) -> None:
        """Let an automaton count characters.

        bounds: for each of its parts, with the part's first state.
        """
        places, between = self.take(states), self.take(states)
        most, enough, certain_from, certain_until = 0, 0, 0, (1 << 31) - 1
        for bound, first in bounds:
            if bound is None:
                continue
            table = self.write(bound.table.ravel())
            maximum = -1 if bound.maximum is None else bound.maximum
            part = self.write([first, bound.minimum, maximum, bound.table.shape[1], table])
            last = first + len(bound.between)
            self.fields[places + first : places + last] = part
            self.fields[between + first : between + last] = bound.between
            most = max(most, bound.minimum, maximum + 1)
            enough = max(enough, bound.minimum)
            certain_from = max(certain_from, 0 if bound.is_minimum_certain else bound.minimum)
            if bound.maximum is not None:
                certain_until = min(certain_until, bound.maximum - int(bound.table[:, 0].max()))
        fields = self.fields
        fields[head + AUTOMATON.PARTS], fields[head + AUTOMATON.BETWEEN] = places, between
        fields[head + AUTOMATON.MOST], fields[head + AUTOMATON.ENOUGH] = most, enough
        fields[head + AUTOMATON.CERTAIN_FROM] = certain_from
        fields[head + AUTOMATON.CERTAIN_UNTIL] = certain_until

    def add_any_string(self) -> int:
        r"""The state before the first character of any string, with every escape that JSON has.

        Its states are ANY_STRING: what they accept is said by the kind of value, not by a label. A pair
        of surrogate escapes is one character; half a pair is none.
        """
        first = self.take(STATE_SIZE * len(ANY_STRING))
        offsets = [first + STATE_SIZE * index for index in range(len(ANY_STRING))]
        for index, (offset, edges) in enumerate(zip(offsets, ANY_STRING, strict=True)):
            for low, high, target in edges:
                self.fields[offset + low : offset + high + 1] = offsets[target]
            self.fields[offset + STATE.UNIVERSAL] = ANY_STRING_BETWEEN + index
            self.fields[offset + STATE.CHARACTERS] = -1
        self.fields[first + STATE.LABEL_LOW] = ANY_STRING_LABEL
        return first
