"""Exact ∪, ∩ and complement of sets of numbers: unions of intervals with steps and exclusions.

A set is a tuple of ranges, which may overlap; `()` is the empty set. No operation approximates:
multiples of two steps are the multiples of their least common multiple, and the complement of a
range is a union of ranges. A number in a spelling that a range excludes (`NumberRange.plain`) is
outside of that range.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor, lcm
from typing import TypeAlias

from decoding.grammar.numbers.ranges import ANY_NUMBER, NumberRange, is_member
from decoding.grammar.regular.work import count as count_work

NumberSet: TypeAlias = tuple[NumberRange, ...]

NO_NUMBERS: NumberSet = ()
ALL_NUMBERS: NumberSet = (ANY_NUMBER,)

_PAIR = 5  # cost of intersecting two ranges, in steps of work
_SCANNED = 100_000  # the most multiples that are tested; fewer in a row are non-members


def exactly(value: Fraction) -> NumberRange:
    """The range of this number alone."""
    return NumberRange(low=value, high=value)


def contains(numbers: NumberSet, value: Fraction, *, plain: bool | None = None) -> bool:
    """Whether the number is in the set.

    plain: how it is spelled; `None`: in any spelling.
    """
    return any(
        is_member(part, value) and (plain is None or part.plain in (None, plain))
        for part in numbers
    )


def union(*sets: NumberSet) -> NumberSet:
    """The numbers that are in any of the sets."""
    parts = dict.fromkeys(part for numbers in sets for part in numbers)
    return ALL_NUMBERS if ANY_NUMBER in parts else tuple(parts)


def intersection(left: NumberSet, right: NumberSet) -> NumberSet:
    """The numbers that are in both sets."""
    if left in (ALL_NUMBERS, right):
        return right
    if right == ALL_NUMBERS:
        return left
    excluded = sum(len(part.excluded) for part in (*left, *right))
    count_work(_PAIR * len(left) * len(right) + excluded)
    spelled = any(part.plain is not None for part in (*left, *right))
    for some, other in ((left, right), (right, left)) if not spelled else ():
        points = [point for part in some if (point := _point(part)) is not None]
        if len(points) == len(some):
            pairs = zip(some, points, strict=True)
            return tuple(part for part, point in pairs if contains(other, point))
    met = (_meet(one, other) for one in left for other in right)
    return union(tuple(part for part in met if part is not None))


def complement(numbers: NumberSet) -> NumberSet:
    """The numbers that are not in the set."""
    points = frozenset(
        point for part in numbers if part.plain is None and (point := _point(part)) is not None
    )
    outside: NumberSet = (replace(ANY_NUMBER, excluded=points),)
    for part in numbers:
        if part.plain is not None or _point(part) is None:
            outside = intersection(outside, tuple(_left_out(part)))
    return outside


def count(numbers: NumberSet, enough: int) -> int:
    """The number of members of the set, or `enough` if there are at least so many."""
    found: set[Fraction] = set()
    for part in numbers:
        members = _members(part)
        if members is None:
            return enough
        for value in members:
            found.add(value)
            if len(found) >= enough:
                return enough
    return len(found)


def listed(numbers: NumberSet) -> list[Fraction]:
    """The members of a finite set, sorted."""
    return sorted({value for part in numbers for value in _members(part) or ()})


def _members(part: NumberRange) -> Iterator[Fraction] | None:
    """The members of a range, or `None` where it has no step or a bound is missing."""
    point = _point(part)
    if point is not None:
        return iter((point,))
    if part.step is None or part.low is None or part.high is None:
        return None
    first, last = ceil(part.low / part.step), floor(part.high / part.step)
    multiples = (factor * part.step for factor in range(first, min(last, first + _SCANNED) + 1))
    return (value for value in multiples if is_member(part, value))


def _point(part: NumberRange) -> Fraction | None:
    """The only member of a range of one number, or `None`."""
    return part.low if part.low == part.high else None


def _meet(one: NumberRange, other: NumberRange) -> NumberRange | None:
    plain = other.plain if one.plain is None else one.plain
    if other.plain not in (None, plain):
        return None
    low, low_open = one.low, one.low_open
    if other.low is not None and (low is None or other.low >= low):
        low_open = other.low_open or (low_open and other.low == low)
        low = other.low
    high, high_open = one.high, one.high_open
    if other.high is not None and (high is None or other.high <= high):
        high_open = other.high_open or (high_open and other.high == high)
        high = other.high
    steps = [part.step for part in (one, other) if part.step is not None]
    return _normal(
        NumberRange(
            low,
            high,
            low_open,
            high_open,
            common_multiple(*steps) if steps else None,
            one.not_steps + other.not_steps,
            one.excluded | other.excluded,
            plain,
        )
    )


def common_multiple(first: Fraction, *others: Fraction) -> Fraction:
    """The least positive number that is a multiple of all of these."""
    result = abs(first)
    for other in others:
        scale = result.denominator * other.denominator
        whole = lcm(result.numerator * other.denominator, abs(other.numerator) * result.denominator)
        result = Fraction(whole, scale)
    return result


def normal(part: NumberRange) -> NumberSet:
    """The same set with bounds that are multiples of the step; `()` if it is empty."""
    normalized = _normal(part)
    return () if normalized is None else (normalized,)


def _normal(part: NumberRange) -> NumberRange | None:
    step, low, high = part.step, part.low, part.high
    low_open, high_open = part.low_open, part.high_open
    if step is not None:
        if low is not None:
            first = floor(low / step) + 1 if low_open else ceil(low / step)
            low, low_open = first * step, False
        if high is not None:
            last = ceil(high / step) - 1 if high_open else floor(high / step)
            high, high_open = last * step, False
    if low is not None and high is not None:
        if low > high or (low == high and (low_open or high_open)):
            return None
        if low == high:
            return replace(exactly(low), plain=part.plain) if is_member(part, low) else None
    not_steps = part.not_steps
    if not_steps:
        if step is not None:
            not_steps = tuple(common_multiple(step, other) for other in not_steps)
            if step in not_steps:
                return None
        # A number that is no multiple of a step is no multiple of its multiples either.
        not_steps = tuple(
            sorted(
                other
                for other in set(not_steps)
                if not any(less != other and (other / less).denominator == 1 for less in not_steps)
            )
        )
    normalized = NumberRange(low, high, low_open, high_open, step, not_steps, plain=part.plain)
    if part.excluded:
        normalized = replace(
            normalized,
            excluded=frozenset(value for value in part.excluded if is_member(normalized, value)),
        )
    if not (normalized.not_steps or normalized.excluded):
        return normalized
    members = _members(normalized)
    # Where there is no step or no bound, what is excluded is too little to empty it.
    return normalized if members is None or any(True for _ in members) else None


def _left_out(part: NumberRange) -> Iterator[NumberRange]:
    """The complement of a range: beyond its bounds, off its step, on `not_steps`, by spelling."""
    if part.low is not None:
        yield NumberRange(high=part.low, high_open=not part.low_open)
    if part.high is not None:
        yield NumberRange(low=part.high, low_open=not part.high_open)
    within = NumberRange(part.low, part.high, part.low_open, part.high_open)
    candidates: Iterable[NumberRange] = [
        *([replace(within, not_steps=(part.step,))] if part.step is not None else []),
        *(
            replace(within, step=other if part.step is None else common_multiple(part.step, other))
            for other in part.not_steps
        ),
        *(exactly(value) for value in part.excluded),
        *([] if part.plain is None else [replace(part, plain=not part.plain)]),
    ]
    for candidate in candidates:
        normalized = _normal(candidate)
        if normalized is not None:
            yield normalized
