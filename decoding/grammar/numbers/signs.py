"""Automata of numbers apart by sign: a bound on digits does not count a minus."""

from __future__ import annotations

import numpy as np

from decoding.grammar.regular.nfa import EMPTY, Nfa, assembled

_MINUS = ord("-")


def signs(nfa: Nfa, *, minus: bool) -> Nfa:
    """The texts of an automaton of numbers that begin, or do not begin, with a minus."""
    if not nfa.states:
        return EMPTY
    edges = nfa.edges
    # A first state of its own, in case that a text comes back to where it began.
    first = edges[np.isin(edges[:, 0], nfa.starts) & ((edges[:, 1] == _MINUS) == minus)].copy()
    first[:, 0] = nfa.states
    rows = np.concatenate((edges, first))
    return assembled(nfa.states + 1, (nfa.states,), rows, nfa.accepts)
