"""A compiled grammar: states of a text, and for each the tokens that may come next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from decoding.errors import GrammarLimitError, GrammarUnsatisfiableError
from decoding.grammar.acceptor import REJECTED
from decoding.grammar.expressions import Expression
from decoding.grammar.shapes import Graph
from decoding.grammar.store import FULL, Store
from decoding.grammar.tables import JsonTables
from decoding.grammar.trie import EVERY_BYTE, Trie, chain
from decoding.kernels.grammar import layout as at
from decoding.kernels.grammar import step, walk
from decoding.kernels.grammar.nodes import copy_twins

MAX_FRAMES = 1 << 22
"""32 MiB of int64: 40,000 arrays in one another, in one text."""
MAX_CHAIN = 10_000
"""How deep a JSON text may nest."""
_MANY_STATES = 100_000
"""New texts begin with a new automaton then: so many states take about 60 MiB."""


class Automaton:
    """The texts of one grammar, as states that are numbered when they are first met.

    States are never changed: keeping a number is a rollback, copying it a fork.
    """

    def __init__(self, store: Store, white: int = 0) -> None:
        self.store = store
        self.tokens = store.tokens
        self._white = white
        self._frames = np.zeros(1 << 12, np.int64)
        self._known = np.zeros(1 << 8, np.int64)
        self._request = np.zeros(4, np.int64)
        self._chain = np.zeros(MAX_CHAIN, np.int64)
        self._places: list[NDArray[np.int64]] = []
        self._numbers: dict[bytes, int] = {}
        self._next: list[dict[int, int]] = []
        self._masks = store.masks
        self._numbered = store.masks.numbers()
        self._tables: JsonTables | None = None
        self._size = store.size

    @classmethod
    def of_expression(cls, store: Store, expression: Expression) -> Automaton:
        """The texts of a regular language."""
        automaton = cls(store)
        place = np.zeros(step.PLACE_SIZE, np.int64)
        place[step.MODE], place[step.AT] = at.TEXT, store.text(expression)
        if place[step.AT] == at.DEAD:
            raise GrammarUnsatisfiableError("offset 0", "no text matches")
        automaton._frames[0] = at.FRAME_WORDS
        automaton._number(place)
        return automaton

    @classmethod
    def of_graph(cls, store: Store, graph: Graph, white: int) -> Automaton:
        """The JSON texts of a schema.

        white: the longest run of white space between two JSON tokens.
        """
        automaton = cls(store, white)
        tables = automaton._tables = JsonTables(store, graph)
        kind = tables.root()
        frames = automaton._frames
        root = at.FRAME_WORDS
        frames[root + at.TYPE], frames[root + at.ALIVE] = kind, 1
        frames[root + at.ENTRY] = tables.entry_of_root(kind)
        frames[0] = 2 * at.FRAME_WORDS
        place = np.zeros(step.PLACE_SIZE, np.int64)
        # White space in front of the value is none of it.
        place[step.AT], place[step.NODE] = white, root
        fields = store.arena.fields
        place[step.VALUE] = fields[frames[root + at.ENTRY] + at.ENTRY_VALUE]
        automaton._number(place)
        return automaton

    @property
    def is_worn(self) -> bool:
        """Whether its states take so much memory that a new text better begins with a new one."""
        if len(self._places) > _MANY_STATES or 4 * len(self._frames) > MAX_FRAMES:
            return True
        return self.store.size > self._size + FULL

    @property
    def start(self) -> int:
        """The state before any text."""
        return 0

    def advance(self, state: int, token: int) -> int:
        """The state after one more token; REJECTED if it does not fit."""
        following = self._next[state].get(token)
        if following is None:
            known = 0 <= token < len(self.tokens.spelled)
            spelled = self.tokens.spelled[token] if known else b""
            following = self.follow(state, spelled) if spelled else REJECTED
            if following != REJECTED:
                self._next[state][token] = following
        return following

    def follow(self, state: int, text: bytes) -> int:
        """The state after some more bytes; REJECTED if they do not fit.

        There are at most as many as `trie.MAX_DEPTH`.
        """
        with self.store.lock:
            reached = np.zeros(1, np.uint32)
            places = self.store.room_for(len(text))
            self._walk(self._places[state], chain(text), reached)
            if not reached[0]:
                return REJECTED
            last = len(text) * step.PLACE_SIZE
            return self._number(places[last : last + step.PLACE_SIZE].copy())

    def accepts(self, state: int) -> bool:
        """Whether the text may end here."""
        place = self._places[state]
        mode = place[step.MODE]
        if mode == at.DONE:
            return True
        label = int(place[step.AT]) + at.LABEL_LOW
        fields = self.store.arena.fields
        if mode == at.TEXT:
            return bool(fields[label])
        at_root = self._frames[place[step.NODE] + at.PARENT] == 0
        return bool(mode == at.IN_NUMBER and at_root and fields[label])

    def mask(self, state: int) -> NDArray[np.uint32]:
        """The tokens that may come next, a bit each; not to be changed."""
        known = self._masks.get(self._numbered + state)
        if known is None:
            with self.store.lock:
                known = self._mask(state)
            for token in self.tokens.end_token_ids if self.accepts(state) else ():
                known[token >> 5] |= np.uint32(1 << (token & 31))
            self._masks.put(self._numbered + state, known)
        return known

    def next_bytes(self, state: int) -> bytes:
        """The bytes that may come next."""
        with self.store.lock:
            reached = np.zeros(8, np.uint32)
            self._walk(self._places[state], EVERY_BYTE, reached)
            bits = np.unpackbits(reached.view(np.uint8), bitorder="little")
            return np.flatnonzero(bits).astype(np.uint8).tobytes()

    def _mask(self, state: int) -> NDArray[np.uint32]:
        place = self._places[state]
        store = self.store
        if place[step.MODE] == at.TEXT:
            return store.text_mask(int(place[step.AT])).copy()
        base = self._base(place)
        if place[step.MODE] == at.IN_STRING:
            place = place.copy()
            place[step.AT] = store.alike(int(place[step.AT]))
        if base is None:
            mask = store.tokens.empty_mask()
            self._allow(place, store.tokens.bare, mask)
        else:
            mask = base.copy()
        self._allow(place, store.tokens.quoted, mask)
        return mask

    def _base(self, place: NDArray[np.int64]) -> NDArray[np.uint32] | None:
        """The tokens without a quote that may come next inside a string, where that is known."""
        mode, state = int(place[step.MODE]), int(place[step.AT])
        fields = self.store.arena.fields
        if mode == at.IN_STRING:
            longest = int(fields[place[step.VALUE] + at.LONGEST])
            if place[step.COUNT] >= 0 and longest >= 0:
                return self.store.bounded(state, longest - int(place[step.COUNT]))
            return self.store.base(state)
        if mode == at.IN_KEY and fields[state + at.LOOSE] >= 0:
            node = int(place[step.NODE])
            kind = int(self._frames[node + at.TYPE])
            if fields[kind + at.BOUNDED] or fields[kind + at.DISTINCT]:
                return None
            extra = int(fields[kind + at.EXTRA])
            if extra >= 0:
                word = int(self._frames[node + at.FRAME_WORDS + extra // at.WORD])
                allowed = word >> extra % at.WORD & 1 == 1
            else:
                everyone = (1 << int(fields[kind + at.ALTERNATIVES])) - 1
                allowed = int(self._frames[node + at.ALIVE]) == everyone
            return self.store.base(state) if allowed else None
        return None

    def _walk(
        self, start: NDArray[np.int64], nodes: NDArray[np.uint64], mask: NDArray[np.uint32]
    ) -> None:
        """Set the bits of the tokens of a trie that may follow a place."""
        store = self.store
        arena = store.arena
        said = at.NEEDS_ROOM
        while said != at.GOES_ON:
            place = store.places[: step.PLACE_SIZE]
            place[:] = start
            place[step.TOP] = self._frames[0]
            said = walk.walk(
                arena.fields, self._frames, arena.table, nodes, store.places, self._white, mask,
                self._request,
            )  # fmt: skip
            if said != at.GOES_ON:
                self._supply(said)

    def _allow(self, place: NDArray[np.int64], trie: Trie, mask: NDArray[np.uint32]) -> None:
        self._walk(place, trie.nodes, mask)
        copy_twins(trie.twins, mask)

    def _number(self, place: NDArray[np.int64]) -> int:
        """The number of a place: its new frames are settled first."""
        if place[step.MODE] != at.TEXT:
            while walk.settle(
                self.store.arena.fields, self._frames, self._known, place, self._chain
            ) != at.GOES_ON:  # fmt: skip
                self._lengthen()
        place[step.TOP] = 0
        key = place.tobytes()
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._places)
            self._places.append(place)
            self._next.append({})
        return number

    def _supply(self, said: int) -> None:
        """Make what a kernel found missing."""
        tables = self._tables
        if said == at.NEEDS_ROOM:
            self.store.arena.make_room()
        elif said == at.NEEDS_FRAMES or tables is None:
            self._lengthen()
        elif said == at.NEEDS_ENTRY:
            kind, class_index, alive = (int(field) for field in self._request[:3])
            tables.entry(kind, class_index, alive)
        elif said == at.NEEDS_OBJECT:
            tables.object_type(int(self._request[0]))
        elif said == at.NEEDS_ARRAY:
            tables.array_type(int(self._request[0]))
        elif said == at.NEEDS_ITEM:
            tables.item(int(self._request[0]), int(self._request[1]))
        else:
            kind, array_state, votes, again = (int(field) for field in self._request)
            tables.move(kind, array_state, votes, again)

    def _lengthen(self) -> None:
        if 4 * len(self._frames) > MAX_FRAMES:
            raise GrammarLimitError("", "fields of open objects and arrays", MAX_FRAMES)
        frames = np.zeros(2 * len(self._frames), np.int64)
        frames[: len(self._frames)] = self._frames
        self._frames = frames
        known = np.zeros(2 * len(self._known), np.int64)
        walk.rehash(self.store.arena.fields, frames, self._known, known)
        self._known = known
