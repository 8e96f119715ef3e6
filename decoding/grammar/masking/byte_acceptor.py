"""A compiled grammar: states of a text, and for each the tokens that may come next."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from decoding.errors import GrammarUnsatisfiableError
from decoding.grammar.json.automaton_store import FULL, Store
from decoding.grammar.json.configurations import Configuration, Configurations
from decoding.grammar.json.shapes import Graph
from decoding.grammar.json.split_values import SplitValues
from decoding.grammar.json_style import JsonStyle
from decoding.grammar.masking.acceptor import REJECTED
from decoding.grammar.masking.walks import ChoiceNeededError, KernelWalks, Walks
from decoding.grammar.regular.expressions import Expression
from decoding.grammar.tokens.sweeps import Mask
from decoding.grammar.tokens.trie import EVERY_BYTE, MAX_DEPTH, Trie, trie_of
from decoding.kernels.grammar import layout as at
from decoding.kernels.grammar import step

_MANY_STATES = 100_000
"""New texts begin with a new automaton then: so many states take about 60 MiB."""
_GROUPS = 1 << 39
"""The number of the first state that is several places at once."""
_NO_TWINS = np.zeros((0, 2), np.int32)


class Automaton:
    """The texts of one grammar, as states that are numbered when they are first met.

    States are never changed: keeping a number is a rollback, copying it a fork. A state is a place
    in a text, or several where records of values are shared (`json.split_values`). Each
    method but `accepts` raises `RoomError` where what is stored would take too much memory.
    """

    def __init__(self, places: Configurations, start: int) -> None:
        """start: the number of the place before any text."""
        self.store = places.store
        self.tokens = places.store.tokens
        self.start = start
        self._places = places
        self._walks = places.store.backend.walks(places)
        self._by_bytes = KernelWalks(places)
        self._choices = SplitValues(places)
        self._groups: list[tuple[int, ...]] = []
        self._group_of: dict[tuple[int, ...], int] = {}
        self._next: dict[tuple[int, int], int] = {}
        self._alike: dict[int, int] = {}
        self._masks = places.store.masks
        self._numbered = places.store.masks.numbers()
        self._size = places.store.size

    @classmethod
    def of_expression(cls, store: Store, expression: Expression) -> Automaton:
        """The texts of a regular language."""
        state = store.text(expression)
        if state == at.DEAD:
            raise GrammarUnsatisfiableError("offset 0", "no text matches")
        places = Configurations(store)
        return cls(places, places.begin_text(state))

    @classmethod
    def of_graph(cls, store: Store, graph: Graph, style: JsonStyle, scale: int = 1) -> Automaton:
        """The JSON texts of a schema, written in a style.

        scale: frames may take so many times the memory that they usually may.
        """
        places = Configurations(store, style, scale)
        return cls(places, places.begin_json(graph))

    @property
    def is_worn(self) -> bool:
        """Whether its states take so much memory that a new text better begins with a new one."""
        if len(self._places) > _MANY_STATES or self._places.is_half_full:
            return True
        return self.store.size > self._size + FULL

    def advance(self, state: int, token: int) -> int:
        """The state after one more token; REJECTED if it does not fit."""
        following = self._next.get((state, token))
        if following is None:
            known = 0 <= token < len(self.tokens.spelled)
            spelled = self.tokens.spelled[token] if known else b""
            following = self.follow(state, spelled) if spelled else REJECTED
            if following != REJECTED:
                self._next[state, token] = following
        return following

    def follow(self, state: int, text: bytes) -> int:
        """The state after some more bytes; REJECTED if they do not fit.

        There are at most as many as `trie.MAX_DEPTH`.
        """
        with self.store.lock:
            if state < _GROUPS:
                try:
                    return self._walks.follow(state, text)
                except ChoiceNeededError:
                    pass
            reached: dict[int, None] = {}
            for number in self._members(state):
                reached.update(dict.fromkeys(self._choices.follow(number, text)))
            return self._state(tuple(sorted(reached)))

    def replay(self, tokens: Iterable[int | bytes]) -> int:
        """The state after some tokens and bytes that fit; of those in between, few are stored."""
        state, text = self.start, b""
        for token in tokens:
            text += token if isinstance(token, bytes) else self.tokens.spelled[token]
        for begin in range(0, len(text), MAX_DEPTH):
            state = self.follow(state, text[begin : begin + MAX_DEPTH])
        return state

    def _members(self, state: int) -> tuple[int, ...]:
        """The places that a state is."""
        return (state,) if state < _GROUPS else self._groups[state - _GROUPS]

    def _state(self, members: tuple[int, ...]) -> int:
        """The state that is some places, sorted; REJECTED for none."""
        if len(members) < 2:
            return members[0] if members else REJECTED
        known = self._group_of.get(members)
        if known is None:
            known = self._group_of[members] = _GROUPS + len(self._groups)
            self._groups.append(members)
        return known

    def accepts(self, state: int) -> bool:
        """Whether the text may end here."""
        if state >= _GROUPS:
            return any(map(self.accepts, self._members(state)))
        place = self._places[state]
        mode = place[step.MODE]
        if mode == at.DONE:
            return True
        label = int(place[step.AT]) + at.LABEL_LOW
        fields = self.store.arena.fields
        if mode == at.TEXT:
            return bool(fields[label])
        at_root = self._places.frame(place, at.PARENT) == 0
        return bool(mode == at.IN_NUMBER and at_root and fields[label])

    def mask(self, state: int) -> NDArray[np.uint32]:
        """The tokens that may come next, a bit each; not to be changed."""
        known = self._masks.get(self._numbered + state)
        if known is None:
            if state < _GROUPS:
                alike = self._alike.get(state)
                if alike is None:
                    alike = self._alike[state] = self._counting_nothing(state)
                if alike != state:
                    return self.mask(alike)
                with self.store.lock:
                    known = self._mask(state)
            else:
                known = self.tokens.empty_mask()
                for member in self._members(state):
                    known |= self.mask(member)
            for token in self.tokens.end_token_ids if self.accepts(state) else ():
                known[token >> 5] |= np.uint32(1 << (token & 31))
            self._masks.put(self._numbered + state, known)
        return known

    def allow(self, state: int, nodes: NDArray[np.uint64], mask: Mask) -> None:
        """Allow the tokens of some nodes that fit, and store as little as possible."""
        with self.store.lock:
            trie = trie_of(nodes, _NO_TWINS)
            for member in self._members(state):
                self._allow(self._places[member], trie, mask, self._by_bytes)

    def named(self, _: int) -> NDArray[np.uint32]:
        """The tokens that may come next though no text spells them: none."""
        return self.tokens.empty_mask()

    def next_bytes(self, state: int) -> bytes:
        """The bytes that may come next."""
        with self.store.lock:
            reached = np.zeros(8, np.uint32)
            for member in self._members(state):
                self._allow(self._places[member], EVERY_BYTE, reached)
            bits = np.unpackbits(reached.view(np.uint8), bitorder="little")
            return np.flatnonzero(bits).astype(np.uint8).tobytes()

    def _counting_nothing(self, state: int) -> int:
        """A state that goes on as this one does, whatever number of digits was read before it."""
        place = self._places[state]
        if place[step.MODE] != at.IN_NUMBER:
            return state
        with self.store.lock:
            uncounted = self.store.alike(int(place[step.AT]))
            if uncounted == place[step.AT]:
                return state
            place = place.copy()
            place[step.AT] = uncounted
            return self._places.number(place)

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

    def _allow(
        self, place: Configuration, trie: Trie, mask: Mask, walks: Walks | None = None
    ) -> None:
        """Allow the tokens of a trie that fit behind a place, by the back end's walks or others."""
        try:
            (walks or self._walks).allow(place, trie, mask)
        except ChoiceNeededError:
            self._choices.allow(place, trie, mask)

    def _base(self, place: Configuration) -> NDArray[np.uint32] | None:
        """The tokens without a quote that may come next inside a string, where that is known."""
        mode, state = int(place[step.MODE]), int(place[step.AT])
        fields = self.store.arena.fields
        if mode == at.IN_STRING:
            longest = int(fields[place[step.VALUE] + at.LONGEST])
            if place[step.COUNT] >= 0 and longest >= 0:
                return self.store.bounded(state, longest - int(place[step.COUNT]))
            return self.store.base(state)
        if mode == at.IN_KEY and self._places.is_open(place):
            return self.store.base(state)
        if mode in (at.IN_KEY, at.IN_ITEM) and self._places.can_always_go_on(place):
            return self.store.base(state)
        return None
