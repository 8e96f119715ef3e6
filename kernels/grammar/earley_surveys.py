"""Finds the tokens that a state of a rule's automaton allows whatever rule called it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.grammar.earley_arrays import Network
from decoding.kernels.grammar.earley_walk import survey

# A survey is kept if it visits at least so many nodes, of which less than one in `_RARE` leads to
# where the rule may end, calls or has a choice. Surveys of so many bytes are kept.
_MANY = 4_096
_RARE = 16
_ROOM = 1 << 24


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """Tokens that one rule state allows for any caller, and trie positions to go on from."""

    mask: NDArray[np.uint32]
    positions: NDArray[np.int64]
    targets: NDArray[np.int64]


class Surveys:
    """The surveys of one grammar over one trie, made when they are first needed."""

    def __init__(self, trie: NDArray[np.uint64], words: int) -> None:
        self.trie = trie
        self.scratch = np.zeros(words, np.uint32)
        self._positions = np.zeros((2, trie.size // max(_RARE, 1) + 1), np.int64)
        self._known: dict[int, Survey | None] = {}
        self._bytes = 0

    def of(self, network: Network, stack: NDArray[np.int32], state: int) -> Survey | None:
        """The survey of a network state; `None` where it would save too little time."""
        if state not in self._known:
            self._known[state] = self._made(network, stack, state) if self._bytes < _ROOM else None
        return self._known[state]

    def _made(self, network: Network, stack: NDArray[np.int32], state: int) -> Survey | None:
        self.scratch.fill(0)
        visited, found = survey(
            network,
            stack,
            self.trie,
            state,
            self.scratch,
            *self._positions,
        )
        if visited < _MANY or found < 0 or found * _RARE > visited:
            return None
        order = np.argsort(self._positions[1, :found], kind="stable")
        positions, targets = (row[order] for row in self._positions)
        self._bytes += self.scratch.nbytes + positions.nbytes + targets.nbytes
        return Survey(self.scratch.copy(), positions, targets)
