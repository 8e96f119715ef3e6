"""Sets of numbers of characters: unions, intersections and complements of intervals."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import TypeAlias

Interval: TypeAlias = tuple[int, int | None]
"""The lengths from the first number to the second; `None` is no bound."""
LengthSet: TypeAlias = tuple[Interval, ...]
"""Intervals in order, with at least one length between two of them that is in neither."""


def union(intervals: Iterable[Interval]) -> LengthSet:
    """The lengths in any of some intervals."""
    found: list[Interval] = []
    for low, high in sorted(intervals, key=_in_order):
        if found:
            before, last = found[-1]
            if last is None or low <= last + 1:
                found[-1] = before, None if last is None or high is None else max(last, high)
                continue
        found.append((low, high))
    return tuple(found)


def intersection(left: LengthSet, right: LengthSet) -> LengthSet:
    """The lengths in both sets; takes time in proportion to the number of intervals."""
    found: list[Interval] = []
    one = other = 0
    while one < len(left) and other < len(right):
        (low, high), (other_low, other_high) = left[one], right[other]
        first, last = max(low, other_low), min(_end(high), _end(other_high))
        if first <= last:
            found.append((first, None if last == inf else int(last)))
        if _end(high) <= _end(other_high):
            one += 1
        else:
            other += 1
    return tuple(found)


def complement(lengths: LengthSet) -> LengthSet:
    """The lengths ≥ 0 that are not in a set."""
    found: list[Interval] = []
    first = 0
    for low, high in lengths:
        if first < low:
            found.append((first, low - 1))
        if high is None:
            return tuple(found)
        first = high + 1
    return (*found, (first, None))


def _in_order(interval: Interval) -> tuple[int, float]:
    return interval[0], _end(interval[1])


def _end(high: int | None) -> float:
    return inf if high is None else high
