"""`Sweeps` in NumPy: finds the tokens an automaton reads, token trie level by level.

The masks are those of `decoding.grammar.tokens.sweeps.KernelSweeps`, bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.regular.lazy_dfa import LazyDfa
from decoding.grammar.tokens.sweeps import Mask
from decoding.grammar.tokens.table import TokenTable
from decoding.grammar.tokens.trie import Trie
from decoding.kernels.grammar import layout, levels
from decoding.kernels.grammar.layout import STATE
from decoding.kernels.grammar.levels import (
    LevelNodes,
    Levels,
    allow_all,
    allow_where,
    nothing_allowed,
)

Integers = NDArray[np.int64]
States = NDArray[np.int32]


def levels_of(trie: Trie) -> Levels:
    """The levels of a trie."""
    return levels.levels_of(trie.nodes)


def allow_twins(mask: Mask, trie: Trie) -> None:
    """Set the mask bit of each token whose bytes equal those of an allowed token."""
    if len(trie.twins) == 0:
        return
    token, same = trie.twins.T
    allow_all(mask, token[mask[same >> 5] >> (same & 31).astype(np.uint32) & 1 == 1])


def read(
    dfa: LazyDfa, trie: Trie, state: int, keys: Sequence[int] = ()
) -> Iterator[tuple[LevelNodes, States]]:
    """Read a trie with an automaton; yields by depth nodes and their states, `DEAD` or others.

    keys: if there are any, states that lead to none of these keys are not entered.
    """
    by_depth = levels_of(trie)
    nodes, known = by_depth.start(state)
    while len(above := known.take(by_depth.parent[nodes])):
        states = _followed(dfa, above, by_depth.byte[nodes])
        if keys:
            leads = [
                dfa.fields[states + layout.STATE_SIZE + word] & listed != 0
                for word, listed in enumerate(keys)
            ]
            states[~np.logical_or.reduce(leads)] = layout.DEAD
        yield nodes, states
        nodes = by_depth.below(known, nodes, states, layout.DEAD)


def tokens_read(
    dfa: LazyDfa, trie: Trie, state: int, keys: Sequence[int] = ()
) -> NDArray[np.int32]:
    """The tokens that an automaton can read from a state; see `read`."""
    token = levels_of(trie).token
    found = [token[:0]]
    for nodes, states in read(dfa, trie, state, keys):
        tokens = token[nodes]
        found.append(tokens[(states != layout.DEAD) & (tokens >= 0)])
    return np.concatenate(found)


def _followed(dfa: LazyDfa, states: Integers, byte: Integers) -> States:
    """The states after one more byte each; `DEAD` stays."""
    offsets = states + byte
    found: States = dfa.fields.take(offsets)
    if found.min() < layout.DEAD:
        for state in np.unique(states[found == layout.UNKNOWN]).tolist():
            dfa.fill(state)
        found = dfa.fields.take(offsets)
    return found


class LevelSweeps:
    """`Sweeps` in NumPy that read all trie nodes of one depth at once."""

    def __init__(self, dfa: LazyDfa, tokens: TokenTable) -> None:
        self._dfa, self._width = dfa, tokens.width

    def allow(self, state: int, trie: Trie, mask: Mask) -> None:
        """See `Sweeps.allow`."""
        token, allowed = levels_of(trie).token, nothing_allowed(mask)
        for nodes, states in read(self._dfa, trie, state):
            allowed[token[nodes]] = states != layout.DEAD
        allow_where(mask, allowed)
        allow_twins(mask, trie)

    def begun(self, state: int, trie: Trie) -> NDArray[np.int16]:
        """See `Sweeps.begun`."""
        by_depth, fields = levels_of(trie), self._dfa.fields
        # The last elements are of the root, and of nodes without a token.
        counts = np.full(self._width + 1, -1, np.int16)
        begun = np.zeros(len(by_depth.byte) + 1, np.int16)
        begun[-1] = fields[state + STATE.UNIVERSAL] == layout.ANY_STRING_BETWEEN
        for nodes, states in read(self._dfa, trie, state):
            fields = self._dfa.fields
            above = begun.take(by_depth.parent[nodes])
            begins = fields.take(states + STATE.UNIVERSAL) == layout.ANY_STRING_BETWEEN
            begun[nodes] = above + begins
            token = by_depth.token[nodes]
            counts[np.where(states == layout.DEAD, -1, token)] = above
        return counts[:-1]

    def allow_begun(self, begun: NDArray[np.int16], most: int, trie: Trie, mask: Mask) -> None:
        """See `Sweeps.allow_begun`."""
        allow_all(mask, np.flatnonzero((begun >= 0) & (begun <= most)).astype(np.int32))
        allow_twins(mask, trie)
