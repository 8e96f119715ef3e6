"""An automaton run by its definition."""

from __future__ import annotations

from decoding.grammar.regular.nfa import Nfa


def runs(nfa: Nfa, data: bytes) -> bool:
    """Whether the automaton accepts these bytes."""
    states = set(nfa.starts.tolist())
    edges = nfa.edges.tolist()
    for byte in data:
        states = {t for s, low, high, t in edges if s in states and low <= byte <= high}
    return bool(states & set(nfa.accepts.tolist()))
