"""Builds automata of decimal texts within bounds that are, or are not, multiples of steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, pairwise
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from decoding.errors import GrammarLimitError
from decoding.grammar.regular.nfa import Nfa, nfa_of_moves
from decoding.grammar.regular.work import remembered
from decoding.grammar.regular.worklist import Limit

MAX_STATES = 5_000
_POINT = ord(".")
_ZERO = ord("0")


def decimals(value: Fraction) -> int | None:
    """Return how many decimal places a fraction needs, or None if infinitely many."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else None


MAX_DIGITS = 4_300
"""Digits of the longest integer that Python writes."""
_MAX_BITS = 14_284  # of integers that surely have no more digits


def digits_of_integer(value: int) -> str:
    """Return the digits of an integer ≥ 0; raise `GrammarLimitError` for too many."""
    if value.bit_length() > _MAX_BITS:
        raise GrammarLimitError("", "digits of a number", MAX_DIGITS)
    return str(value)


def digits_of(value: Fraction) -> tuple[str, str]:
    """Return the digits of a number ≥ 0 before and after the decimal point."""
    decimals_read = decimals(value)
    if decimals_read is None:
        raise ValueError(value)
    text = digits_of_integer(int(value * 10**decimals_read)).zfill(decimals_read + 1)
    return text[: len(text) - decimals_read], text[len(text) - decimals_read :]


@dataclass(frozen=True, slots=True)
class Decimals:
    """A regular language of decimal texts of numbers ≥ 0: `digits` or `digits.digits`.

    low, high: bounds with finitely many digits; `None` is no bound.
    low_open, high_open: whether the bound itself is excluded.
    steps: (step, whether the number must be a multiple of it, or must not); finitely many digits.
    most: the most digits in all, or `None`.
    has_fraction: whether a point and digits may follow.
    mantissa: whether exactly one digit, not zero, precedes the point.
    """

    low: Fraction = Fraction(0)
    high: Fraction | None = None
    low_open: bool = False
    high_open: bool = False
    steps: tuple[tuple[Fraction, bool], ...] = ()
    most: int | None = None
    has_fraction: bool = True
    mantissa: bool = False


class _State(NamedTuple):
    """The digits read so far, as far as they decide what may follow.

    whole: digits before the point, up to a cap; 0 before the first digit.
    decimals_read: digits after the point, up to a cap; -1 before the point.
    total: all digits, if their number is bounded, else 0.
    low, high: the comparison of the digits read with as many of the bound: -1, 0 or 1.
    rest: the digits read, as one number, modulo the modulus.
    beyond: whether a digit that is not zero follows the last digit that a step depends on.
    """

    whole: int
    decimals_read: int
    total: int
    low: int
    high: int
    rest: int
    beyond: bool


