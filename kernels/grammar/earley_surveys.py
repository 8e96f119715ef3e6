"""Surveys of a vocabulary: what a network state allows by itself, looked for once and kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.grammar.earley_arrays import Network
from decoding.kernels.grammar.earley_walk import survey
from decoding.kernels.grammar.jit import shared

# A network state is worth a survey of its own if that visits so many nodes, and not one in so many
# leads out of it. Surveys of so many bytes are kept.
_MANY = 4_096
_RARE = 16
_ROOM = 1 << 24


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """See `decoding.kernels.grammar.earley_walk.survey`; places are sorted by their targets."""

    mask: NDArray[np.uint32]
    places: NDArray[np.int64]
    targets: NDArray[np.int64]


class Surveys:
    """The surveys of one grammar with one trie, for masks of so many words."""

    def __init__(self, trie: NDArray[np.uint64], words: int) -> None:
        self.trie = trie
        self.scratch = np.zeros(words, np.uint32)
        self._places = np.zeros((2, trie.size // max(_RARE, 1) + 1), np.int64)
        self._known: dict[int, Survey | None] = {}
        self._bytes = 0

    def of(self, network: Network, stack: NDArray[np.int32], state: int) -> Survey | None:
        """The survey of a network state; `None` where it is not worth knowing."""
        if state not in self._known:
            self._known[state] = self._made(network, stack, state) if self._bytes < _ROOM else None
        return self._known[state]

    def _made(self, network: Network, stack: NDArray[np.int32], state: int) -> Survey | None:
        self.scratch.fill(0)
        visited, found = survey(
            network,
            stack,
            shared(self.trie),
            state,
            shared(self.scratch),
            *(shared(row) for row in self._places),
        )
        if visited < _MANY or found < 0 or found * _RARE > visited:
            return None
        order = np.argsort(self._places[1, :found], kind="stable")
        places, targets = self._places[:, order]
        self._bytes += self.scratch.nbytes + places.nbytes + targets.nbytes
        return Survey(self.scratch.copy(), places, targets)
