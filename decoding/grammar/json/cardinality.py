"""Counts and lists a node's scalars or strings; tells whether an array's items can differ."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from decoding.grammar.json.shapes import Node
from decoding.grammar.numbers import number_sets
from decoding.grammar.numbers.canonical import canonical_numbers
from decoding.grammar.numbers.digits import decimals
from decoding.grammar.regular.build import build
from decoding.grammar.regular.expressions import Expression, Words, length_bounds
from decoding.grammar.regular.nfa import Nfa, Spelling, moves_of

MAX_MEMBERS = 60
"""Up to so many values of items, each value has a node of its own."""
MAX_VALUES = 1_024
"""Up to so many values of items, the values are numbered, with a node for each binary digit."""
_STRINGS = 1_000_000
"""There are more strings than this of any allowed length but 0."""


def members(node: Node, most: int = MAX_MEMBERS) -> list[Any] | None:
    """Every scalar of a node as parsed JSON; `None` if there are more than `most`."""
    found: list[Any] = [
        value
        for value, there in ((None, node.null), (True, node.true), (False, node.false))
        if there
    ]
    if node.strings is not None:
        words = few_strings(node.strings, most)
        if words is None:
            return None
        found += words
    enough = most + 1
    if number_sets.count(node.numbers, enough) == enough:
        return None
    found += [_as_json(value) for value in number_sets.listed(node.numbers)]
    return found if len(found) <= most else None


def _as_json(value: Fraction) -> int | Decimal:
    if value.denominator == 1:
        return int(value)
    places = decimals(value) or 0  # a number without a finite decimal has no text
    return Decimal(int(value * 10**places)).scaleb(-places)


def few_strings(language: Expression, most: int = MAX_MEMBERS) -> tuple[str, ...] | None:
    """Every string of a regular language; `None` if there are more than `most`."""
    if isinstance(language, Words):
        return language.words if len(language.words) <= most else None
    if count_strings(language, most + 1) > most:
        return None
    nfa = build(language, Spelling.TEXT)
    moves = moves_of(nfa)
    accepting = frozenset(nfa.accepts.tolist())
    found: list[str] = []
    beginnings = [(b"", frozenset(nfa.starts.tolist()))] if nfa.states else []
    for text, states in beginnings:  # the list grows while it is read
        if not accepting.isdisjoint(states):
            found.append(text.decode())
        edges = [edge for state in states for edge in moves[state]]
        for byte in sorted({b for low, high, _ in edges for b in range(low, high + 1)}):
            reached = frozenset(target for low, high, target in edges if low <= byte <= high)
            beginnings.append((text + bytes([byte]), reached))
    return tuple(found)


def can_always_go_on(node: Node) -> bool:
    """Whether every begun string or number of a node has infinitely many completions.

    Complete texts that cannot be extended are excepted.
    """
    parts = []
    if node.strings is not None:
        parts.append(build(node.strings, Spelling.TEXT))
    if node.numbers:
        parts.append(canonical_numbers(node.numbers))
    return bool(parts) and all(map(is_endless, parts))


def is_endless(nfa: Nfa) -> bool:
    """Whether each automaton state with outgoing edges leads to infinitely many texts."""
    if not nfa.states:
        return False
    degrees = np.bincount(nfa.edges[:, 0], minlength=nfa.states)
    ends = np.flatnonzero(degrees == 0)
    left = degrees.copy()
    entering: list[list[int]] = [[] for _ in range(nfa.states)]
    for source, _, _, target in nfa.edges.tolist():
        entering[target].append(source)
    for state in ends.tolist():
        for source in entering[state]:
            left[source] -= 1
    return not (left[degrees > 0] == 0).any()


def may_differ(choices: Sequence[int], used: int) -> bool:
    """Whether all items can get distinct values, each of its own set and none in `used`.

    choices: for every item the values that it may have, as bits. used: values, as bits.
    """
    holders: dict[int, int] = {}

    def placed(item: int, tried: set[int]) -> bool:
        open_values = choices[item] & ~used
        while open_values:
            value = open_values & -open_values
            open_values ^= value
            if value in tried:
                continue
            tried.add(value)
            if value not in holders or placed(holders[value], tried):
                holders[value] = item
                return True
        return False

    return all(placed(item, set()) for item in range(len(choices)))


def count_strings(language: Expression, enough: int) -> int:
    """The number of strings of a language, counted up to `enough`."""
    if isinstance(language, Words):
        return min(len(language.words), enough)
    bounds = length_bounds(language)
    if bounds is not None:
        return min(1 if bounds[1] == 0 else _STRINGS, enough)
    return count_texts(build(language, Spelling.TEXT), enough)


def count_texts(nfa: Nfa, enough: int) -> int:
    """The number of texts that an automaton accepts, counted up to `enough`."""
    moves = moves_of(nfa)
    accepting = frozenset(nfa.accepts.tolist())
    # By set of states: the number of beginnings of one length that lead to it.
    beginnings = {frozenset(nfa.starts.tolist()): 1} if nfa.states else {}
    found = 0
    while beginnings:
        # Every beginning has a completion, and those of one length have different ones.
        if found + sum(beginnings.values()) >= enough:
            return enough
        following: dict[frozenset[int], int] = {}
        for states, count in beginnings.items():
            found += 0 if accepting.isdisjoint(states) else count
            edges = [edge for state in states for edge in moves[state]]
            cuts = sorted({low for low, _, _ in edges} | {high + 1 for _, high, _ in edges})
            for first, behind in pairwise(cuts):
                reached = frozenset(target for low, high, target in edges if low <= first <= high)
                if reached:
                    following[reached] = following.get(reached, 0) + count * (behind - first)
        beginnings = following
    return min(found, enough)
