"""NumPy: fills the token mask of an Earley state by trie level; no compiled walk needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from decoding.kernels.grammar.arrays import Int64s, UInt32s, UInt64s
from decoding.kernels.grammar.earley_arrays import DEAD, UNKNOWN, Chart, Network
from decoding.kernels.grammar.earley_step import filled
from decoding.kernels.grammar.entries import viewed
from decoding.kernels.grammar.levels import allow_where, levels_of, nothing_allowed

_filled: Callable[..., int] = filled
"""It runs as Python, which reads memory views faster than arrays."""


def walked_by_levels(
    network: Network, chart: Chart, notes: Int64s, trie: UInt64s, state: int, mask: UInt32s
) -> int:
    """Set the bits of all tokens that may follow a state, as `earley_walk.walk` does.

    All nodes of one depth are followed at once; a transition that is not known yet is computed
    once for all of them. Returns 0, or a code below `UNKNOWN`; then the mask is not complete.
    """
    levels = levels_of(trie)
    transitions, width = chart.transitions.ravel(), chart.transitions.shape[1]
    allowed = nothing_allowed(mask)
    views: tuple[Any, ...] = ()
    nodes, known = levels.start(state)
    while len(above := known.take(levels.parent[nodes])):
        is_dead = above == DEAD
        offsets = above * width + network.column_of.take(levels.byte[nodes])
        offsets[is_dead] = 0
        states = np.where(is_dead, DEAD, transitions.take(offsets))
        if states.min() == UNKNOWN:
            views = views or (viewed(network), viewed(chart), notes.data)
            for offset in np.unique(offsets[states == UNKNOWN]).tolist():
                if transitions[offset] == UNKNOWN:
                    target = _filled(*views, *divmod(offset, width))
                    if target < UNKNOWN:
                        return target
            states = np.where(is_dead, DEAD, transitions.take(offsets))
        allowed[levels.token[nodes]] = states != DEAD
        nodes = levels.below(known, nodes, states, DEAD)
    allow_where(mask, allowed)
    return 0
