"""Automata of numbers apart by sign: a bound on digits does not count a minus."""

from __future__ import annotations

import numpy as np

from decoding.grammar.regular.nfa import EMPTY, Loose, Nfa, trimmed

_MINUS = ord("-")


def signs(nfa: Nfa, *, minus: bool) -> Nfa:
    """The texts of an automaton of numbers that begin, or do not begin, with a minus."""
    if not nfa.states:
        return EMPTY
    edges = nfa.edges
    # A first state of its own, in case that a text comes back to where it began.
    first = edges[np.isin(edges[:, 0], nfa.starts) & ((edges[:, 1] == _MINUS) == minus)].copy()
    first[:, 0] = nfa.states
    return trimmed(
        Nfa(
            nfa.states + 1,
            np.array((nfa.states,), np.int32),
            np.concatenate((edges, first)),
            nfa.accepts,
            np.full(nfa.states + 1, Loose.NONE, np.int8),
        )
    )
