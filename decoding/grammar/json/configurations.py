"""Numbers configurations of texts (state, open arrays and objects) and fills their masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.json.automaton_store import Store
from decoding.grammar.json.records import JsonRecords
from decoding.grammar.json.shapes import Graph
from decoding.grammar.json_style import JsonStyle
from decoding.grammar.regular.lazy_dfa import RoomError
from decoding.kernels.grammar import json_step, layout, walk, whitespace
from decoding.kernels.grammar.layout import (
    ALTERNATIVE,
    AUTOMATON,
    CONFIG,
    ENTRY,
    FRAME,
    FRAMES,
    MODE,
    STATE,
    TYPE,
    VALUE,
)

Configuration = NDArray[np.int64]
"""`CONFIG_SIZE` fields; see `decoding.kernels.grammar.json_step`."""
Fields = tuple[int, ...]
"""The fields of a configuration as a tuple."""

MAX_FRAMES = 1 << 22
"""32 MiB of int64: enough for 40,000 nested arrays in one text."""
_CHOICES = 64
"""Initial room for the trie nodes at which a walk meets a split value."""
MAX_CHAIN = 10_000
"""The deepest nesting of a JSON text."""


STYLE = JsonStyle()

_step: Callable[..., int] = json_step.step
"""The transition by one byte, run as Python, which reads memory views faster than arrays."""

_KINDS = {
    "free": whitespace.FREE,
    "compact": whitespace.FREE,
    "readable": whitespace.READABLE,
    "spaced": whitespace.SPACED,
}


def _layout(style: JsonStyle) -> int:
    """The whitespace rule of a style, as a number for the kernels."""
    if style.indent is not None:
        return whitespace.INDENTED + whitespace.KINDS * style.indent
    width = 0 if style.whitespace in ("compact", "spaced") else style.longest
    return _KINDS[style.whitespace] + whitespace.KINDS * width


class ChoiceNeededError(Exception):
    """Raised where a byte leads to several configurations; `json.split_values` follows all."""


class Configurations:
    """Gives equal configurations one number, and sets the mask bits that a configuration allows.

    style: the whitespace and the order of keys of JSON texts.
    scale: multiplies the memory that frames may take.
    """

    def __init__(self, store: Store, style: JsonStyle = STYLE, scale: int = 1) -> None:
        self.store, self._style = store, style
        self.spacing = _layout(style)
        self._most = MAX_FRAMES * scale
        self._choices = np.zeros(_CHOICES, np.int64)
        self._take(np.zeros(1 << 12, np.int64))
        self._known = np.zeros(1 << 8, np.int64)
        self._request = np.zeros(4, np.int64)
        self._request_view = self._request.data
        self._chain = np.zeros(MAX_CHAIN, np.int64)
        self._records: list[Configuration] = []
        self._numbers: dict[Fields, int] = {}
        self._tables: JsonRecords | None = None
        self._frames[0] = layout.FRAME_SIZE

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
        place = np.zeros(layout.CONFIG_SIZE, np.int64)
        place[CONFIG.MODE], place[CONFIG.STATE] = MODE.TEXT, state
        return self.number(place)

    def begin_json(self, graph: Graph) -> int:
        """The configuration before a JSON text of a schema."""
        tables = self._tables = JsonRecords(self.store, graph, self._style)
        kind = tables.root()
        frames, root = self._frames, layout.FRAME_SIZE
        frames[root + FRAME.TYPE], frames[root + FRAME.ALIVE] = kind, 1
        frames[root + FRAME.ENTRY] = tables.entry_of_root(kind)
        frames[FRAMES.FREE], frames[FRAMES.SHALLOW_DEPTH] = 2 * layout.FRAME_SIZE, tables.shallow_at
        place = np.zeros(layout.CONFIG_SIZE, np.int64)
        # White space in front of the value is none of it.
        place[CONFIG.STATE], place[CONFIG.FRAME] = whitespace.CLOSED, root
        fields = self.store.dfa.fields
        place[CONFIG.VALUE] = fields[frames[root + FRAME.ENTRY] + ENTRY.VALUE]
        return self.number(place)

    def frame(self, place: Sequence[int] | Configuration, field: int) -> int:
        """A field of the innermost frame of a configuration."""
        return int(self._frames[place[CONFIG.FRAME] + field])

    def is_distinct(self, place: Sequence[int] | Configuration) -> bool:
        """Whether a text is inside a key that must not repeat, so that the key is remembered."""
        if place[CONFIG.MODE] != MODE.IN_KEY:
            return False
        return bool(self.store.dfa.fields[self.frame(place, FRAME.TYPE) + TYPE.DISTINCT])

    def is_open(self, place: Sequence[int] | Configuration) -> bool:
        """Whether a text is inside a key that can continue and end as any string can.

        Then the base mask of all strings is right for the key.
        """
        fields = self.store.dfa.fields
        if fields[place[CONFIG.STATE] + STATE.UNIVERSAL] < 0:
            return False
        # Keys that must differ are in automata of their own, in which no state is universal.
        kind = self.frame(place, FRAME.TYPE)
        if self.frame(place, FRAME.LAST) < fields[kind + TYPE.ORDERED] - 1:
            return False  # a key that was passed over may not come, nor another before its turn
        if fields[kind + TYPE.EXTRA] >= 0:
            return self._fits_undeclared(place)
        everyone = (1 << int(fields[kind + TYPE.ALTERNATIVE_COUNT])) - 1
        return not fields[kind + TYPE.BOUNDED] and self.frame(place, FRAME.ALIVE) == everyone

    def _fits_undeclared(self, place: Sequence[int] | Configuration) -> bool:
        """Whether a key that no schema names may come, next to all that are still required.

        Keys that a key requires which may not come count as required: the answer is never wrong
        where it is yes.
        """
        fields, node = self.store.dfa.fields, int(place[CONFIG.FRAME])
        kind = self.frame(place, FRAME.TYPE)
        words = int(fields[kind + TYPE.WORDS])
        word, bit = divmod(int(fields[kind + TYPE.EXTRA]), layout.WORD)
        left = self._frames[node + layout.FRAME_SIZE :][:words]
        if not left[word] >> bit & 1:
            return False
        count, alive = self.frame(place, FRAME.COUNT), self.frame(place, FRAME.ALIVE)
        for index in range(fields[kind + TYPE.ALTERNATIVE_COUNT]):
            choice = int(fields[fields[kind + TYPE.ALTERNATIVES] + index])
            listed = fields[choice + layout.ALTERNATIVE_SIZE :]
            if not alive >> index & 1 or not listed[words + word] >> bit & 1:
                continue
            maximum = fields[choice + ALTERNATIVE.MAXIMUM]
            dependencies = int(fields[choice + ALTERNATIVE.DEPENDENCY_COUNT])
            rows = listed[2 * words :][: dependencies * (1 + words)].reshape(-1, 1 + words)
            needed = np.bitwise_or.reduce(rows[:, 1:], axis=0) | listed[:words]
            missing = sum(int(one).bit_count() for one in needed & left)
            if maximum < 0 or count + 1 + missing <= maximum:
                return True
        return False

    def can_always_go_on(self, place: Sequence[int] | Configuration) -> bool:
        """Whether every continuation of a key or item that must differ can still differ."""
        fields, state = self.store.dfa.fields, place[CONFIG.STATE]
        if place[CONFIG.MODE] == MODE.IN_ITEM:
            is_string = place[CONFIG.COUNT] == 1
            return bool(is_string and fields[fields[state + STATE.AUTOMATON] + AUTOMATON.ENDLESS])
        kind = self.frame(place, FRAME.TYPE)
        extra = int(fields[kind + TYPE.EXTRA])
        words = fields[state + layout.STATE_SIZE :][: fields[kind + TYPE.WORDS]]
        # Any string that no name begins with.
        return extra >= 0 and bool(
            np.flatnonzero(words).tolist() == [extra // layout.WORD]
            and words[extra // layout.WORD] == 1 << extra % layout.WORD
        )

    def keys_left(self, place: Sequence[int]) -> tuple[int, ...] | None:
        """The classes of keys that may still come, where each of them may; else `None`."""
        fields, frame = self.store.dfa.fields_view, place[CONFIG.FRAME]
        kind = self._frames_view[frame + FRAME.TYPE]
        if (
            fields[kind + TYPE.BOUNDED]
            or fields[kind + TYPE.DISTINCT]
            or fields[kind + TYPE.ORDERED]
        ):
            return None
        words = frame + layout.FRAME_SIZE
        return tuple(self._frames_view[words : words + fields[kind + TYPE.WORDS]])

    def bounds(self, place: Sequence[int]) -> tuple[int, int]:
        """The fewest and most characters of the string that a text is inside of.

        The latter is −1 where there is no bound.
        """
        fields, value = self.store.dfa.fields_view, place[CONFIG.VALUE]
        return max(fields[value + VALUE.SHORTEST], 0), fields[value + VALUE.LONGEST]

    def number(self, place: Configuration) -> int:
        """The number of a configuration. Its new frames are shared with equal frames in place."""
        return self._settled(place.tolist())

    def numbered(self, fields: Fields) -> int:
        """The number of a configuration of which no frame is new."""
        number = self._numbers.get(fields)
        if number is None:
            number = self._numbers[fields] = len(self._records)
            self._records.append(np.array(fields))
        return number

    def read(self, start: Fields, byte: int) -> int | None:
        """The number of the configuration after one more byte; `None` if the byte does not fit.

        It is what `walk` leaves of a trie of this byte alone, computed in Python.

        Raises:
            ChoiceNeededError: the byte leads to several configurations.
        """
        dfa = self.store.dfa
        while True:
            place = [*start]
            place[CONFIG.TOP] = self._frames_view[FRAMES.FREE]
            said = _step(
                dfa.fields_view, self._frames_view, dfa.table_view, place,
                0, byte, self.spacing, self._request_view,
            )  # fmt: skip
            if said == layout.GOES_ON:
                return self._settled(place)
            if said == layout.STOPS:
                return None
            if said == layout.NEEDS_CHOICE:
                raise ChoiceNeededError
            self._supply(said)

    def _settled(self, place: list[int]) -> int:
        """The number of a configuration, whose new frames become those of equal frames."""
        if place[CONFIG.MODE] != MODE.TEXT and (
            place[CONFIG.FRAME] >= self._frames_view[FRAMES.FREE]
        ):
            place = self._intern_frames(np.array(place)).tolist()
        place[CONFIG.TOP] = 0
        return self.numbered(tuple(place))

    def walk(
        self, start: Configuration, nodes: NDArray[np.uint64], mask: NDArray[np.uint32]
    ) -> list[int]:
        """Set the mask bits of the tokens of a trie that a configuration allows.

        Returns the nodes whose byte may lead to several places: these nodes and those below them
        are left out (see `decoding.grammar.json.split_values`). Afterwards `store.stack` has the
        configuration after the last token, at its depth.
        """
        dfa, places = self.store.dfa, self.store.stack
        said = layout.NEEDS_ROOM
        while said != layout.GOES_ON:
            place = places[: layout.CONFIG_SIZE]
            place[:] = start
            place[CONFIG.TOP] = self._frames[0]
            self._choices[0] = 0
            said = walk.walk(
                dfa.fields, self._frames, dfa.table, nodes,
                places, self.spacing, mask, self._request,
                self._choices,
            )  # fmt: skip
            if said != layout.GOES_ON:
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
        if self.spacing % whitespace.KINDS < whitespace.SPACED:
            here[CONFIG.STATE] = 0  # whitespace that was read changes nothing of what follows it
        if what == layout.OF_STATE:
            number = self.number(here)
            chosen = tables.chosen(record, field, self._open(number))
            return [self._with_entry(number, state) for state in chosen]
        here[CONFIG.MODE] = MODE.VALUE_NEXT
        number = self.number(here)
        place, found = self._records[number], []
        for value in tables.chosen(record, field, self._open(number)):
            variant = place.copy()
            variant[CONFIG.VALUE] = value
            found.append(self.number(variant))
        return found

    def _open(self, number: int) -> list[int]:
        """The types and states of the arrays and objects that are open in a configuration."""
        found, frame = [], int(self._records[number][CONFIG.FRAME])
        while frame:
            found += [int(self._frames[frame + FRAME.TYPE]), int(self._frames[frame + FRAME.ENTRY])]
            frame = int(self._frames[frame + FRAME.PARENT])
        return found

    def _with_entry(self, number: int, entry: int) -> int:
        """The same configuration with another state of its innermost array."""
        place = self._records[number].copy()
        node, size = int(place[CONFIG.FRAME]), layout.FRAME_SIZE
        if int(self._frames[0]) + 4 * size + 256 >= len(self._frames):
            self._lengthen()
        top = int(self._frames[0])
        self._frames[top : top + size] = self._frames[node : node + size]
        self._frames[top + FRAME.ENTRY] = entry
        place[CONFIG.FRAME], place[CONFIG.TOP] = top, top + size
        return self.number(place)

    def _intern_frames(self, place: Configuration) -> Configuration:
        dfa, said = self.store.dfa, layout.NEEDS_FRAMES
        while said != layout.GOES_ON:
            said = walk.intern_frames(
                dfa.fields, self._frames, self._known, place,
                self._chain,
            )  # fmt: skip
            if said != layout.GOES_ON:
                self._lengthen()
        return place

    def _supply(self, said: int) -> None:
        """Make the record or the room that a kernel asked for."""
        tables = self._tables
        if said == layout.NEEDS_ROOM:
            self.store.dfa.make_room()
        elif said == layout.NEEDS_CHOICE:
            self._choices = np.zeros(2 * len(self._choices), np.int64)
        elif said == layout.NEEDS_FRAMES or tables is None:
            self._lengthen()
        elif said == layout.NEEDS_ENTRY:
            kind, class_index, alive = (int(field) for field in self._request[:3])
            tables.entry(kind, class_index, alive)
        elif said == layout.NEEDS_OBJECT:
            tables.object_type(int(self._request[0]), shallow=bool(self._request[1]))
        elif said == layout.NEEDS_ARRAY:
            tables.array_type(int(self._request[0]), shallow=bool(self._request[1]))
        elif said == layout.NEEDS_ITEM:
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
        walk.rehash(self.store.dfa.fields, self._frames, self._known, known)
        self._known = known

    def _take(self, frames: NDArray[np.int64]) -> None:
        self._frames, self._frames_view = frames, frames.data
