"""Splits a number NFA into texts with and without a minus, so that digits can be bounded."""

from __future__ import annotations

import numpy as np

from decoding.grammar.regular.nfa import EMPTY, Nfa, assembled

_MINUS = ord("-")


def signs(nfa: Nfa, *, minus: bool) -> Nfa:
    """Return the automaton of those texts that begin, or do not begin, with a minus."""
    if not nfa.states:
        return EMPTY
    edges = nfa.edges
    # A start state of its own: the old one may be entered again.
    first = edges[np.isin(edges[:, 0], nfa.starts) & ((edges[:, 1] == _MINUS) == minus)].copy()
    first[:, 0] = nfa.states
    rows = np.concatenate((edges, first))
    return assembled(nfa.states + 1, (nfa.states,), rows, nfa.accepts)
