"""Configurations of texts under one grammar: a state, and a stack of open arrays and objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.json.automaton_store import Store
from decoding.grammar.json.records import JsonRecords
from decoding.grammar.json.shapes import Graph
from decoding.grammar.json_style import JsonStyle
from decoding.grammar.regular.lazy_dfa import RoomError
from decoding.kernels.grammar import layout as at
from decoding.kernels.grammar import step, walk
from decoding.kernels.grammar import white as white_space
from decoding.kernels.grammar.jit import shared

Configuration = NDArray[np.int64]
"""`step.PLACE_SIZE` fields; see `decoding.kernels.grammar.step`."""

MAX_FRAMES = 1 << 22
"""32 MiB of int64: enough for 40,000 nested arrays in one text."""
_CHOICES = 64
"""Initial room for the trie nodes at which a walk meets a split value."""
MAX_CHAIN = 10_000
"""The deepest nesting of a JSON text."""


STYLE = JsonStyle()

_KINDS = {
    "free": white_space.FREE,
    "compact": white_space.FREE,
    "readable": white_space.READABLE,
    "spaced": white_space.SPACED,
}


def _layout(style: JsonStyle) -> int:
    """The whitespace rule of a style, as a number for the kernels."""
    if style.indent is not None:
        return white_space.INDENTED + white_space.KINDS * style.indent
    width = 0 if style.whitespace in ("compact", "spaced") else style.longest
    return _KINDS[style.whitespace] + white_space.KINDS * width


class Configurations:
    """Interned configurations: equal ones have one number. They are never changed.

    style: the whitespace and the order of keys of JSON texts.
    scale: multiplies the memory that frames may take.
    """

    def __init__(self, store: Store, style: JsonStyle = STYLE, scale: int = 1) -> None:
        self.store, self._style = store, style
        self.white = _layout(style)
        self._most = MAX_FRAMES * scale
        self._choices = np.zeros(_CHOICES, np.int64)
        self._take(np.zeros(1 << 12, np.int64))
        self._known = np.zeros(1 << 8, np.int64)
        self._request = np.zeros(4, np.int64)
        self._chain = np.zeros(MAX_CHAIN, np.int64)
        self._records: list[Configuration] = []
        self._numbers: dict[bytes, int] = {}
        self._tables: JsonRecords | None = None
        self._frames[0] = at.FRAME_WORDS

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, number: int) -> Configuration:
        return self._records[number]

    @property
    def is_half_full(self) -> bool:
        """Whether frames take about half of the memory that they may take, or more."""
        return 4 * len(self._frames) > self._most

    def begin_text(self, state: int) -> int:
        """The configuration before a text that only an automaton follows, from `state`."""
        place = np.zeros(step.PLACE_SIZE, np.int64)
        place[step.MODE], place[step.AT] = at.TEXT, state
        return self.number(place)

    def begin_json(self, graph: Graph) -> int:
        """The configuration before a JSON text of a schema."""
        tables = self._tables = JsonRecords(self.store, graph, self._style)
        kind = tables.root()
        frames, root = self._frames, at.FRAME_WORDS
        frames[root + at.TYPE], frames[root + at.ALIVE] = kind, 1
        frames[root + at.ENTRY] = tables.entry_of_root(kind)
        frames[at.FRAMES_FREE], frames[at.SHALLOW_AT] = 2 * at.FRAME_WORDS, tables.shallow_at
        place = np.zeros(step.PLACE_SIZE, np.int64)
        # No whitespace comes before the value.
        place[step.AT], place[step.NODE] = white_space.CLOSED, root
        fields = self.store.arena.fields
        place[step.VALUE] = fields[frames[root + at.ENTRY] + at.ENTRY_VALUE]
        return self.number(place)

    def frame(self, place: Sequence[int] | Configuration, field: int) -> int:
        """A field of the innermost frame of a configuration."""
        return int(self._frames[place[step.NODE] + field])

    def is_distinct(self, place: Sequence[int] | Configuration) -> bool:
        """Whether a text is inside a key that must not repeat, so that the key is remembered."""
        if place[step.MODE] != at.IN_KEY:
            return False
        return bool(self.store.arena.fields[self.frame(place, at.TYPE) + at.DISTINCT])

    def is_open(self, place: Sequence[int] | Configuration) -> bool:
        """Whether a text is inside a key that can continue and end as any string can.

        Then the base mask of all strings is right for the key.
        """
        fields = self.store.arena.fields
        if fields[place[step.AT] + at.LOOSE] < 0:
            return False
        # Keys that must differ are in automata of their own, in which no state is loose.
        kind = self.frame(place, at.TYPE)
        if self.frame(place, at.LAST) < fields[kind + at.ORDERED] - 1:
            return (
                False  # keys come in the declared order, so passed keys and later keys are excluded
            )
        if fields[kind + at.EXTRA] >= 0:
            return True
        everyone = (1 << int(fields[kind + at.ALTERNATIVES])) - 1
        return not fields[kind + at.BOUNDED] and self.frame(place, at.ALIVE) == everyone

    def can_always_go_on(self, place: Sequence[int] | Configuration) -> bool:
        """Whether every continuation of a key or item that must differ can still differ."""
        fields, state = self.store.arena.fields, place[step.AT]
        if place[step.MODE] == at.IN_ITEM:
            is_string = place[step.COUNT] == 1
            return bool(is_string and fields[fields[state + at.AUTOMATON] + at.ENDLESS])
        kind = self.frame(place, at.TYPE)
        extra = int(fields[kind + at.EXTRA])
        words = fields[state + at.STATE_WORDS :][: fields[kind + at.TYPE_WORDS]]
        # The key is the beginning of no declared name.
        return extra >= 0 and bool(
            np.flatnonzero(words).tolist() == [extra // at.WORD]
            and words[extra // at.WORD] == 1 << extra % at.WORD
        )

    def keys_left(self, place: Sequence[int]) -> tuple[int, ...] | None:
        """The classes of keys that may still come, where each of them may; else `None`."""
        fields, frame = self.store.arena.shared_fields, place[step.NODE]
        kind = self._shared_frames[frame + at.TYPE]
        if fields[kind + at.BOUNDED] or fields[kind + at.DISTINCT] or fields[kind + at.ORDERED]:
            return None
        words = frame + at.FRAME_WORDS
        return tuple(self._shared_frames[words : words + fields[kind + at.TYPE_WORDS]])

    def bounds(self, place: Sequence[int]) -> tuple[int, int]:
        """The fewest and most characters of the string that a text is inside of.

        The latter is −1 where there is no bound.
        """
        fields, value = self.store.arena.shared_fields, place[step.VALUE]
        return max(fields[value + at.SHORTEST], 0), fields[value + at.LONGEST]

    def number(self, place: Configuration) -> int:
        """The number of a configuration. Its new frames are shared with equal frames in place."""
        if place[step.MODE] != at.TEXT:
            self._settle(place)
        place[step.TOP] = 0
        key = place.tobytes()
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._records)
            self._records.append(place)
        return number

    def walk(
        self, start: Configuration, nodes: NDArray[np.uint64], mask: NDArray[np.uint32]
    ) -> list[int]:
        """Set the mask bits of the tokens of a trie that a configuration allows.

        Returns the trie nodes at which a split value begins: these nodes and those below them are
        left out (see `decoding.grammar.json.split_values`). Afterwards `store.places` has the
        configuration after the last token, at its depth.
        """
        arena, places = self.store.arena, self.store.places
        said = at.NEEDS_ROOM
        while said != at.GOES_ON:
            place = places[: step.PLACE_SIZE]
            place[:] = start
            place[step.TOP] = self._frames[0]
            self._choices[0] = 0
            said = walk.walk(
                arena.shared_fields, self._shared_frames, arena.shared_table, shared(nodes),
                shared(places), self.white, shared(mask), shared(self._request),
                shared(self._choices),
            )  # fmt: skip
            if said != at.GOES_ON:
                self._supply(said)
        noted: list[int] = self._choices[1 : 1 + int(self._choices[0])].tolist()
        return noted

    def variants(self, here: Configuration) -> list[int]:
        """The configurations with each record of a split value.

        here: the configuration that the last walk left when it met the split value. A number that
            the byte ends has ended there; the byte itself is still to be read.
        A text follows at most `records.MOST_WAYS` combinations of records; further ones are left
        out.
        """
        what, record, field = (int(one) for one in self._request[:3])
        tables = self._tables
        if tables is None:
            raise TypeError(what)
        if self.white % white_space.KINDS < white_space.SPACED:
            here[step.AT] = 0  # whitespace that was read does not restrict what follows
        if what == at.OF_STATE:
            number = self.number(here)
            chosen = tables.chosen(record, field, self._open(number))
            return [self._with_entry(number, state) for state in chosen]
        here[step.MODE] = at.VALUE_NEXT
        number = self.number(here)
        place, found = self._records[number], []
        for value in tables.chosen(record, field, self._open(number)):
            variant = place.copy()
            variant[step.VALUE] = value
            found.append(self.number(variant))
        return found

    def _open(self, number: int) -> list[int]:
        """The types and states of the arrays and objects that are open in a configuration."""
        found, frame = [], int(self._records[number][step.NODE])
        while frame:
            found += [int(self._frames[frame + at.TYPE]), int(self._frames[frame + at.ENTRY])]
            frame = int(self._frames[frame + at.PARENT])
        return found

    def _with_entry(self, number: int, entry: int) -> int:
        """The same configuration with another state of its innermost array."""
        place = self._records[number].copy()
        node, size = int(place[step.NODE]), at.FRAME_WORDS
        if int(self._frames[0]) + 4 * size + 256 >= len(self._frames):
            self._lengthen()
        top = int(self._frames[0])
        self._frames[top : top + size] = self._frames[node : node + size]
        self._frames[top + at.ENTRY] = entry
        place[step.NODE], place[step.TOP] = top, top + size
        return self.number(place)

    def _settle(self, place: Configuration) -> None:
        arena, said = self.store.arena, at.NEEDS_FRAMES
        while said != at.GOES_ON:
            said = walk.settle(
                arena.shared_fields, self._shared_frames, shared(self._known), shared(place),
                shared(self._chain),
            )  # fmt: skip
            if said != at.GOES_ON:
                self._lengthen()

    def _supply(self, said: int) -> None:
        """Make the record or the room that a kernel asked for."""
        tables = self._tables
        if said == at.NEEDS_ROOM:
            self.store.arena.make_room()
        elif said == at.NEEDS_CHOICE:
            self._choices = np.zeros(2 * len(self._choices), np.int64)
        elif said == at.NEEDS_FRAMES or tables is None:
            self._lengthen()
        elif said == at.NEEDS_ENTRY:
            kind, class_index, alive = (int(field) for field in self._request[:3])
            tables.entry(kind, class_index, alive)
        elif said == at.NEEDS_OBJECT:
            tables.object_type(int(self._request[0]), shallow=bool(self._request[1]))
        elif said == at.NEEDS_ARRAY:
            tables.array_type(int(self._request[0]), shallow=bool(self._request[1]))
        elif said == at.NEEDS_ITEM:
            tables.item(int(self._request[0]), int(self._request[1]))
        else:
            kind, array_state, votes, again = (int(field) for field in self._request)
            tables.move(kind, array_state, votes, again)

    def _lengthen(self) -> None:
        if 4 * len(self._frames) > self._most:
            raise RoomError("", "fields of open objects and arrays", self._most)
        frames = np.zeros(2 * len(self._frames), np.int64)
        frames[: len(self._frames)] = self._frames
        self._take(frames)
        known = np.zeros(2 * len(self._known), np.int64)
        walk.rehash(
            self.store.arena.shared_fields, self._shared_frames, shared(self._known), shared(known)
        )
        self._known = known

    def _take(self, frames: NDArray[np.int64]) -> None:
        self._frames, self._shared_frames = frames, shared(frames)
