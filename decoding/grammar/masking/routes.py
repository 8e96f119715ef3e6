"""The two routes to a mask: compiled kernels, or NumPy and Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from decoding.grammar.json.configurations import Configurations
from decoding.grammar.masking.interpreted import MemoizedWalks
from decoding.grammar.masking.walks import KernelWalks, Walks
from decoding.grammar.regular.lazy_dfa import LazyDfa
from decoding.grammar.tokens.levels import LevelSweeps
from decoding.grammar.tokens.sweeps import KernelSweeps, Sweeps
from decoding.grammar.tokens.table import TokenTable
from decoding.kernels.grammar.jit import COMPILED


@dataclass(frozen=True, slots=True)
class Route:
    """How masks are computed; every route gives the same masks.

    sweeps: makes the sweeps of the automata of a store. walks: those of the texts of a grammar.
    """

    sweeps: Callable[[LazyDfa, TokenTable], Sweeps]
    walks: Callable[[Configurations], Walks]


KERNELS = Route(KernelSweeps, KernelWalks)
INTERPRETED = Route(LevelSweeps, MemoizedWalks)
"""The route without compiled kernels, which take fifteen times as long as plain Python."""
PREFERRED = KERNELS if COMPILED else INTERPRETED
