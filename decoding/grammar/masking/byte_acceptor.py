"""Follows JSON texts and texts of regular languages by bytes, and gives token masks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from decoding.errors import GrammarUnsatisfiableError
from decoding.grammar.json.automaton_store import FULL, Store
from decoding.grammar.json.configurations import ChoiceNeededError, Configuration, Configurations
from decoding.grammar.json.shapes import Graph
from decoding.grammar.json.split_values import SplitValues
from decoding.grammar.json_style import JsonStyle
from decoding.grammar.masking.acceptor import REJECTED
from decoding.grammar.masking.walks import KernelWalks, Walks
from decoding.grammar.regular.expressions import Expression
from decoding.grammar.tokens.sweeps import Mask
from decoding.grammar.tokens.table import allow
from decoding.grammar.tokens.trie import EVERY_BYTE, MAX_DEPTH, Trie, trie_of
from decoding.kernels.grammar import layout
from decoding.kernels.grammar.layout import CONFIG, FRAME, MODE, STATE, VALUE

_MANY_STATES = 100_000
"""An acceptor of so many states, about 60 MiB, is replaced for new texts."""
_GROUPS = 1 << 39
"""The number of the first state that is a set of several configurations."""
_NO_TWINS = np.zeros((0, 2), np.int32)


class ByteAcceptor:
    """A `BoundedAcceptor` of one JSON Schema or regular language, with numbered states.

    A state is one configuration, or a set of them where records of values had to be split
    (`decoding.grammar.json.split_values`). Each method but `accepts` raises `RoomError` where the
    states would take too much memory.
    """

    def __init__(self, configurations: Configurations, start: int) -> None:
        """start: the number of the configuration before any text."""
        self.store = configurations.store
        self.tokens = configurations.store.tokens
        self.start = start
        self._configurations = configurations
        self._walks = configurations.store.route.walks(configurations)
        self._by_bytes = KernelWalks(configurations)
        self._choices = SplitValues(configurations)
        self._groups: list[tuple[int, ...]] = []
        self._group_of: dict[tuple[int, ...], int] = {}
        self._next: dict[tuple[int, int], int] = {}
        self._equivalent: dict[int, int] = {}
        self._masks = configurations.store.masks
        self._numbered = configurations.store.masks.numbers()
        self._size = configurations.store.size

    @classmethod
    def of_expression(cls, store: Store, expression: Expression) -> ByteAcceptor:
        """The texts of a regular language."""
        with store.lock:
            state = store.text(expression)
            if state == layout.DEAD:
                raise GrammarUnsatisfiableError("offset 0", "no text matches")
            configurations = Configurations(store)
            return cls(configurations, configurations.begin_text(state))

    @classmethod
    def of_graph(cls, store: Store, graph: Graph, style: JsonStyle, scale: int = 1) -> ByteAcceptor:
        """The JSON texts of a schema, written in a style.

        scale: frames may take `scale` times their usual memory.
        """
        with store.lock:
            configurations = Configurations(store, style, scale)
            return cls(configurations, configurations.begin_json(graph))

    @property
    def needs_replacement(self) -> bool:
        """Whether its states take so much memory that new texts should begin with a new one."""
        if len(self._configurations) > _MANY_STATES or self._configurations.is_half_full:
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
        """The state after some tokens and bytes that fit; few states in between are stored."""
        state, text = self.start, b""
        for token in tokens:
            text += token if isinstance(token, bytes) else self.tokens.spelled[token]
        for begin in range(0, len(text), MAX_DEPTH):
            state = self.follow(state, text[begin : begin + MAX_DEPTH])
        return state

    def _members(self, state: int) -> tuple[int, ...]:
        """The configurations of a state."""
        return (state,) if state < _GROUPS else self._groups[state - _GROUPS]

    def _state(self, members: tuple[int, ...]) -> int:
        """The state of some configurations, sorted; REJECTED for none."""
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
        configuration = self._configurations[state]
        mode = configuration[CONFIG.MODE]
        if mode == MODE.DONE:
            return True
        label = int(configuration[CONFIG.STATE]) + STATE.LABEL_LOW
        fields = self.store.dfa.fields
        if mode == MODE.TEXT:
            return bool(fields[label])
        at_root = self._configurations.frame(configuration, FRAME.PARENT) == 0
        return bool(mode == MODE.IN_NUMBER and at_root and fields[label])

    def mask(self, state: int) -> NDArray[np.uint32]:
        """The tokens that may come next, a bit each; not to be changed."""
        known = self._masks.get(self._numbered + state)
        if known is None:
            if state < _GROUPS:
                equivalent = self._equivalent.get(state)
                if equivalent is None:
                    equivalent = self._equivalent[state] = self._uncounted(state)
                if equivalent != state:
                    return self.mask(equivalent)
                with self.store.lock:
                    known = self._mask(state)
            else:
                known = self.tokens.empty_mask()
                for member in self._members(state):
                    known |= self.mask(member)
            allow(known, self.tokens.end_token_ids if self.accepts(state) else ())
            self._masks.put(self._numbered + state, known)
        return known

    def allow(self, state: int, nodes: NDArray[np.uint64], mask: Mask) -> None:
        """Set the bits of the tokens of some nodes that fit, and store few states."""
        with self.store.lock:
            trie = trie_of(nodes, _NO_TWINS)
            for member in self._members(state):
                self._allow(self._configurations[member], trie, mask, self._by_bytes)

    def named(self, _: int) -> NDArray[np.uint32]:
        """The tokens that the grammar names: none."""
        return self.tokens.empty_mask()

    def next_bytes(self, state: int) -> bytes:
        """The bytes that may come next."""
        with self.store.lock:
            reached = np.zeros(8, np.uint32)
            for member in self._members(state):
                self._allow(self._configurations[member], EVERY_BYTE, reached)
            bits = np.unpackbits(reached.view(np.uint8), bitorder="little")
            return np.flatnonzero(bits).astype(np.uint8).tobytes()

    def _uncounted(self, state: int) -> int:
        """The state of the same continuations in which no digits of a number are counted."""
        configuration = self._configurations[state]
        if configuration[CONFIG.MODE] != MODE.IN_NUMBER:
            return state
        with self.store.lock:
            equivalent = self.store.alike(int(configuration[CONFIG.STATE]))
            if equivalent == configuration[CONFIG.STATE]:
                return state
            configuration = configuration.copy()
            configuration[CONFIG.STATE] = equivalent
            return self._configurations.number(configuration)

    def _mask(self, state: int) -> NDArray[np.uint32]:
        configuration = self._configurations[state]
        store = self.store
        if configuration[CONFIG.MODE] == MODE.TEXT:
            return store.text_mask(int(configuration[CONFIG.STATE])).copy()
        base = self._base(configuration)
        if configuration[CONFIG.MODE] == MODE.IN_STRING:
            configuration = configuration.copy()
            configuration[CONFIG.STATE] = store.alike(int(configuration[CONFIG.STATE]))
        if base is None:
            mask = store.tokens.empty_mask()
            self._allow(configuration, store.tokens.bare, mask)
        else:
            mask = base.copy()
        self._allow(configuration, store.tokens.quoted, mask)
        return mask

    def _allow(
        self, configuration: Configuration, trie: Trie, mask: Mask, walks: Walks | None = None
    ) -> None:
        """Set the bits of the tokens of a trie that may follow; `walks`: else the route's."""
        try:
            (walks or self._walks).allow(configuration, trie, mask)
        except ChoiceNeededError:
            self._choices.allow(configuration, trie, mask)

    def _base(self, configuration: Configuration) -> NDArray[np.uint32] | None:
        """The mask of tokens without a quote inside a string or key, if it is known; else None."""
        mode, state = int(configuration[CONFIG.MODE]), int(configuration[CONFIG.STATE])
        fields = self.store.dfa.fields
        if mode == MODE.IN_STRING:
            longest = int(fields[configuration[CONFIG.VALUE] + VALUE.LONGEST])
            if configuration[CONFIG.COUNT] >= 0 and longest >= 0:
                return self.store.bounded(state, longest - int(configuration[CONFIG.COUNT]))
            return self.store.base(state)
        if mode == MODE.IN_KEY and self._configurations.is_open(configuration):
            return self.store.base(state)
        if mode in (MODE.IN_KEY, MODE.IN_ITEM) and self._configurations.can_always_go_on(
            configuration
        ):
            return self.store.base(state)
        return None
