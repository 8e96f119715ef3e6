"""Sets of characters as inclusive ranges of code points, sorted, disjoint and not adjacent.

No set holds a surrogate.
"""

from __future__ import annotations

import sys
import unicodedata
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


def complement(ranges: Ranges) -> Ranges:
    """Return the characters that are not in the set."""
    bounds = [-1, *(bound for pair in ranges for bound in pair), MAX_CODE_POINT + 1]
    gaps = zip(bounds[::2], bounds[1::2], strict=True)
    return intersection(EVERY, tuple((a + 1, b - 1) for a, b in gaps if a + 1 < b))


def difference(left: Ranges, right: Ranges) -> Ranges:
    """Return the characters of `left` that are not in `right`."""
    return intersection(left, complement(right))


def without_surrogates(ranges: Ranges) -> Ranges:
    """Return the characters among some code points."""
    return intersection(EVERY, ranges)


def contains(ranges: Ranges, code_point: int) -> bool:
    """Whether a character is in the set."""
    return any(low <= code_point <= high for low, high in ranges)


def size(ranges: Ranges) -> int:
    """Return the number of characters."""
    return sum(high - low + 1 for low, high in ranges)


@cache
def _categories() -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    category = unicodedata.category
    start, current = 0, category("\0")
    for code_point in range(1, sys.maxunicode + 2):
        this = category(chr(code_point)) if code_point <= sys.maxunicode else ""
        if this != current:
            found.setdefault(current, []).append((start, code_point - 1))
            start, current = code_point, this
    return found


_LONG_NAMES = {
    "letter": "L",
    "cased_letter": "LC",
    "uppercase_letter": "Lu",
    "lowercase_letter": "Ll",
    "titlecase_letter": "Lt",
    "modifier_letter": "Lm",
    "other_letter": "Lo",
    "mark": "M",
    "nonspacing_mark": "Mn",
    "spacing_mark": "Mc",
    "enclosing_mark": "Me",
    "number": "N",
    "decimal_number": "Nd",
    "letter_number": "Nl",
    "other_number": "No",
    "punctuation": "P",
    "punct": "P",
    "connector_punctuation": "Pc",
    "dash_punctuation": "Pd",
    "open_punctuation": "Ps",
    "close_punctuation": "Pe",
    "initial_punctuation": "Pi",
    "final_punctuation": "Pf",
    "other_punctuation": "Po",
    "symbol": "S",
    "math_symbol": "Sm",
    "currency_symbol": "Sc",
    "modifier_symbol": "Sk",
    "other_symbol": "So",
    "separator": "Z",
    "space_separator": "Zs",
    "line_separator": "Zl",
    "paragraph_separator": "Zp",
    "other": "C",
    "control": "Cc",
    "cntrl": "Cc",
    "format": "Cf",
    "private_use": "Co",
    "unassigned": "Cn",
}


@lru_cache(maxsize=256)
def unicode_property(name: str) -> Ranges | None:
    r"""Return the characters of `\p{name}`, or None for a name that is not known.

    Known are the general categories (`L`, `Lu`, `gc=Nd`, `Uppercase_Letter`), `Any`, `ASCII` and
    `Assigned`, as of the Unicode version of Python's `unicodedata`.
    """
    key, _, value = name.rpartition("=")
    if key not in {"", "gc", "General_Category"}:
        return None
    special = {"Any": EVERY, "ASCII": ((0, 0x7F),)}
    if not key and value in special:
        return special[value]
    if not key and value == "Assigned":
        return complement(unicode_property("Cn") or ())
    short = _LONG_NAMES.get(value.lower(), value)
    wanted = {"Lu", "Ll", "Lt"} if short == "LC" else {short}
    table = _categories()
    pairs = [
        pair
        for category, ranges in table.items()
        if category in wanted or category[0] in wanted
        for pair in ranges
    ]
    known = pairs or short == "Cs"
    return without_surrogates(union(pairs)) if known else None


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
