"""NumPy: fills the token mask of an Earley state by trie level; no compiled walk needed."""

from __future__ import annotations

import numpy as np

from decoding.kernels.grammar.arrays import Int64s, UInt32s, UInt64s
from decoding.kernels.grammar.earley_arrays import UNKNOWN, Chart, Network
from decoding.kernels.grammar.earley_step import fill
from decoding.kernels.grammar.levels import allow_all, levels_of


def walked_by_levels(
    network: Network, chart: Chart, notes: Int64s, trie: UInt64s, state: int, mask: UInt32s
) -> int:
    """Set the bits of all tokens that may follow a state, as `earley_walk.walk` does.

    All nodes of one depth are followed at once; a transition that is not known yet is computed
    once for all of them. Returns 0, or a code below `UNKNOWN`; then the mask is not complete.
    """
    levels = levels_of(trie)
    nodes, parents = np.arange(levels.roots), np.zeros(levels.roots, np.int64)
    states = np.array([state])
    while len(nodes):
        above, columns = states[parents], network.column_of[levels.byte[nodes]]
        states = chart.transitions[above, columns]
        missing = states == UNKNOWN
        if missing.any():
            pairs = np.unique(np.stack([above[missing], columns[missing]]), axis=1)
            for origin, column in pairs.T.tolist():
                if chart.transitions[origin, column] == UNKNOWN:
                    target = fill(network, chart, notes, origin, column)
                    if target < UNKNOWN:
                        return int(target)
            states = chart.transitions[above, columns]
        alive = states >= 0
        states, nodes = states[alive], nodes[alive]
        tokens = levels.token[nodes]
        allow_all(mask, tokens[tokens >= 0])
        nodes, parents = levels.below(nodes)
    return 0
