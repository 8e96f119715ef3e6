"""The growing arrays in which automata and types are written, and how parts get into them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from decoding.errors import GrammarLimitError
from decoding.grammar.automaton import Nfa
from decoding.grammar.free_strings import FREE
from decoding.kernels.grammar import layout as at
from decoding.kernels.grammar import subsets
from decoding.kernels.grammar.jit import COMPILED
from decoding.kernels.grammar.step import FREE_BETWEEN, FREE_LABEL

MAX_FIELDS = 1 << 26
"""256 MB of int32."""


class Arena:
    """One int32 array of records that only grows, and the hash table of its automaton states.

    fields: the array; `fields[layout.FREE]` is its first free offset.
    table: offsets of automaton states, a power of two long.
    """

    __slots__ = ("fields", "table")

    def __init__(self) -> None:
        # Without a compiler NumPy's scalars would overflow where machine code widens.
        kind = np.int32 if COMPILED else np.int64
        self.fields = np.zeros(1 << 20, kind)
        self.fields[at.FREE] = at.HEAD
        self.table = np.zeros(1 << 14, np.int32)

    def take(self, size: int) -> int:
        """The offset of `size` new fields, all 0."""
        offset = int(self.fields[at.FREE])
        if offset + size + (1 << 16) > len(self.fields):
            self._lengthen(size)
        self.fields[at.FREE] = offset + size
        return offset

    def write(self, values: Sequence[int] | NDArray[np.int32]) -> int:
        """The offset of a copy of some values."""
        offset = self.take(len(values))
        self.fields[offset : offset + len(values)] = values
        return offset

    def retried(self, kernel: Callable[[], int]) -> int:
        """What a kernel answers once it has the room it needs."""
        said = kernel()
        while said == at.NEEDS_ROOM:
            self.make_room()
            said = kernel()
        return said

    def make_room(self) -> None:
        """Lengthen what is short: the table, else the fields."""
        if 3 * int(self.fields[at.HASH_USED]) > len(self.table):
            table = np.zeros(4 * len(self.table), np.int32)
            subsets.rehash(self.fields, self.table, table)
            self.table = table
        else:
            self._lengthen(0)

    def _lengthen(self, size: int) -> None:
        used = int(self.fields[at.FREE])
        length = 2 * len(self.fields)
        while length < used + size + (1 << 18):
            length *= 2
        if length > MAX_FIELDS:
            raise GrammarLimitError("", "fields of automata", MAX_FIELDS)
        fields = np.zeros(length, self.fields.dtype)
        fields[:used] = self.fields[:used]
        self.fields = fields

    def automaton(
        self,
        parts: Sequence[tuple[Nfa, int]],
        names: int = 0,
        reach: NDArray[np.int64] | None = None,
    ) -> int:
        """The state before the first byte of a union of automata; 0 if nothing is in any.

        parts: each automaton with the number of the element that it accepts.
        names: elements below this are names of keys; the others are bits of a label.
        reach: for every state of the union, in order, the words of keys it leads to.
        """
        states = sum(part.states for part, _ in parts)
        if states == 0:
            return at.DEAD
        counts = np.concatenate([np.bincount(p.edges[:, 0], minlength=p.states) for p, _ in parts])
        rows = np.zeros(states + 1, np.int64)
        np.cumsum(counts, out=rows[1:])
        elements = np.zeros(states, np.int64)
        edges, starts, base = [], [], 0
        for part, element in parts:
            edges.append(part.edges[:, 1:] + np.array((0, 0, base)))
            starts.append(part.starts + base)
            elements[part.accepts + base] = element + 1
            base += part.states
        loose = np.concatenate([part.loose for part, _ in parts])
        return self.begin(
            rows, np.concatenate(edges).ravel(), elements, loose, np.concatenate(starts), names,
            reach,
        )  # fmt: skip

    def begin(
        self,
        rows: NDArray[np.int64],
        edges: NDArray[np.int64],
        elements: NDArray[np.int64],
        loose: NDArray[np.int8],
        starts: NDArray[np.int64],
        names: int,
        reach: NDArray[np.int64] | None,
    ) -> int:
        """Write an automaton given as arrays; the state before its first byte."""
        states = len(elements)
        words = 0 if reach is None else reach.shape[1]
        head = self.take(at.AUTOMATON_SIZE + 3 * states + 1 + len(edges) + states * words)
        fields = self.fields
        place = head + at.AUTOMATON_SIZE
        for field, values in (
            (at.ROWS_AT, rows),
            (at.EDGES_AT, edges),
            (at.ELEMENT_AT, elements),
            (at.LOOSE_AT, loose),
            (at.REACH_AT, None if reach is None else reach.ravel()),
        ):
            fields[head + field] = place
            if values is not None:
                fields[place : place + len(values)] = values
                place += len(values)
        fields[head + at.WORDS] = words
        fields[head + at.NAMES] = names
        start = self.retried(lambda: subsets.begin(self.fields, self.table, head, starts))
        self.fields[head + at.START] = start
        return start

    def free_string(self) -> int:
        r"""The state before the first character of any string, with every escape that JSON has.

        Its states are FREE: what they accept is said by the kind of value, not by a label. A pair
        of surrogate escapes is one character; half a pair is none.
        """
        first = self.take(at.STATE_WORDS * len(FREE))
        offsets = [first + at.STATE_WORDS * index for index in range(len(FREE))]
        for index, (offset, edges) in enumerate(zip(offsets, FREE, strict=True)):
            for low, high, target in edges:
                self.fields[offset + low : offset + high + 1] = offsets[target]
            self.fields[offset + at.LOOSE] = FREE_BETWEEN + index
        self.fields[first + at.LABEL_LOW] = FREE_LABEL
        return first
