"""Set algebra, case folding and categories of characters as sorted ranges of code points.

No set holds a surrogate.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from functools import cache, lru_cache
from itertools import pairwise
from typing import TypeAlias

from decoding.grammar.regular.expressions import ANY_CHARACTER, MAX_CODE_POINT

Ranges: TypeAlias = tuple[tuple[int, int], ...]

EVERY: Ranges = ANY_CHARACTER.ranges
DIGIT: Ranges = ((48, 57),)
WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
# ECMA-262: WhiteSpace and LineTerminator.
SPACE: Ranges = (
    (9, 13),
    (32, 32),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x2000, 0x200A),
    (0x2028, 0x2029),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
    (0xFEFF, 0xFEFF),
)
LINE_ENDS: Ranges = ((10, 10), (13, 13), (0x2028, 0x2029))

_SURROGATES = (0xD800, 0xDFFF)
_CASED_END = 0x1E944  # no character from here on has another case


def union(*sets: Iterable[tuple[int, int]]) -> Ranges:
    """Return the characters in any of the sets; the ranges given need no order."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(pair for ranges in sets for pair in ranges):
        if merged and low <= merged[-1][1] + 1:
            if high > merged[-1][1]:
                merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return tuple(merged)


def intersection(left: Ranges, right: Ranges) -> Ranges:
    """Return the characters in both sets."""
    found: list[tuple[int, int]] = []
    i = j = 0
    while i < len(left) and j < len(right):
        low, high = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if low <= high:
            found.append((low, high))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def gaps(ranges: Ranges, first: int, last: int) -> Ranges:
    """Return the numbers from the first to the last that are not in the set, which is within."""
    bounds = [first - 1, *(bound for pair in ranges for bound in pair), last + 1]
    pairs = zip(bounds[::2], bounds[1::2], strict=True)
    return tuple((a + 1, b - 1) for a, b in pairs if a + 1 < b)


def complement(ranges: Ranges) -> Ranges:
    """Return the characters that are not in the set."""
    return intersection(EVERY, gaps(ranges, 0, MAX_CODE_POINT))


def difference(left: Ranges, right: Ranges) -> Ranges:
    """Return the characters of `left` that are not in `right`."""
    return intersection(left, complement(right))


def without_surrogates(ranges: Ranges) -> Ranges:
    """Return the code points of some ranges that are not surrogates.

    ranges: in order.
    """
    behind = bisect_left(ranges, (_SURROGATES[1] + 1,))
    if not behind or ranges[behind - 1][1] < _SURROGATES[0]:
        return ranges  # as of a property of Unicode, which has hundreds
    return intersection(EVERY, ranges)


def contains(ranges: Ranges, code_point: int) -> bool:
    """Whether a character is in the set."""
    return any(low <= code_point <= high for low, high in ranges)


def size(ranges: Ranges) -> int:
    """Return the number of characters in a set."""
    return sum(high - low + 1 for low, high in ranges)


@cache
def _case_classes() -> dict[int, tuple[int, ...]]:
    """Return the case variants of every character that has any."""
    classes: dict[str, set[int]] = {}
    for code_point in range(_CASED_END):
        character = chr(code_point)
        folded = character.casefold()
        if len(folded) != 1:
            folded = character.lower() if len(character.lower()) == 1 else character
        if folded != character:
            classes.setdefault(folded, {ord(folded)}).add(code_point)
    return {member: tuple(sorted(found)) for found in classes.values() for member in found}


@lru_cache(maxsize=1024)
def ignoring_case(ranges: Ranges) -> Ranges:
    """Return the set with the other cases of its characters (simple case folding)."""
    if all(high < 0x80 for _, high in ranges) and not any(
        contains(ranges, ord(c)) for c in "kKsS"
    ):  # K and S have further relatives beyond ASCII
        other = [
            (max(low, start) + shift, min(high, end) + shift)
            for low, high in ranges
            for start, end, shift in ((65, 90, 32), (97, 122, -32))
            if max(low, start) <= min(high, end)
        ]
        return union(ranges, other)
    classes = _case_classes()
    cased = [
        (member, member)
        for start, found in classes.items()
        if contains(ranges, start)
        for member in found
    ]
    return union(ranges, cased)


def words_of(ranges: Ranges) -> list[str]:
    """Return every character of the set as a string."""
    return [chr(c) for low, high in ranges for c in range(low, high + 1)]


def partition(sets: Iterable[Ranges]) -> list[Ranges]:
    """Return the coarsest partition of all characters of which every given set is a union."""
    distinct = list(dict.fromkeys(ranges for ranges in sets if ranges and ranges != EVERY))
    starts: dict[int, int] = {0: 0, 0xD800: 0, 0xE000: 0}
    for index, ranges in enumerate(distinct):
        for low, high in ranges:
            starts[low] = starts.get(low, 0) ^ (1 << index)
            starts[high + 1] = starts.get(high + 1, 0) ^ (1 << index)
    starts.setdefault(MAX_CODE_POINT + 1, 0)
    groups: dict[int, list[tuple[int, int]]] = {}
    members = 0
    for low, following in pairwise(sorted(starts)):
        members ^= starts[low]
        if low != 0xD800:
            groups.setdefault(members, []).append((low, following - 1))
    return [union(pairs) for pairs in groups.values()]
