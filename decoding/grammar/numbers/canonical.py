"""Builds the automaton of one canonical text a number, as `uniqueItems` compares texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from decoding.grammar.numbers.forms import spelled_numbers
from decoding.grammar.numbers.number_nfa import DIGITS
from decoding.grammar.numbers.ranges import NumberRange
from decoding.grammar.regular.nfa import EMPTY, Nfa, moves_of, nfa_of_moves
from decoding.grammar.regular.work import remembered

_MINUS, _POINT, _ZERO, _NINE = b"-.09"


class _State(NamedTuple):
    """The text so far: a sign, the digits before the point as far as they count, the last digit.

    digits: −1 before the first, and where there may be no point any more, DIGITS.
    """

    minus: bool
    digits: int
    fraction: bool
    zero: bool


_BEGINNING = _State(minus=False, digits=-1, fraction=False, zero=False)


def _moves(state: _State) -> list[tuple[int, int, _State]]:
    """Transitions of canonical numbers: no leading zero, at most DIGITS fraction digits."""
    minus, digits, fraction, zero = state
    one, more = _ZERO + 1, min(digits + 1, DIGITS)
    if digits < 0:
        moves = [(_ZERO, _ZERO, _State(minus, 1, fraction=False, zero=True))]
        moves += [(one, _NINE, _State(minus, 1, fraction=False, zero=False))]
        if not minus:
            moves += [(_MINUS, _MINUS, _State(minus=True, digits=-1, fraction=False, zero=False))]
        return moves
    if fraction:
        if digits == DIGITS:
            return []
        return [
            (_ZERO, _ZERO, _State(minus, more, fraction=True, zero=True)),
            (one, _NINE, _State(minus, more, fraction=True, zero=False)),
        ]
    moves = [] if zero else [(_ZERO, _NINE, _State(minus, more, fraction=False, zero=False))]
    if digits < DIGITS:
        moves += [(_POINT, _POINT, _State(minus, digits, fraction=True, zero=True))]
    return moves


def _is_whole(state: _State) -> bool:
    if state.digits < 0:
        return False
    return not state.zero or not (state.fraction or state.minus)


@remembered(256)
def canonical_numbers(ranges: tuple[NumberRange, ...]) -> Nfa:
    """Return the automaton of the canonical texts of some numbers, one text for each number.

    They are the texts of `number_nfa` that are integers, or at most DIGITS digits with a point:
    without an exponent, without a zero at the end of a fraction, without a minus before 0. Two such
    texts are two numbers, exactly and in binary64. Integers of more digits than binary64 tells from
    each other are different to parsers that keep integers exact.
    """
    nfa = spelled_numbers(ranges)
    if not nfa.states:
        return EMPTY
    edges, accepting = moves_of(nfa), set(nfa.accepts.tolist())

    def moves(pair: tuple[int, _State]) -> Iterator[tuple[tuple[int, int], tuple[int, _State]]]:
        for low, high, following in _moves(pair[1]):
            for first, last, target in edges[pair[0]]:
                if max(low, first) <= min(high, last):
                    yield (max(low, first), min(high, last)), (target, following)

    return nfa_of_moves(
        [(state, _BEGINNING) for state in nfa.starts.tolist()],
        moves,
        lambda pair: pair[0] in accepting and _is_whole(pair[1]),
    )