class _Scanner:
    """The transitions of the automaton of some decimal texts."""

    def __init__(self, spec: Decimals) -> None:
        self.spec = spec
        self.low = digits_of(spec.low)
        self.high = None if spec.high is None else digits_of(spec.high)
        self.scale = max((decimals(step) or 0 for step, _ in spec.steps), default=0)
        self.rules = [(int(step * 10**self.scale), wanted) for step, wanted in spec.steps]
        self.modulus = int(np.lcm.reduce([m for m, _ in self.rules])) if self.rules else 1
        if self.modulus > MAX_STATES:
            raise GrammarLimitError("", "remainders of a `multipleOf`", MAX_STATES)
        self.wanted = any(wanted for _, wanted in self.rules)
        longest = max(len(self.low[0]), len(self.high[0]) if self.high else 0)
        self.whole_cap = longest + 1
        shown = max(len(self.low[1]), len(self.high[1]) if self.high else 0, self.scale)
        self.decimals_cap = shown + 1

    def breaks(self, state: _State) -> list[int]:
        """Return the bounds, from 0 to 10, of intervals of digits that lead to one state."""
        if self.rules and (state.decimals_read < self.scale):
            return list(range(11))
        found = {0, 1, 10}
        index = max(state.decimals_read, 0)
        for compared, bound in ((state.low, self.low), (state.high, self.high)):
            if bound and not compared:
                digits, at = (
                    (bound[0], state.whole) if state.decimals_read < 0 else (bound[1], index)
                )
                if at < len(digits):
                    found.update((int(digits[at]), int(digits[at]) + 1))
        return sorted(found)

    def digit(self, state: _State, digit: int) -> _State | None:
        spec = self.spec
        if spec.most is not None and state.total == spec.most:
            return None
        total = state.total + 1 if spec.most is not None else 0
        if state.decimals_read >= 0:
            return self._place(state, digit, total)
        if spec.mantissa and (state.whole or not digit):
            return None
        if state.whole == 1 and not spec.mantissa and state.rest == -1:
            return None  # a leading zero stands alone
        low = self._compare(state.low, state.whole, digit, self.low[0])
        high = self._compare(state.high, state.whole, digit, self.high[0]) if self.high else 0
        if self.high and state.whole == len(self.high[0]):
            return None
        whole = min(state.whole + 1, self.whole_cap)
        if not state.whole and not digit:
            return _State(1, -1, total, low, high, -1, beyond=False)
        rest = (state.rest * 10 + digit) % self.modulus
        return _State(whole, -1, total, low, high, rest, beyond=False)

    @staticmethod
    def _compare(before: int, position: int, digit: int, bound: str) -> int:
        if position >= len(bound):
            return 1
        if before:
            return before
        other = int(bound[position])
        return (digit > other) - (digit < other)

    def _place(self, state: _State, digit: int, total: int) -> _State | None:
        at = state.decimals_read
        beyond = state.beyond
        rest = state.rest
        if at < self.scale:
            rest = (rest * 10 + digit) % self.modulus
        elif digit and self.rules:
            if self.wanted:
                return None
            beyond = True
        low = state.low or self._place_compare(at, digit, self.low[1])
        high = state.high
        if self.high and not high:
            high = self._place_compare(at, digit, self.high[1])
        if low < 0 or high > 0:
            return None
        return _State(0, min(at + 1, self.decimals_cap), total, low, high, rest, beyond)

    @staticmethod
    def _place_compare(position: int, digit: int, bound: str) -> int:
        other = int(bound[position]) if position < len(bound) else 0
        return (digit > other) - (digit < other)

    def point(self, state: _State) -> _State | None:
        """Return the state after the point, where the integer part is compared with the bound's."""
        if state.decimals_read >= 0 or not state.whole or not self.spec.has_fraction:
            return None
        low, high = self._comparison(state)
        if low < 0 or high > 0:
            return None
        return _State(0, 0, state.total, low, high, max(state.rest, 0), beyond=False)

    def _comparison(self, state: _State) -> tuple[int, int]:
        if state.decimals_read >= 0:
            return state.low, state.high
        low = state.low if state.whole >= len(self.low[0]) else -1
        if self.high is None:
            return low, -1
        return low, state.high if state.whole >= len(self.high[0]) else -1

    def accepting(self, state: _State) -> bool:
        if not state.decimals_read or (state.decimals_read < 0 and not state.whole):
            return False
        low, high = self._comparison(state)
        decimals_read = max(state.decimals_read, 0)
        # Zeros beyond the bound's digits make no difference; missing digits do.
        if low == 0 and decimals_read < len(self.low[1]):
            low = -1
        if self.high and high == 0 and decimals_read < len(self.high[1]):
            high = -1
        if low < 0 or high > 0 or (low == 0 and self.spec.low_open):
            return False
        if self.high and high == 0 and self.spec.high_open:
            return False
        rest = max(state.rest, 0) * 10 ** max(self.scale - decimals_read, 0)
        return all(((rest % m == 0) and not state.beyond) == wanted for m, wanted in self.rules)


@remembered(1024)
def scan(spec: Decimals) -> Nfa:
    """Return the automaton over bytes of a language of decimal texts."""
    scanner = _Scanner(spec)

    def moves(state: _State) -> Iterator[tuple[tuple[int, int], _State]]:
        after = scanner.point(state)
        if after is not None:
            yield (_POINT, _POINT), after
        intervals = pairwise(scanner.breaks(state))
        steps = [(first, behind, scanner.digit(state, first)) for first, behind in intervals]
        for target, same in groupby(steps, key=itemgetter(2)):
            if target is not None:
                (first, behind, _), *rest = same
                yield (_ZERO + first, _ZERO + (rest[-1][1] if rest else behind) - 1), target

    start = _State(0, -1, 0, 0, 0, 0, beyond=False)
    return nfa_of_moves([start], moves, scanner.accepting, Limit("states of a number", MAX_STATES))
