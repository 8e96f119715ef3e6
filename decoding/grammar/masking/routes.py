"""What looks through the tokens of a vocabulary: compiled kernels, or NumPy and Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from decoding.grammar.json.configurations import Places
from decoding.grammar.masking.interpreted import MemoizedWalks
from decoding.grammar.masking.walks import KernelWalks, Walks
from decoding.grammar.regular.lazy_dfa import LazyDfa
from decoding.grammar.tokens.levels import LevelSweeps
from decoding.grammar.tokens.sweeps import KernelSweeps, Sweeps
from decoding.grammar.tokens.table import TokenTable
from decoding.kernels.grammar.jit import COMPILED


@dataclass(frozen=True, slots=True)
class Route:
    """How masks are made; they are the same with every back end.

    sweeps: for the automata of a store. walks: for the texts of a grammar.
    """

    sweeps: Callable[[LazyDfa, TokenTable], Sweeps]
    walks: Callable[[Places], Walks]


KERNELS = Route(KernelSweeps, KernelWalks)
INTERPRETED = Route(LevelSweeps, MemoizedWalks)
"""For where no kernels are compiled: as plain Python these take fifteen times as long."""
PREFERRED = KERNELS if COMPILED else INTERPRETED
