"""What the tokens of a vocabulary mean to one automaton, whatever surrounds it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.regular.lazy_dfa import Arena
from decoding.grammar.tokens.table import TokenTable
from decoding.grammar.tokens.trie import Trie
from decoding.kernels.grammar import walk
from decoding.kernels.grammar.jit import shared
from decoding.kernels.grammar.nodes import copy_twins
from decoding.kernels.grammar.step import FREE_BETWEEN

Mask = NDArray[np.uint32]


class Sweeps(Protocol):
    """Sweeps of the automata in an arena. Bits are only ever set."""

    def allow(self, state: int, trie: Trie, mask: Mask) -> None:
        """Allow the tokens that can be read from a state."""
        ...

    def begun(self, state: int, trie: Trie) -> NDArray[np.int16]:
        """How many characters each token begins, read from a FREE state; −1: it cannot be read."""
        ...

    def allow_begun(self, begun: NDArray[np.int16], most: int, trie: Trie, mask: Mask) -> None:
        """Allow the tokens that begin at most so many characters, of those that can be read."""
        ...


class KernelSweeps:
    """Sweeps by kernels."""

    def __init__(self, arena: Arena, tokens: TokenTable) -> None:
        self._arena, self._width = arena, tokens.width
        depth = 2 + max(tokens.bare.depth, tokens.quoted.depth)
        self._stack = np.zeros(depth, np.int64)
        self._pairs = np.zeros((depth, 2), np.int64)

    def allow(self, state: int, trie: Trie, mask: Mask) -> None:
        """See `Sweeps.allow`."""
        arena = self._arena
        arena.retried(
            lambda: walk.sweep(
                arena.shared_fields, arena.shared_table, shared(trie.nodes), state,
                shared(self._stack), shared(mask),
            )
        )  # fmt: skip
        copy_twins(shared(trie.twins), shared(mask))

    def begun(self, state: int, trie: Trie) -> NDArray[np.int16]:
        """See `Sweeps.begun`."""
        counts = np.full(self._width, -1, np.int16)
        arena = self._arena
        arena.retried(
            lambda: walk.survey(
                arena.shared_fields, arena.shared_table, shared(trie.nodes), state, FREE_BETWEEN,
                shared(self._pairs), shared(counts),
            )
        )  # fmt: skip
        return counts

    def allow_begun(self, begun: NDArray[np.int16], most: int, trie: Trie, mask: Mask) -> None:
        """See `Sweeps.allow_begun`."""
        walk.within(shared(begun), most, shared(mask))
        copy_twins(shared(trie.twins), shared(mask))
