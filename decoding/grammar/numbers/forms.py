"""Automata of numbers by the form of their text: with, or without, a sign, fraction or exponent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from decoding.grammar.numbers.number_nfa import number_nfa
from decoding.grammar.numbers.ranges import NumberRange
from decoding.grammar.regular.nfa import EMPTY, Nfa, assembled, trimmed
from decoding.grammar.regular.work import remembered

_PLAIN = tuple(sorted(b"-0123456789"))
_MINUS = ord("-")


@remembered(2048)
def spelled_numbers(ranges: tuple[NumberRange, ...]) -> Nfa:
    """Return the automaton of the texts of some numbers, in the forms that each range allows."""
    if all(part.plain is None for part in ranges):
        return number_nfa(ranges)
    found = EMPTY
    for plain in (None, True, False):
        parts = tuple(replace(part, plain=None) for part in ranges if part.plain is plain)
        nfa = number_nfa(parts) if parts else EMPTY
        found = _united(found, nfa if plain is None else _restricted(nfa, plain=plain))
    return found


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


def _restricted(nfa: Nfa, *, plain: bool) -> Nfa:
    """Return the automaton of those texts that consist, or do not, of digits and a sign alone."""
    if not nfa.states:
        return EMPTY
    edges = nfa.edges
    # No range of bytes on an edge of a number has both plain bytes and others.
    is_plain = np.isin(edges[:, 1], _PLAIN)
    if plain:
        return trimmed(replace(nfa, edges=edges[is_plain]))
    # States twice: before anything that is not plain was read, and after it.
    above = np.array((nfa.states, 0, 0, nfa.states), np.int32)
    across = np.array((0, 0, 0, nfa.states), np.int32)
    both = np.concatenate((edges[is_plain], edges[~is_plain] + across, edges + above))
    return assembled(2 * nfa.states, nfa.starts, both, nfa.accepts + nfa.states)


def _united(one: Nfa, other: Nfa) -> Nfa:
    if not one.states or not other.states:
        return other if not one.states else one
    shift = np.array((one.states, 0, 0, one.states), np.int32)
    return assembled(
        one.states + other.states,
        np.concatenate((one.starts, other.starts + one.states)),
        np.concatenate((one.edges, other.edges + shift)),
        np.concatenate((one.accepts, other.accepts + one.states)),
    )
