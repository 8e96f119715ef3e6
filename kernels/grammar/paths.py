"""Numba: finds an automaton's reachable states, and character distances to acceptance.

Automata come as edges (source, lowest symbol, highest symbol, target), sorted by source, with where
each state's edges begin; and as the same edges sorted by target. An edge begins a character where
the phase of its source is BETWEEN.
"""

from __future__ import annotations

from decoding.kernels.grammar.arrays import Bools, Int8s, Int32Rows, Int32s, Int64Rows, Int64s
from decoding.kernels.grammar.jit import entry, inner

BETWEEN = 0
"""Between two characters. 1 to 3: so many continuation bytes are missing."""
_LAST_DIGIT = 4
"""One hexadecimal digit of an escape is missing; up to 7: so many more."""
_FIRST_DIGIT = 7
_ESCAPE = 8
_U = 0x75
NEVER = 1 << 30


@inner
def _following(phase: int, byte: int, escape: int) -> int:
    """The phase after a byte."""
    if phase == BETWEEN:
        if byte == escape:
            return _ESCAPE
        if byte < 0x80:
            return BETWEEN
        if byte < 0xE0:
            return 1
        return 2 if byte < 0xF0 else 3
    if phase == _ESCAPE:
        return _FIRST_DIGIT if byte == _U else BETWEEN
    return BETWEEN if phase == _LAST_DIGIT else phase - 1


@entry
def find_reached(rows: Int64s, targets: Int32s, seen: Bools, stack: Int64s, count: int) -> None:
    """Mark the states that are reached from the first `count` states of the stack, already marked.

    rows: where the targets of each state begin. stack: as long as there are states.
    """
    while count > 0:
        count -= 1
        state = stack[count]
        for edge in range(rows[state], rows[state + 1]):
            target = targets[edge]
            if not seen[target]:
                seen[target] = True
                stack[count] = target
                count += 1


@entry
def find_phases(
    rows: Int64s, edges: Int32Rows, starts: Int32s, escape: int, phases: Int8s, stack: Int64s
) -> None:  # fmt: skip
    """Write the phase of each state: where within a character it lies.

    escape: the byte that begins an escape, or −1. phases: −1 everywhere. stack: scratch.
    """
    count = 0
    for state in starts:
        phases[state] = BETWEEN
        stack[count] = state
        count += 1
    while count > 0:
        count -= 1
        state = stack[count]
        for edge in range(rows[state], rows[state + 1]):
            target = edges[edge, 3]
            if phases[target] < 0:
                phases[target] = _following(phases[state], edges[edge, 1], escape)
                stack[count] = target
                count += 1


@entry
def find_nearest(
    rows: Int64s, entering: Int32Rows, accepts: Int32s, phases: Int8s, nearest: Int32s,
    stacks: Int64Rows,
) -> None:  # fmt: skip
    """Write the fewest characters from each state to an accepting one.

    rows, entering: the edges by target. nearest: NEVER everywhere. stacks: `(2, states)` scratch.
    """
    current = 0
    count = 0
    for state in accepts:
        nearest[state] = 0
        stacks[0, count] = state
        count += 1
    length = 0
    while count > 0:
        following = 0
        while count > 0:
            count -= 1
            state = stacks[current, count]
            if nearest[state] != length:
                continue
            for edge in range(rows[state], rows[state + 1]):
                source = entering[edge, 0]
                if phases[source] != BETWEEN:
                    if nearest[source] > length:
                        nearest[source] = length
                        stacks[current, count] = source
                        count += 1
                elif nearest[source] > length + 1:
                    nearest[source] = length + 1
                    stacks[1 - current, following] = source
                    following += 1
        current = 1 - current
        count = following
        length += 1


@entry
def find_farthest(
    rows: Int64s, entering: Int32Rows, phases: Int8s, degrees: Int64s, farthest: Int32s,
    stack: Int64s,
) -> None:  # fmt: skip
    """Write the most characters from each state to an accepting one, −1 where there is no bound.

    rows, entering: the edges by target. degrees: how many edges leave each state; changed.
    farthest: 0 everywhere.
    """
    count = 0
    for state in range(len(degrees)):
        if degrees[state] == 0:
            stack[count] = state
            count += 1
    while count > 0:
        count -= 1
        state = stack[count]
        for edge in range(rows[state], rows[state + 1]):
            source = entering[edge, 0]
            length = farthest[state]
            if phases[source] == BETWEEN:
                length += 1
            farthest[source] = max(farthest[source], length)
            degrees[source] -= 1
            if degrees[source] == 0:
                stack[count] = source
                count += 1
    for state in range(len(degrees)):
        if degrees[state] > 0:
            farthest[state] = -1


@entry
def find_beyond(
    rows: Int64s, edges: Int32Rows, phases: Int8s, order: Int64s, beyond: Int32Rows
) -> None:
    """Write the fewest characters ≥ each bound that lead from each state to an accepting one.

    order: the states by phase. beyond: `(states, bounds)`, of which column 0 is `nearest`.
    """
    for bound in range(1, beyond.shape[1]):
        for state in order:
            best = NEVER
            for edge in range(rows[state], rows[state + 1]):
                target = edges[edge, 3]
                if phases[state] == BETWEEN:
                    best = min(best, beyond[target, bound - 1] + 1)
                else:
                    best = min(best, beyond[target, bound])
            beyond[state, bound] = best
