"""Counts the values that a begun item can still become, for arrays with `uniqueItems`.

Masks remember the texts of earlier items and forbid to repeat one. A partly written item must then
always have a completion that differs. If every beginning has infinitely many completions, one
always exists. If every beginning has N completions at least, one exists in arrays of N items.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from decoding.grammar.json.cardinality import MAX_VALUES, members
from decoding.grammar.json.shapes import Node
from decoding.grammar.json.tracked_values import value_key
from decoding.grammar.numbers.canonical import canonical_numbers
from decoding.grammar.numbers.number_sets import NumberSet
from decoding.grammar.regular.build import build
from decoding.grammar.regular.expressions import Expression
from decoding.grammar.regular.nfa import Nfa, Spelling, moves_of
from decoding.grammar.regular.work import remembered

MANY = 1_000
"""Completions are counted up to this number."""
FEW = 8
"""Bounds on the number of items below this are avoided by narrowing the items, if possible."""
_STATES = 20_000
_TEN = 10
_CACHED = 4_096
_SYMBOL_STEPS = 12  # cost of one edge of an item's automaton, in steps of work

# Of the dates up to the 28th, at least `FEW` share any beginning.
_NO_LAST_DAYS: Mapping[str, Any] = {"not": {"type": "string", "pattern": "-(29|30|31)$"}}


def fewest_completions(nfa: Nfa) -> int | None:
    """The fewest completions of any beginning that is not a complete, final text.

    `None`: every beginning has infinitely many. Counted up to `MANY`; 0 where the automaton is too
    large to count.
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
    """The fewest texts from any state that has transitions. ends: whether each state accepts."""
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
        if rows[state] or not state:  # the first state is a beginning, also of the text "" alone
            fewest = counts[state] if fewest is None else min(fewest, counts[state])
        for source, width in entering[state]:
            counts[source] = min(counts[source] + counts[state] * width, MANY)
            left[source] -= 1
            if not left[source]:
                ready.append(source)
    return fewest


def choices_left(node: Node, count: Callable[[int], None]) -> int | None:
    """The fewest different items that any beginning of an item of a node can become.

    `None`: endlessly many. count: takes the steps of work, and raises where they are too many.
    """
    found = []
    for fewest, size in (
        *([] if node.strings is None else [_of_strings(node.strings)]),
        *([_of_numbers(node.numbers)] if node.numbers else []),
    ):
        count(_SYMBOL_STEPS * size)
        found += [] if fewest is None else [fewest]
    return min(found, default=None)


@remembered(_CACHED)
def _of_strings(language: Expression) -> tuple[int | None, int]:
    nfa = build(language, Spelling.TEXT)
    return fewest_completions(nfa), len(nfa.edges)


@remembered(_CACHED)
def _of_numbers(numbers: NumberSet) -> tuple[int | None, int]:
    nfa = canonical_numbers(numbers)
    # Some numbers have no text without an exponent.
    return fewest_completions(nfa) if nfa.states else 0, len(nfa.edges)


def tracked_values(items: Sequence[Node]) -> tuple[Any, ...] | None:
    """The scalars of several nodes, each once; `None` where there are too many to track."""
    found: dict[object, Any] = {}
    for item in items:
        values = members(item, MAX_VALUES)
        if values is None:
            return None
        found.update((value_key(value), value) for value in values)
    return tuple(found.values()) if len(found) <= MAX_VALUES else None


def narrowing(items: Sequence[Node]) -> Mapping[str, Any]:
    """A schema that excludes the values whose beginnings have few completions.

    It excludes the last days of months, and of bounded integers those that share all digits but the
    last with fewer than ten others.
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
    """The least integer ≥ `low` from which on all ten last digits of a number are allowed."""
    if low >= 0:
        return low if low < _TEN else -(-low // _TEN) * _TEN
    return 1 - (1 - low) // _TEN * _TEN if 1 - low >= _TEN else 0
