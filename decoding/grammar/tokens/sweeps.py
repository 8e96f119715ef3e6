"""Sweeps: find all tokens that one automaton can read from a state."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.regular.lazy_dfa import LazyDfa
from decoding.grammar.tokens.table import TokenTable
from decoding.grammar.tokens.trie import Trie
from decoding.kernels.grammar import layout, walk
from decoding.kernels.grammar.trie_nodes import copy_twins

Mask = NDArray[np.uint32]


class Sweeps(Protocol):
    """Protocol: finds the trie tokens that a `LazyDfa` state can read; only sets mask bits."""

    def allow(self, state: int, trie: Trie, mask: Mask) -> None:
        """Allow the tokens that can be read from a state."""

    def begun(self, state: int, trie: Trie) -> NDArray[np.int16]:
        """The characters that begin in each token, read from a state; −1: it cannot be read."""

    def allow_begun(self, begun: NDArray[np.int16], most: int, trie: Trie, mask: Mask) -> None:
        """Allow the readable tokens in which at most `most` characters begin."""


class KernelSweeps:
    """`Sweeps` by Numba kernels."""

    def __init__(self, dfa: LazyDfa, tokens: TokenTable) -> None:
        self._dfa, self._width = dfa, tokens.width
        depth = 2 + max(tokens.bare.depth, tokens.quoted.depth)
        self._stack = np.zeros(depth, np.int64)
        self._pairs = np.zeros((depth, 2), np.int64)

    def allow(self, state: int, trie: Trie, mask: Mask) -> None:
        """See `Sweeps.allow`."""
        dfa = self._dfa
        dfa.retried(
            lambda: walk.sweep(
                dfa.fields, dfa.table, trie.nodes, state,
                self._stack, mask,
            )
        )  # fmt: skip
        copy_twins(trie.twins, mask)

    def begun(self, state: int, trie: Trie) -> NDArray[np.int16]:
        """See `Sweeps.begun`."""
        counts = np.full(self._width, -1, np.int16)
        dfa = self._dfa
        dfa.retried(
            lambda: walk.survey(
                dfa.fields, dfa.table, trie.nodes, state,
                layout.ANY_STRING_BETWEEN, self._pairs, counts,
            )
        )  # fmt: skip
        return counts

    def allow_begun(self, begun: NDArray[np.int16], most: int, trie: Trie, mask: Mask) -> None:
        """See `Sweeps.allow_begun`."""
        walk.within(begun, most, mask)
        copy_twins(trie.twins, mask)
