"""Routes to a mask: Numba kernels; NumPy and Python; or the latter until kernels load."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decoding import compilation
from decoding.grammar.json.configurations import Configuration, Configurations
from decoding.grammar.masking.interpreted import MemoizedWalks
from decoding.grammar.masking.walks import KernelWalks, Walks
from decoding.grammar.regular.lazy_dfa import LazyDfa
from decoding.grammar.tokens.levels import LevelSweeps
from decoding.grammar.tokens.sweeps import KernelSweeps, Mask, Sweeps
from decoding.grammar.tokens.table import TokenTable
from decoding.grammar.tokens.trie import Trie
from decoding.kernels.grammar import walk
from decoding.kernels.grammar.entries import Entry
from decoding.kernels.units import Group


class BridgedSweeps:
    """Sweeps in NumPy until the kernels are loaded, from then on by kernels; see `Sweeps`."""

    def __init__(self, dfa: LazyDfa, tokens: TokenTable) -> None:
        self._kernels, self._levels = KernelSweeps(dfa, tokens), LevelSweeps(dfa, tokens)

    def allow(self, state: int, trie: Trie, mask: Mask) -> None:
        """See `Sweeps.allow`."""
        self._now(walk.sweep).allow(state, trie, mask)

    def begun(self, state: int, trie: Trie) -> NDArray[np.int16]:
        """See `Sweeps.begun`."""
        return self._now(walk.survey).begun(state, trie)

    def allow_begun(self, begun: NDArray[np.int16], most: int, trie: Trie, mask: Mask) -> None:
        """See `Sweeps.allow_begun`."""
        self._now(walk.within).allow_begun(begun, most, trie, mask)

    def _now(self, kernel: Entry) -> Sweeps:
        return self._kernels if kernel.is_compiled else self._levels


class BridgedWalks:
    """Walks in Python until the kernel is loaded, from then on by the kernel; see `Walks`."""

    def __init__(self, configurations: Configurations) -> None:
        self._kernel = KernelWalks(configurations)
        self._memoized = MemoizedWalks(configurations)

    def follow(self, number: int, text: bytes) -> int:
        """See `Walks.follow`."""
        return self._now().follow(number, text)

    def allow(self, configuration: Configuration, trie: Trie, mask: Mask) -> None:
        """See `Walks.allow`."""
        self._now().allow(configuration, trie, mask)

    def _now(self) -> Walks:
        return self._kernel if walk.walk.is_compiled else self._memoized


def _begin_nothing(_: Group) -> None:
    """Begin with what is loaded."""


def _wait(group: Group) -> None:
    """Wait for a group of kernels; without Numba they run as Python."""
    with contextlib.suppress(ImportError):
        compilation.loader().wait(group)


@dataclass(frozen=True, slots=True)
class Route:
    """How masks are computed: makers of `Sweeps` and `Walks`; all routes give the same masks.

    sweeps: makes the sweeps of the automata of a store. walks: those of the texts of a grammar.
    begin: called with the kernels that a grammar needs, when it is compiled.
    """

    sweeps: Callable[[LazyDfa, TokenTable], Sweeps]
    walks: Callable[[Configurations], Walks]
    begin: Callable[[Group], None] = _begin_nothing


KERNELS = Route(KernelSweeps, KernelWalks, _wait)
"""Compiled kernels, for which the first grammar waits; without Numba they run as Python."""
INTERPRETED = Route(LevelSweeps, MemoizedWalks)
"""The route without compiled kernels: a mask takes about five to ten times as long."""
BRIDGED = Route(BridgedSweeps, BridgedWalks, compilation.begin)
"""The interpreted route until the kernels are loaded, which may be while a text is followed."""
PREFERRED = BRIDGED if importlib.util.find_spec("numba") else INTERPRETED
