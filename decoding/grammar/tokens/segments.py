"""Finds and caches which tokens stay inside a JSON string, number or whitespace, or leave it.

Which tokens lie inside a segment, and with which bytes tokens leave it, does not depend on the text
before the segment. So the interpreted route computes a segment once for all grammars of a store.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.regular.lazy_dfa import LazyDfa
from decoding.grammar.tokens.branches import ROOT, Branches, Nodes, branches_of
from decoding.grammar.tokens.levels import levels_of, tokens_read
from decoding.grammar.tokens.trie import Trie
from decoding.kernels.grammar import layout
from decoding.kernels.grammar.json_step import QUOTE
from decoding.kernels.grammar.layout import STATE
from decoding.kernels.grammar.whitespace import longer_loose

WHITESPACE = b" \n\r\t"
STRUCTURAL = b'"-0123456789:,fnt[]{}'
"""The bytes that may follow whitespace."""
_ROOM = 1 << 22
"""The cache of segments holds so many tokens and exits, about 60 MiB; then it is cleared."""

_FEW, _ANY = 1_000, 1 << 62
"""Where no token leaves a segment, NumPy reads the whole trie unless few nodes are reached."""

Key = tuple[object, ...]


class Exit(NamedTuple):
    """An exit of a segment: a byte with which tokens leave it.

    state: before the byte. tokens: those that end with it. below: the nodes behind the byte.
    """

    state: int
    byte: int
    tokens: tuple[int, ...]
    below: Nodes


class Reading(NamedTuple):
    """Where an automaton starts on tokens, bytes that may leave it, and keys still allowed.

    state: where it begins. endings: the bytes that may leave it.
    keys: if there are any, states that lead to none of these keys are not entered.
    """

    state: int
    endings: bytes
    keys: tuple[int, ...] = ()


class Segment(NamedTuple):
    """From some trie nodes on: vocabulary tokens that stay in one JSON lexeme, and the exits."""

    tokens: NDArray[np.int32]
    exits: tuple[Exit, ...]


class Segments:
    """The segments of the tokens of a vocabulary, computed when they are first asked for."""

    def __init__(self, dfa: LazyDfa) -> None:
        self._dfa = dfa
        self._known: dict[Key, Segment] = {}
        self._held = 0

    def read(self, reading: Reading, trie: Trie, nodes: Nodes) -> Segment:
        """The segment that an automaton reads; tokens leave it where the automaton cannot go on."""
        return self._cached((trie, nodes, reading), lambda: self._read(reading, trie, nodes))

    def counted(self, state: int, least: int, most: int, trie: Trie, nodes: Nodes) -> Segment:
        """The segment of a string of bounded length, read by the automaton of any string.

        least: so many characters must begin before the quote. most: no more may; −1 is no bound.
        """
        return self._cached(
            (trie, nodes, state, least, most),
            lambda: self._counted(state, (least, most), branches_of(trie), nodes),
        )

    def whitespace(self, seen: int, spacing: int, trie: Trie, nodes: Nodes) -> Segment:
        """The segment of the whitespace between two JSON tokens; the state of its exits is 0.

        seen: the whitespace in front of the tokens, and spacing: which is not fixed; see
            `decoding.kernels.grammar.whitespace`.
        """
        return self._cached(
            (trie, nodes, seen, spacing),
            lambda: _whitespace_segment(seen, spacing, branches_of(trie), nodes),
        )

    def _cached(self, key: Key, make: Callable[[], Segment]) -> Segment:
        """The segment of a key, from the cache or computed."""
        known = self._known.get(key)
        if known is None:
            known = make()
            size = len(known.tokens) + 10 * len(known.exits)
            if self._held + size > _ROOM:
                self._known.clear()
                self._held = 0
            self._known[key] = known
            self._held += size
        return known

    def _read(self, reading: Reading, trie: Trie, nodes: Nodes) -> Segment:
        alone = nodes == ROOT and levels_of(trie).used.isdisjoint(reading.endings)
        found = self._visited(reading, branches_of(trie), nodes, _FEW if alone else _ANY)
        return found or Segment(tokens_read(self._dfa, trie, reading.state, reading.keys), ())

    def _visited(
        self, reading: Reading, branches: Branches, nodes: Nodes, visits: int
    ) -> Segment | None:
        """The segment; `None` if it has more than `visits` nodes with children."""
        state, endings, keys = reading
        inside: list[int] = []
        exits: dict[tuple[int, int], tuple[list[int], list[int]]] = {}
        pending = [(nodes, state)]
        while pending:
            visits -= 1
            if visits < 0:
                return None
            nodes, state = pending.pop()
            for byte, tokens, below in branches.of(nodes).values():
                following = self._following(state, byte)
                if following != layout.DEAD:
                    if not keys or self.leads(following, keys):
                        inside += tokens
                        if below:
                            pending.append((below, following))
                elif byte in endings:
                    _join(exits, state, byte, tokens, below)
        return _segment(inside, exits)

    def leads(self, state: int, keys: tuple[int, ...]) -> bool:
        """Whether a state of a key automaton leads to one of some keys."""
        words = state + layout.STATE_SIZE
        fields = self._dfa.fields_view
        return any(fields[words + word] & listed for word, listed in enumerate(keys))

    def _counted(
        self, state: int, bounds: tuple[int, int], branches: Branches, nodes: Nodes
    ) -> Segment:
        least, most = bounds
        inside: list[int] = []
        exits: dict[tuple[int, int], tuple[list[int], list[int]]] = {}
        pending = [(nodes, state, 0)]
        while pending:
            nodes, state, begun = pending.pop()
            begins = self._dfa.fields_view[state + STATE.UNIVERSAL] == layout.ANY_STRING_BETWEEN
            for byte, tokens, below in branches.of(nodes).values():
                following = self._following(state, byte)
                if following == layout.DEAD:
                    if byte == QUOTE and begun >= least:
                        _join(exits, state, byte, tokens, below)
                elif not (begins and begun == most):
                    inside += tokens
                    if below:
                        pending.append((below, following, begun + begins))
        return _segment(inside, exits)

    def _following(self, state: int, byte: int) -> int:
        following: int = self._dfa.fields_view[state + byte]
        if following == layout.UNKNOWN:
            self._dfa.fill(state)
            following = self._dfa.fields_view[state + byte]
        return following


def _whitespace_segment(seen: int, spacing: int, branches: Branches, nodes: Nodes) -> Segment:
    inside: list[int] = []
    exits: dict[tuple[int, int], tuple[list[int], list[int]]] = {}
    pending = [(nodes, seen)]
    while pending:
        nodes, seen = pending.pop()
        for byte, tokens, below in branches.of(nodes).values():
            if byte in STRUCTURAL:
                _join(exits, 0, byte, tokens, below)
            elif byte in WHITESPACE:
                after = longer_loose(seen, byte, spacing)
                if after >= 0:
                    inside += tokens
                    if below:
                        pending.append((below, after))
    return _segment(inside, exits)


def _join(
    exits: dict[tuple[int, int], tuple[list[int], list[int]]],
    state: int,
    byte: int,
    tokens: tuple[int, ...],
    below: Nodes,
) -> None:
    known = exits.setdefault((state, byte), ([], []))
    known[0].extend(tokens)
    known[1].extend(below)


def _segment(
    inside: list[int], exits: dict[tuple[int, int], tuple[list[int], list[int]]]
) -> Segment:
    return Segment(
        np.array(inside, np.int32),
        tuple(
            Exit(state, byte, tuple(tokens), tuple(below))
            for (state, byte), (tokens, below) in exits.items()
        ),
    )
