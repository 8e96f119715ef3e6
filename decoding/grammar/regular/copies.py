"""Makes arrays of the edges of repeated copies of an NFA, for the NFA builder's `{m,n}`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.regular.nfa import Nfa, UniversalState


class Tile:
    """An automaton to be repeated: its states, the edges into it, and those to the next copy."""

    def __init__(self, inner: Nfa) -> None:
        edges = inner.edges
        starting = np.zeros(inner.states, np.bool_)
        starting[inner.starts] = True
        entry = edges[starting[edges[:, 0]]]
        # A start state that no edge enters needs no state: its edges are `entry`.
        needed = ~starting
        needed[edges[:, 3]] = True
        ids = (np.cumsum(needed) - 1).astype(np.int32)
        accepting = np.zeros(inner.states, np.bool_)
        accepting[inner.accepts] = True
        self.nullable = bool((accepting & starting).any())
        self.states = int(needed.sum())
        own = edges[needed[edges[:, 0]]].copy()
        own[:, 0] = ids[own[:, 0]]
        own[:, 3] = ids[own[:, 3]]
        self.inner = own
        self.entry = entry[:, 1:].copy()
        self.entry[:, 2] = ids[self.entry[:, 2]]
        self.ends = ids[accepting & needed]
        onward = self.entry + np.array([0, 0, self.states], np.int32)
        self.onward = from_each(self.ends, onward)
        self.universal = inner.universal[needed]
        self.entry_universal = bool((inner.universal[inner.starts] == UniversalState.BETWEEN).any())


def from_each(sources: NDArray[np.int32], moves: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the edges of the same moves from each source."""
    found = np.empty((len(sources), len(moves), 4), np.int32)
    found[:, :, 0] = sources[:, None]
    found[:, :, 1:] = moves
    return found.reshape(-1, 4)


def tiled(edges: NDArray[np.int32], shifts: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return copies of the edges, one for each shift of the states' numbers."""
    found = np.repeat(edges[None], len(shifts), axis=0)
    found[:, :, 0] += shifts[:, None]
    found[:, :, 3] += shifts[:, None]
    return found.reshape(-1, 4)
