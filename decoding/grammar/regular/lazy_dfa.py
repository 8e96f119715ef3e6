"""Deterministic automata whose states are made when first needed, in one growing array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from decoding.errors import GrammarLimitError
from decoding.grammar.regular.any_string import ANY_STRING
from decoding.grammar.regular.nfa import Nfa
from decoding.kernels.grammar import layout, subsets
from decoding.kernels.grammar.layout import AUTOMATON, HEAD, STATE

if TYPE_CHECKING:
    from decoding.grammar.regular.counted import Bounds

MAX_FIELDS = 1 << 25
"""128 MiB of int32."""
_OFFSETS = (1 << 31) - 1
"""Fields are referred to by int32."""

_fill_row: Callable[..., int] = subsets.fill_row
"""It runs as Python, which reads memory views faster than arrays."""


class RoomError(GrammarLimitError):
    """Raised where the states that are stored for texts would take more memory than allowed.

    Matchers never raise it: the states are dropped, and those that a text needs are made again.
    """


class LazyDfa:
    """The states of deterministic automata, made when first needed, in one int32 array that grows.

    The array also holds the automata that states are made of, and the records of JSON types
    (`decoding.kernels.grammar.layout`). Each method that writes raises `RoomError` where the array
    would be too long.

    fields: the array; `fields[HEAD.FREE]` is its first free offset.
    table: offsets of automaton states, a power of two long.
    fields_view, table_view: these arrays as memory views, which give Python's own numbers.
    is_full: whether the array once had no room for what was to be written.
    """

    __slots__ = ("_most", "fields", "fields_view", "is_full", "table", "table_view")

    def __init__(self, room: int = 1 << 20, scale: int = 1) -> None:
        """Make an empty array.

        room: fields that are there at once, a power of two; none takes memory until written.
        scale: at most `scale` · `MAX_FIELDS` fields are allowed.
        """
        self._most = min(max(MAX_FIELDS * scale, room), _OFFSETS)
        self.is_full = False
        self._take_fields(np.zeros(room, np.int32))
        self._take_table(np.zeros(room >> 6, np.int32))
        self.fields[HEAD.FREE] = layout.HEAD_END

    def take(self, size: int) -> int:
        """Append `size` fields that are all 0; returns their offset."""
        offset = int(self.fields[HEAD.FREE])
        if offset + size + (1 << 16) > len(self.fields):
            self._lengthen(size)
        self.fields[HEAD.FREE] = offset + size
        # Kernels use the fields behind the end as scratch.
        self.fields[offset : offset + size] = 0
        return offset

    def write(self, values: Sequence[int] | NDArray[np.int32]) -> int:
        """Append a copy of some values; returns its offset."""
        offset = self.take(len(values))
        self.fields[offset : offset + len(values)] = values
        return offset

    def retried(self, kernel: Callable[[], int]) -> int:
        """The answer of a kernel; while it asks for room, it gets more and is called again."""
        answer = kernel()
        while answer == layout.NEEDS_ROOM:
            self.make_room()
            answer = kernel()
        return answer

    def fill(self, state: int) -> None:
        """Compute the row of next states of a state."""
        self.retried(lambda: _fill_row(self.fields_view, self.table_view, state))

    def make_room(self) -> None:
        """Lengthen the hash table if it is too full, else the array of fields."""
        if 3 * int(self.fields[HEAD.HASH_USED]) > len(self.table):
            table = np.zeros(4 * len(self.table), np.int32)
            subsets.rehash(self.fields, self.table, table)
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
        self.fields, self.fields_view = fields, fields.data

    def _take_table(self, table: NDArray[np.int32]) -> None:
        self.table, self.table_view = table, table.data

    def add_automaton(
        self,
        parts: Sequence[tuple[Nfa, int | NDArray[np.int64]]],
        names: int = 0,
        reach: NDArray[np.int64] | None = None,
        bounds: Sequence[Bounds | None] = (),
    ) -> int:
        """Add the union of some automata; returns its state before the first byte, or `DEAD`.

        parts: each automaton, with the number of the element that its accepting states accept, or
            with one number for each of them.
        names: elements below this are names of keys; the others are bits of a label.
        reach: for every state of the union, in order, the keys that it leads to, as words.
        bounds: for each automaton, the bounds on the number of characters of its strings.
        """
        states = sum(part.states for part, _ in parts)
        if states == 0:
            return layout.DEAD
        if any(bound is not None for bound in bounds):
            # The first of a state's members tells whether a character ends: it must be one of an
            # automaton that counts, if there is one.
            order = sorted(range(len(parts)), key=lambda place: bounds[place] is None)
            parts, bounds = [parts[i] for i in order], [bounds[i] for i in order]
        words = 0 if reach is None else reach.shape[1]
        edges = sum(len(part.edges) for part, _ in parts)
        head = self.take(layout.AUTOMATON_SIZE + 3 * states + 1 + 3 * edges + states * words)
        fields = self.fields
        rows = head + layout.AUTOMATON_SIZE
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
        return self.retried(lambda: subsets.begin(self.fields, self.table, head, starts))

    def _count(self, head: int, states: int, bounds: Sequence[tuple[Bounds | None, int]]) -> None:
        """Write the bounds on characters of an automaton, so that its states count them.

        bounds: of each part, with the part's first state.
        """
        parts_of, between = self.take(states), self.take(states)
        most, enough, certain_from, certain_until = 0, 0, 0, (1 << 31) - 1
        for bound, first in bounds:
            if bound is None:
                continue
            table = self.write(bound.table.ravel())
            maximum = -1 if bound.maximum is None else bound.maximum
            part = self.write([first, bound.minimum, maximum, bound.table.shape[1], table])
            last = first + len(bound.between)
            self.fields[parts_of + first : parts_of + last] = part
            self.fields[between + first : between + last] = bound.between
            most = max(most, bound.minimum, maximum + 1)
            enough = max(enough, bound.minimum)
            certain_from = max(certain_from, 0 if bound.is_minimum_certain else bound.minimum)
            if bound.maximum is not None:
                certain_until = min(certain_until, bound.maximum - int(bound.table[:, 0].max()))
        fields = self.fields
        fields[head + AUTOMATON.PARTS], fields[head + AUTOMATON.BETWEEN] = parts_of, between
        fields[head + AUTOMATON.MOST], fields[head + AUTOMATON.ENOUGH] = most, enough
        fields[head + AUTOMATON.CERTAIN_FROM] = certain_from
        fields[head + AUTOMATON.CERTAIN_UNTIL] = certain_until

    def add_any_string(self) -> int:
        r"""Add the automaton of any JSON string; returns its state before the first character.

        It knows every escape of JSON: a pair of surrogate escapes is one character, half a pair is
        none. What its accepting states accept is answer by the value, not by a label.
        """
        first = self.take(layout.STATE_SIZE * len(ANY_STRING))
        offsets = [first + layout.STATE_SIZE * index for index in range(len(ANY_STRING))]
        for index, (offset, edges) in enumerate(zip(offsets, ANY_STRING, strict=True)):
            for low, high, target in edges:
                self.fields[offset + low : offset + high + 1] = offsets[target]
            self.fields[offset + STATE.UNIVERSAL] = layout.ANY_STRING_BETWEEN + index
            self.fields[offset + STATE.CHARACTERS] = -1
        self.fields[first + STATE.LABEL_LOW] = layout.ANY_STRING_LABEL
        return first
