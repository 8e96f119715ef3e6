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
from decoding.kernels.grammar.levels import Levels, allow_all

Integers = NDArray[np.int64]


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
) -> Iterator[tuple[Integers, Integers, Integers]]:
    """Read a trie with an automaton; yields by level: nodes reached, their parents, states above.

    keys: if there are any, states that lead to none of these keys are not entered.
    A parent is an index of the nodes of the level before.
    """
    by_depth = levels_of(trie)
    nodes, parents = np.arange(by_depth.roots), np.zeros(by_depth.roots, np.int64)
    states = np.array([state])
    while len(nodes):
        above = states[parents]
        states = _followed(dfa, above, by_depth.byte[nodes])
        reached = states != layout.DEAD
        if keys:
            leads = [
                dfa.fields[states + layout.STATE_SIZE + word] & listed != 0
                for word, listed in enumerate(keys)
            ]
            reached &= np.logical_or.reduce(leads)
        alive = np.flatnonzero(reached)
        states, nodes = states[alive], nodes[alive]
        yield nodes, parents[alive], above[alive]
        nodes, parents = by_depth.below(nodes)


def tokens_read(
    dfa: LazyDfa, trie: Trie, state: int, keys: Sequence[int] = ()
) -> NDArray[np.int32]:
    """The tokens that an automaton can read from a state; see `read`."""
    token = levels_of(trie).token
    tokens = [token[nodes] for nodes, _, _ in read(dfa, trie, state, keys)]
    found = np.concatenate([token[:0], *tokens])
    return found[found >= 0]


def _followed(dfa: LazyDfa, states: Integers, byte: Integers) -> Integers:
    offsets = states + byte
    found: Integers = dfa.fields[offsets]
    missing = found == layout.UNKNOWN
    if missing.any():
        for state in np.unique(states[missing]).tolist():
            dfa.fill(state)
        found = dfa.fields[offsets]
    return found


class LevelSweeps:
    """`Sweeps` in NumPy that read all trie nodes of one depth at once."""

    def __init__(self, dfa: LazyDfa, tokens: TokenTable) -> None:
        self._dfa, self._width = dfa, tokens.width

    def allow(self, state: int, trie: Trie, mask: Mask) -> None:
        """See `Sweeps.allow`."""
        allow_all(mask, tokens_read(self._dfa, trie, state))
        allow_twins(mask, trie)

    def begun(self, state: int, trie: Trie) -> NDArray[np.int16]:
        """See `Sweeps.begun`."""
        counts = np.full(self._width, -1, np.int16)
        begun = np.zeros(1, np.int16)
        for nodes, parents, above in read(self._dfa, trie, state):
            begun = begun[parents] + (
                self._dfa.fields[above + STATE.UNIVERSAL] == layout.ANY_STRING_BETWEEN
            )
            token = levels_of(trie).token[nodes]
            counts[token[token >= 0]] = begun[token >= 0]
        return counts

    def allow_begun(self, begun: NDArray[np.int16], most: int, trie: Trie, mask: Mask) -> None:
        """See `Sweeps.allow_begun`."""
        allow_all(mask, np.flatnonzero((begun >= 0) & (begun <= most)).astype(np.int32))
        allow_twins(mask, trie)
