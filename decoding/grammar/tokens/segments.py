"""Stretches of a token inside one string, one number or white space: what is around is the same.

What of a vocabulary lies in such a run, and with which bytes tokens leave it, does not depend on
the text before it: it is found once for all grammars of a store.
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
from decoding.kernels.grammar.json_step import QUOTE
from decoding.kernels.grammar.layout import ANY_STRING_BETWEEN, DEAD, STATE, STATE_SIZE, UNKNOWN

WHITE = b" \n\r\t"
STRUCTURAL = b'"-0123456789:,fnt[]{}'
"""The bytes that may come behind white space."""
_ROOM = 1 << 22
"""So many tokens and exits are kept, about 60 MiB; then what is known is found again."""

_FEW, _ANY = 1_000, 1 << 62
"""Where no token leaves a run, NumPy looks through all of them if there are not few."""

Key = tuple[object, ...]


class Exit(NamedTuple):
    """Where tokens leave a run.

    state: before the byte. tokens: those that end with it. below: the nodes to go on from.
    """

    state: int
    byte: int
    tokens: tuple[int, ...]
    below: Nodes


class Reading(NamedTuple):
    """What an automaton may read.

    state: the one to begin in. endings: the bytes that may leave it.
    keys: where there are any, states that lead to none of them are not gone to.
    """

    state: int
    endings: bytes
    keys: tuple[int, ...] = ()


class Run(NamedTuple):
    """A run from some nodes on. tokens: those that end in it."""

    tokens: NDArray[np.int32]
    exits: tuple[Exit, ...]


class Segments:
    """The runs of a vocabulary, found when they are first asked for."""

    def __init__(self, dfa: LazyDfa) -> None:
        self._dfa = dfa
        self._known: dict[Key, Run] = {}
        self._held = 0

    def read(self, reading: Reading, trie: Trie, nodes: Nodes) -> Run:
        """What an automaton reads; it may be left where it cannot go on."""
        return self._once((trie, nodes, reading), lambda: self._read(reading, trie, nodes))

    def counted(self, state: int, least: int, most: int, trie: Trie, nodes: Nodes) -> Run:
        """What the FREE automaton reads from a state on, and where a quote may end that.

        least: so many characters must begin before the quote. most: no more may; −1 is no bound.
        """
        return self._once(
            (trie, nodes, state, least, most),
            lambda: self._counted(state, (least, most), branches_of(trie), nodes),
        )

    def white(self, most: int, trie: Trie, nodes: Nodes) -> Run:
        """At most so much white space; what state it is left in is 0."""
        return self._once((trie, nodes, most), lambda: _white(most, branches_of(trie), nodes))

    def _once(self, key: Key, make: Callable[[], Run]) -> Run:
        """A run that is known, or is made and kept."""
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

    def _read(self, reading: Reading, trie: Trie, nodes: Nodes) -> Run:
        alone = nodes == ROOT and levels_of(trie).used.isdisjoint(reading.endings)
        found = self._visited(reading, branches_of(trie), nodes, _FEW if alone else _ANY)
        return found or Run(tokens_read(self._dfa, trie, reading.state, reading.keys), ())

    def _visited(
        self, reading: Reading, branches: Branches, nodes: Nodes, visits: int
    ) -> Run | None:
        """The run; `None` if it has more than so many nodes with children."""
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
                if following != DEAD:
                    if not keys or self.leads(following, keys):
                        inside += tokens
                        if below:
                            pending.append((below, following))
                elif byte in endings:
                    _join(exits, state, byte, tokens, below)
        return _run(inside, exits)

    def leads(self, state: int, keys: tuple[int, ...]) -> bool:
        """Whether a state leads to one of some keys."""
        words = state + STATE_SIZE
        fields = self._dfa.shared_fields
        return any(fields[words + word] & listed for word, listed in enumerate(keys))

    def _counted(
        self, state: int, bounds: tuple[int, int], branches: Branches, nodes: Nodes
    ) -> Run:
        least, most = bounds
        inside: list[int] = []
        exits: dict[tuple[int, int], tuple[list[int], list[int]]] = {}
        pending = [(nodes, state, 0)]
        while pending:
            nodes, state, begun = pending.pop()
            begins = self._dfa.shared_fields[state + STATE.UNIVERSAL] == ANY_STRING_BETWEEN
            for byte, tokens, below in branches.of(nodes).values():
                following = self._following(state, byte)
                if following == DEAD:
                    if byte == QUOTE and begun >= least:
                        _join(exits, state, byte, tokens, below)
                elif not (begins and begun == most):
                    inside += tokens
                    if below:
                        pending.append((below, following, begun + begins))
        return _run(inside, exits)

    def _following(self, state: int, byte: int) -> int:
        following: int = self._dfa.shared_fields[state + byte]
        if following == UNKNOWN:
            self._dfa.fill(state)
            following = self._dfa.shared_fields[state + byte]
        return following


def _white(most: int, branches: Branches, nodes: Nodes) -> Run:
    inside: list[int] = []
    exits: dict[tuple[int, int], tuple[list[int], list[int]]] = {}
    pending = [(nodes, most)]
    while pending:
        nodes, left = pending.pop()
        for byte, tokens, below in branches.of(nodes).values():
            if byte in STRUCTURAL:
                _join(exits, 0, byte, tokens, below)
            elif left and byte in WHITE:
                inside += tokens
                if below:
                    pending.append((below, left - 1))
    return _run(inside, exits)


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


def _run(inside: list[int], exits: dict[tuple[int, int], tuple[list[int], list[int]]]) -> Run:
    return Run(
        np.array(inside, np.int32),
        tuple(
            Exit(state, byte, tuple(tokens), tuple(below))
            for (state, byte), (tokens, below) in exits.items()
        ),
    )
