"""Numbers in one way each, so that different texts are different numbers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from decoding.grammar.numbers.forms import spelled_numbers
from decoding.grammar.numbers.number_nfa import DIGITS
from decoding.grammar.numbers.ranges import NumberRange
from decoding.grammar.regular.nfa import EMPTY, Nfa, moves_of, nfa_of_moves

_MINUS, _POINT, _ZERO, _NINE = b"-.09"


class _State(NamedTuple):
    """What has been read: a sign; digits before the point, if it matters how many; the last one.

    digits: −1 before the first, and where there may be no point any more, DIGITS.
    """

    minus: bool
    digits: int
    fraction: bool
    zero: bool


_BEGINNING = _State(minus=False, digits=-1, fraction=False, zero=False)


def _moves(state: _State) -> list[tuple[int, int, _State]]:
    """The edges: an integer without a leading zero, or at most DIGITS digits, the last no zero."""
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


@lru_cache(maxsize=256)
def canonical_numbers(ranges: tuple[NumberRange, ...]) -> Nfa:
    """The texts of `number_nfa` that are plain: integers, and at most DIGITS digits with a point.

    No exponent, no zero at the end of a fraction, no minus before 0. So two of these texts are two
    numbers, exactly and as binary64; integers of more digits than that keeps apart are different to
    parsers that keep integers whole.
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
