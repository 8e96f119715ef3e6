"""Automata of numbers by the form of their text: with, or without, a sign, fraction or exponent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

import numpy as np

from decoding.grammar.numbers.digits import decimals
from decoding.grammar.numbers.number_nfa import DIGITS, number_nfa, shortest_of_one
from decoding.grammar.numbers.ranges import NumberRange, is_member
from decoding.grammar.regular.nfa import EMPTY, Nfa, assembled, moves_of, trimmed
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


def with_texts(ranges: tuple[NumberRange, ...], digits: int | None) -> tuple[NumberRange, ...]:
    """Return the ranges of which a member has a text that masks write.

    digits: the most characters of a text behind its sign; `None` is no bound.
    """
    return tuple(part for part in ranges if _is_written(part, digits))


def _is_written(part: NumberRange, digits: int | None) -> bool:
    """Whether a member of a range has a text; most ranges have one that is found at once."""
    if part.low is not None and part.low == part.high and part.plain is None:
        shortest = shortest_of_one(part.low)
        return shortest is not None and (digits is None or shortest <= digits)
    members = (value for value in _candidates(part) if is_member(part, value))
    return any(_is_short(part, value) for value in members) or _has_text(part, digits)


def _candidates(part: NumberRange) -> Iterator[Fraction]:
    low, high, step = part.low, part.high, part.step
    yield from (bound for bound in (low, high) if bound is not None)
    unit = Fraction(1) if step is None else step
    for bound, towards in ((low, 1), (high, -1)):
        if bound is not None:
            nearest = ceil(bound / unit) if towards > 0 else floor(bound / unit)
            yield from ((nearest + towards * further) * unit for further in range(3))
    yield from (Fraction(0), unit, -unit)
    if step is None and low is not None and high is not None:
        middle = (low + high) / 2
        yield Fraction(f"{float(middle):.5g}") if abs(middle) < 10**DIGITS else middle


def _is_short(part: NumberRange, value: Fraction) -> bool:
    places = 0 if value.denominator == 1 else decimals(value)
    if places is None or (places and part.plain):
        return False
    return abs(value) < 10 ** (DIGITS - places) and places < DIGITS


@remembered(256)
def _has_text(part: NumberRange, digits: int | None) -> bool:
    nfa = spelled_numbers((part,))
    if digits is None:
        return nfa.states > 0
    return any(_is_within(signs(nfa, minus=minus), digits + minus) for minus in (False, True))


def _is_within(nfa: Nfa, longest: int) -> bool:
    """Whether an automaton accepts a text of at most so many bytes."""
    if not nfa.states:
        return False
    moves, accepting = moves_of(nfa), set(nfa.accepts.tolist())
    reached = seen = set(nfa.starts.tolist())
    for _ in range(longest + 1):
        if not accepting.isdisjoint(reached):
            return True
        reached = {target for state in reached for *_, target in moves[state]} - seen
        seen = seen | reached
    return False


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
