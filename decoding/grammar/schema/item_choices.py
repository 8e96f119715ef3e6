"""Whether texts of items that have begun can be ended so that all items differ.

Masks remember the texts of the items so far, and leave out a text that has come before. That is
sound as long as a text that has begun can be brought to another end. Of few values, each is tracked
by itself; of endlessly many, there is always another one; and where every beginning leads to at
least N values, there is another one for the next of N items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from decoding.grammar.json.distinct import MAX_VALUES, members
from decoding.grammar.json.shapes import Node
from decoding.grammar.json.tracked_values import value_key
from decoding.grammar.numbers.canonical import canonical_numbers
from decoding.grammar.regular.build import build
from decoding.grammar.regular.nfa import Nfa, Spelling, moves_of

MANY = 1_000
"""More values than this are not counted."""
FEW = 8
"""Arrays with so few items are not offered while another way is left."""
_STATES = 20_000
_TEN = 10

# Dates up to the 28th: whatever a date begins with, at least `FEW` of them begin so.
_NO_LAST_DAYS: Mapping[str, Any] = {"not": {"type": "string", "pattern": "-(29|30|31)$"}}


def fewest_completions(nfa: Nfa) -> int | None:
    """The fewest texts that any beginning of one leads to, unless it leads to one end alone.

    `None`: endlessly many from everywhere. At most `MANY` are counted; 0 where that takes too much.
    """
    if not nfa.states:
        return None
    moves = moves_of(nfa)
    accepting = frozenset(nfa.accepts.tolist())
    sets = [frozenset(nfa.starts.tolist())]
    numbers = {sets[0]: 0}
    rows: list[list[tuple[int, int]]] = []
    for states in sets:  # grows on the way
        if len(sets) > _STATES:
            return 0
        edges = [edge for state in states for edge in moves[state]]
        cuts = sorted({low for low, _, _ in edges} | {high + 1 for _, high, _ in edges})
        row = []
        for first, behind in pairwise(cuts):
            reached = frozenset(target for low, high, target in edges if low <= first <= high)
            if reached:
                if reached not in numbers:
                    numbers[reached] = len(sets)
                    sets.append(reached)
                row.append((numbers[reached], behind - first))
        rows.append(row)
    return _fewest(rows, [not accepting.isdisjoint(states) for states in sets])


def _fewest(rows: Sequence[Sequence[tuple[int, int]]], ends: Sequence[bool]) -> int | None:
    """The fewest texts from any state but those where a text must end."""
    left = [len(row) for row in rows]
    entering: list[list[tuple[int, int]]] = [[] for _ in rows]
    for source, row in enumerate(rows):
        for target, width in row:
            entering[target].append((source, width))
    counts = [int(end) for end in ends]
    fewest: int | None = None
    ready = [state for state, missing in enumerate(left) if not missing]
    while ready:
        state = ready.pop()
        if rows[state]:
            fewest = counts[state] if fewest is None else min(fewest, counts[state])
        for source, width in entering[state]:
            counts[source] = min(counts[source] + counts[state] * width, MANY)
            left[source] -= 1
            if not left[source]:
                ready.append(source)
    return fewest


def choices_left(node: Node) -> int | None:
    """How many items of a node, at least, any text that has begun leaves a choice of."""
    found = []
    if node.strings is not None:
        found.append(fewest_completions(build(node.strings, Spelling.TEXT)))
    if node.numbers:
        found.append(fewest_completions(canonical_numbers(node.numbers)))
    return min((count for count in found if count is not None), default=None)


def tracked_values(items: Sequence[Node]) -> tuple[Any, ...] | None:
    """The scalars that any of some nodes has, each once; `None` where there are too many."""
    found: dict[object, Any] = {}
    for item in items:
        values = members(item, MAX_VALUES)
        if values is None:
            return None
        found.update((value_key(value), value) for value in values)
    return tuple(found.values()) if len(found) <= MAX_VALUES else None


def narrowing(items: Sequence[Node]) -> Mapping[str, Any]:
    """A schema that leaves out few values, so that more of the others can be told apart.

    It leaves out the last days of months, and of bounded integers those that share all digits but
    the last with fewer than ten others.
    """
    schema = dict(_NO_LAST_DAYS)
    lows, highs = [], []
    for item in items:
        for part in item.numbers:
            if part.step == 1 and part.low is not None and part.high is not None:
                lows.append(int(part.low))
                highs.append(int(part.high))
    if highs:
        schema["maximum"] = -_least_integer(-max(highs))
        schema["minimum"] = _least_integer(min(lows))
    return schema


def _least_integer(low: int) -> int:
    """The first integer from `low` on with any last digit behind the digits before it."""
    if low >= 0:
        return low if low < _TEN else -(-low // _TEN) * _TEN
    return 1 - (1 - low) // _TEN * _TEN if 1 - low >= _TEN else 0
