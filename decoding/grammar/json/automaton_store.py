"""`Store`: automata of strings and numbers, and their masks, shared by a vocabulary's grammars."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.numbers.canonical import canonical_numbers
from decoding.grammar.numbers.forms import signs, spelled_numbers
from decoding.grammar.numbers.ranges import NumberRange
from decoding.grammar.regular.counted import Bounds, counted_automata, length_bound
from decoding.grammar.regular.expressions import Expression
from decoding.grammar.regular.lazy_dfa import LazyDfa
from decoding.grammar.regular.nfa import Nfa, Spelling
from decoding.grammar.regular.spelling import universal_nfa
from decoding.grammar.regular.work import remembered
from decoding.grammar.tokens.mask_cache import MaskCache
from decoding.grammar.tokens.segments import Segments
from decoding.grammar.tokens.table import TokenTable
from decoding.kernels.grammar import layout, subsets
from decoding.kernels.grammar.layout import AUTOMATON, HEAD, STATE

if TYPE_CHECKING:
    from decoding.grammar.masking.routes import Route

FULL = 1 << 25
"""Bytes of automata from which on new grammars use a new store."""
_ROOM = 1 << 23
"""Fields that are allocated at once, so that automata are not moved: `FULL` bytes of them."""
_REMAINING = 11
"""Bits that hold a number of characters, which is at most `trie.MAX_DEPTH`."""


@remembered(2048)
def _signed(
    ranges: tuple[NumberRange, ...], spelling: Spelling, digits: int | None
) -> tuple[tuple[Nfa, Bounds | None], ...]:
    """The automata of some numbers, without and with a minus sign, each with a length bound."""
    if not ranges:
        return ()
    nfa = canonical_numbers(ranges) if spelling is Spelling.CANONICAL else spelled_numbers(ranges)
    if digits is None or not nfa.states:
        return ((nfa, None),)
    signed = ((signs(nfa, minus=minus), digits + minus) for minus in (False, True))
    return tuple((one, length_bound(one, longest)) for one, longest in signed if one.states)


class Store:
    """Automata of strings and numbers, each built once for all grammars of a vocabulary.

    The *base mask* of a state has the tokens without a quote that the automaton can read from the
    state. Such tokens stay inside the string, so the mask does not depend on the surrounding text.
    """

    def __init__(
        self,
        tokens: TokenTable,
        masks: MaskCache,
        route: Route,
        lock: AbstractContextManager[object],
        scale: int = 1,
    ) -> None:
        """lock: of the machine; held by whoever adds or follows automata.

        scale: multiplies the memory that the automata may take.
        """
        self.tokens, self.masks, self.route, self.lock = tokens, masks, route, lock
        self.dfa = LazyDfa(_ROOM, scale)
        self.segments = Segments(self.dfa)
        self._sweeps = route.sweeps(self.dfa, tokens)
        self.any_string = self.dfa.add_any_string()
        self._strings: dict[tuple[tuple[Expression | None, ...], Spelling], int] = {}
        self._texts: dict[Expression, int] = {}
        self._numbers: dict[
            tuple[tuple[tuple[NumberRange, ...], ...], Spelling, int | None], int
        ] = {}
        self.keys: dict[tuple[tuple[str, ...], bool, Spelling], int] = {}
        self._numbered, self._bounded = masks.numbers(), masks.numbers()
        self._counts: dict[int, NDArray[np.int16]] = {}
        self._universal: dict[Spelling, list[int]] = {}
        self._longest = max(tokens.bare.depth, tokens.quoted.depth)
        self.stack = np.zeros((2 + self._longest) * layout.CONFIG_SIZE, np.int64)

    @property
    def size(self) -> int:
        """The bytes that the automata take."""
        return int(self.dfa.fields[HEAD.FREE]) * 4

    @property
    def is_full(self) -> bool:
        """Whether the store is full, so that new grammars use a new store."""
        return self.dfa.is_full or self.size > FULL

    def room_for(self, length: int) -> NDArray[np.int64]:
        """The scratch array for a walk of `length` bytes."""
        if len(self.stack) < (length + 2) * layout.CONFIG_SIZE:
            self.stack = np.zeros((length + 2) * layout.CONFIG_SIZE, np.int64)
        return self.stack

    def strings(
        self, expressions: tuple[Expression | None, ...], spelling: Spelling = Spelling.JSON
    ) -> int:
        """The start state of JSON strings; vote i says that a string is in expression i."""
        known = self._strings.get((expressions, spelling))
        if known is None:
            known = self._strings[expressions, spelling] = self._union(
                [(one, vote) for vote, one in enumerate(expressions) if one is not None],
                spelling,
            )
        return known

    def _union(self, expressions: list[tuple[Expression, int]], spelling: Spelling) -> int:
        """The start state of several expressions, each with its vote."""
        parts, bounds = [], []
        for expression, vote in expressions:
            for nfa, bound in counted_automata(expression, spelling):
                parts.append((nfa, vote))
                bounds.append(bound)
        return self.dfa.add_automaton(parts, bounds=bounds)

    def numbers(
        self,
        ranges: tuple[tuple[NumberRange, ...], ...],
        spelling: Spelling = Spelling.JSON,
        digits: int | None = None,
    ) -> int:
        """The start state of numbers; vote i says that a number is in `ranges[i]`.

        digits: the most characters after the sign; `None` is no bound.
        """
        key = ranges, spelling, digits
        known = self._numbers.get(key)
        if known is None:
            parts = [
                (nfa, vote, bound)
                for vote, union in enumerate(ranges)
                for nfa, bound in _signed(union, spelling, digits)
            ]
            known = self._numbers[key] = self.dfa.add_automaton(
                [(nfa, vote) for nfa, vote, _ in parts], bounds=[bound for _, _, bound in parts]
            )
        return known

    def text(self, expression: Expression) -> int:
        """The start state of texts of a regular language."""
        known = self._texts.get(expression)
        if known is None:
            known = self._texts[expression] = self._union([(expression, 0)], Spelling.TEXT)
        return known

    def base(self, state: int) -> NDArray[np.uint32]:
        """The base mask of a state of any automaton. The caller must not change it."""
        universal = int(self.dfa.fields[state + STATE.UNIVERSAL])
        if 0 <= universal < layout.ANY_STRING_BETWEEN:
            state = self._universal_states(Spelling.JSON)[universal]
        else:
            state = self._uncounted(state)
        known = self.masks.get(self._numbered + state)
        if known is None:
            known = self.tokens.empty_mask()
            self._sweeps.allow(state, self.tokens.bare, known)
            self.masks.put(self._numbered + state, known)
        return known

    def text_mask(self, state: int) -> NDArray[np.uint32]:
        """The mask of all tokens that an automaton of texts can read from a state."""
        universal = int(self.dfa.fields[state + STATE.UNIVERSAL])
        state = (
            self._universal_states(Spelling.TEXT)[universal]
            if universal >= 0
            else self._uncounted(state)
        )
        known = self.masks.get(self._numbered + state)
        if known is None:
            known = self.tokens.empty_mask()
            self._sweeps.allow(state, self.tokens.bare, known)
            self._sweeps.allow(state, self.tokens.quoted, known)
            self.masks.put(self._numbered + state, known)
        return known

    def _uncounted(self, state: int) -> int:
        """A state with the same tokens that does not count characters."""
        dfa = self.dfa
        if dfa.fields[state + STATE.CHARACTERS] < 0:
            return state
        longest = self._longest
        return dfa.retried(lambda: subsets.uncounted(dfa.fields, dfa.table, state, longest))

    def alike(self, state: int) -> int:
        """A state with the same tokens and the same acceptance after each token.

        Where the counted characters make no difference to that, the state does not count them.
        So strings of many lengths share a few states.
        """
        fields = self.dfa.fields
        enough = fields[fields[state + STATE.AUTOMATON] + AUTOMATON.ENOUGH]
        return self._uncounted(state) if fields[state + STATE.CHARACTERS] >= enough else state

    def bounded(self, state: int, remaining: int) -> NDArray[np.uint32]:
        """The base mask of a state of any string when at most `remaining` characters may follow."""
        # No token begins more characters than it has bytes.
        remaining = min(remaining, self.tokens.bare.depth)
        number = self._bounded + (state << _REMAINING) + remaining
        known = self.masks.get(number)
        if known is None:
            known = self.tokens.empty_mask()
            bare = self.tokens.bare
            begun = self._counts.get(state)
            if begun is None:
                begun = self._counts[state] = self._sweeps.begun(state, bare)
            self._sweeps.allow_begun(begun, remaining, bare, known)
            self.masks.put(number, known)
        return known

    def _universal_states(self, spelling: Spelling) -> list[int]:
        """The states of the automaton of all strings, by `UniversalState`."""
        states = self._universal.get(spelling)
        if states is None:
            nfa = universal_nfa(spelling)
            states = []
            for universal in range(nfa.states):
                from_here = type(nfa)(
                    nfa.states, np.array([universal], np.int32), nfa.edges, nfa.accepts,
                    np.full(nfa.states, -1, np.int8),
                )  # fmt: skip
                states.append(self.dfa.add_automaton([(from_here, 0)]))
            self._universal[spelling] = states
        return states
