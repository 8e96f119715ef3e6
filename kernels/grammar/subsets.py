"""States of an automaton made when they are first needed: the subset construction, by rows."""

from __future__ import annotations

from array import array
from typing import Any

from decoding.kernels.grammar import layout as at
from decoding.kernels.grammar.hashing import mixed
from decoding.kernels.grammar.jit import COMPILED, entry, inner, woven

BYTES = 256
ROOM = 1 << 12
"""What a state may take beyond its set."""


if COMPILED:

    @woven
    def set_all(fields: Any, begin: Any, end: Any, value: Any) -> None:
        """Set the fields from `begin` up to `end` of int32."""
        for place in range(begin, end):
            fields[place] = value

else:

    def set_all(fields: Any, begin: Any, end: Any, value: Any) -> None:
        """Set the fields from `begin` up to `end` of int32."""
        fields[begin:end] = array("i", (value,)) * (end - begin)


@inner
def fill_row(arena: Any, table: Any, state: Any) -> int:
    """Compute the 256 next states of a state.

    Returns GOES_ON, or NEEDS_ROOM when the arena or the table is too full; then nothing is lost and
    the row can be asked for again.
    """
    automaton = arena[state + at.AUTOMATON]
    members = arena[state + at.SET_AT]
    length = arena[state + at.SET_LENGTH]
    rows = arena[automaton + at.ROWS_AT]
    edges = arena[automaton + at.EDGES_AT]
    total = 0
    for k in range(length):
        row = rows + arena[members + k]
        total += arena[row + 1] - arena[row]
    # The edges by their lowest byte, and those that go on, lie behind everything else: they are
    # gone when this is done.
    free = arena[at.FREE]
    state_size = at.STATE_WORDS + arena[automaton + at.WORDS]
    needed = 4 * total + BYTES + 2 * BYTES * state_size + ROOM
    if free + needed >= len(arena) or 2 * (arena[at.HASH_USED] + 2 * BYTES) >= len(table):
        return at.NEEDS_ROOM
    counted: Any = arena[state + at.BEGUN]
    if counted >= 0:
        counted += arena[arena[automaton + at.BETWEEN_AT] + arena[members]]
        counted = min(counted, arena[automaton + at.MOST])
    if length == 1 and fill_alone(arena, table, state, counted):
        return at.GOES_ON
    begins = len(arena) - BYTES - 1
    ordered = begins - total
    set_all(arena, begins, begins + BYTES + 1, 0)
    for k in range(length):
        row = rows + arena[members + k]
        for e in range(arena[row], arena[row + 1]):
            arena[begins + arena[edges + 3 * e] + 1] += 1
    for b in range(BYTES):
        arena[begins + b + 1] += arena[begins + b]
    for k in range(length):
        row = rows + arena[members + k]
        for e in range(arena[row], arena[row + 1]):
            low = arena[edges + 3 * e]
            arena[ordered + arena[begins + low]] = edges + 3 * e
            arena[begins + low] += 1
    going = ordered - total
    targets = going - total
    position = 0
    count = 0
    b = 0
    while b < BYTES:
        kept = 0
        for k in range(count):
            if arena[arena[going + k] + 1] >= b:
                arena[going + kept] = arena[going + k]
                kept += 1
        count = kept
        while position < total and arena[arena[ordered + position]] == b:
            arena[going + count] = arena[ordered + position]
            count += 1
            position += 1
        # Up to the next byte at which an edge begins or ends, all lead to the same.
        until = BYTES
        if position < total:
            until = arena[arena[ordered + position]]
        for k in range(count):
            until = min(until, arena[arena[going + k] + 1] + 1)
            arena[targets + k] = arena[arena[going + k] + 2]
        following = at.DEAD
        if count > 0:
            following = intern(arena, table, automaton, targets, count, counted)
        set_all(arena, state + b, state + until, following)
        b = until
    return at.GOES_ON


@inner
def fill_alone(arena: Any, table: Any, state: Any, counted: Any) -> bool:
    """Compute the next states of a state of one member, unless some byte leads to two members."""
    automaton = arena[state + at.AUTOMATON]
    row = arena[automaton + at.ROWS_AT] + arena[arena[state + at.SET_AT]]
    edges = arena[automaton + at.EDGES_AT]
    set_all(arena, state, state + BYTES, at.DEAD)
    for e in range(arena[row], arena[row + 1]):
        low, high = arena[edges + 3 * e], arena[edges + 3 * e + 1]
        for b in range(low, high + 1):
            if arena[state + b] != at.DEAD:
                return False
        following = intern(arena, table, automaton, edges + 3 * e + 2, 1, counted)
        set_all(arena, state + low, state + high + 1, following)
    return True


@woven
def next_state(arena: Any, table: Any, state: Any, byte: Any) -> int:
    """The state after one more byte; UNKNOWN if there is no room to find it."""
    if arena[state + byte] == at.UNKNOWN:
        fill_row(arena, table, state)
    return arena[state + byte]


@inner
def is_within(arena: Any, part: Any, member: Any, counted: Any) -> bool:
    """Whether after so many characters something that a state leads to keeps a part's bounds."""
    needed = max(arena[part + at.PART_MINIMUM] - counted, 0)
    most = arena[part + at.PART_MAXIMUM]
    width = arena[part + at.PART_WIDTH]
    row = arena[part + at.PART_TABLE] + (member - arena[part + at.PART_FIRST]) * width
    if most < 0:
        return arena[row] < 0 or arena[row] >= needed
    return counted <= most and arena[row + needed] <= most - counted


@inner
def intern(arena: Any, table: Any, automaton: Any, members: Any, count: Any, counted: Any) -> int:
    """The state of some automaton states, given in any order and maybe twice; DEAD for none.

    counted: the number of characters before it, or −1 if nothing is counted. States that keep no
    bound are left out.
    """
    free = arena[at.FREE]
    length = 0
    bounded = False
    for k in range(count):
        target = arena[members + k]
        if counted >= 0:
            part = arena[arena[automaton + at.PARTS_AT] + target]
            if part != 0:
                if not is_within(arena, part, target, counted):
                    continue
                bounded = True
        place = length
        while place > 0 and arena[free + place - 1] > target:
            place -= 1
        if place > 0 and arena[free + place - 1] == target:
            continue
        for move in range(length, place, -1):
            arena[free + move] = arena[free + move - 1]
        arena[free + place] = target
        length += 1
    if length == 0:
        return at.DEAD
    if not bounded:
        counted = -1
    slot = first_slot(arena, table, automaton, free, length, counted)
    while table[slot] != 0:
        known = table[slot]
        if (
            arena[known + at.AUTOMATON] == automaton
            and arena[known + at.SET_LENGTH] == length
            and arena[known + at.BEGUN] == counted
        ):
            same = True
            there = arena[known + at.SET_AT]
            for k in range(length):
                if arena[there + k] != arena[free + k]:
                    same = False
                    break
            if same:
                return known
        slot = (slot + 1) & (len(table) - 1)
    state = free + length
    table[slot] = state
    arena[at.HASH_USED] += 1
    describe(arena, automaton, state, free, length, counted)
    return state


@inner
def first_slot(
    arena: Any, table: Any, automaton: Any, members: Any, length: Any, counted: Any
) -> int:  # fmt: skip
    """Where to look first for a set."""
    value = mixed(counted + 1, automaton)
    for k in range(length):
        value = mixed(value, arena[members + k])
    return value & (len(table) - 1)


@inner
def describe(
    arena: Any, automaton: Any, state: Any, members: Any, length: Any, counted: Any
) -> None:  # fmt: skip
    """Write a new state's record behind its set and move the arena's end behind both."""
    set_all(arena, state, state + BYTES, at.UNKNOWN)
    words = arena[automaton + at.WORDS]
    names = arena[automaton + at.NAMES]
    elements = arena[automaton + at.ELEMENT_AT]
    loose = arena[automaton + at.LOOSE_AT]
    reach = arena[automaton + at.REACH_AT]
    for w in range(words):
        arena[state + at.STATE_WORDS + w] = 0
    low = 0
    high = 0
    found = -1
    for k in range(length):
        member = arena[members + k]
        element = arena[elements + member] - 1
        loose_there = arena[loose + member]
        part = 0
        if counted >= 0:
            part = arena[arena[automaton + at.PARTS_AT] + member]
        if part != 0:
            most = arena[part + at.PART_MAXIMUM]
            if counted < arena[part + at.PART_MINIMUM]:
                element = -1
                loose_there = -1
            elif most >= 0:
                loose_there = -1
                if counted > most:
                    element = -1
        if element >= 0:
            if words > 0:
                if element < names:
                    low = element + 1
                else:
                    high |= 1 << (element - names)
            elif element < at.WORD:
                low |= 1 << element
            else:
                high |= 1 << (element - at.WORD)
        found = max(found, loose_there)
        for w in range(words):
            arena[state + at.STATE_WORDS + w] |= arena[reach + member * words + w]
    arena[state + at.LABEL_LOW] = low
    arena[state + at.LABEL_HIGH] = high
    arena[state + at.LOOSE] = found
    arena[state + at.SET_AT] = members
    arena[state + at.SET_LENGTH] = length
    arena[state + at.AUTOMATON] = automaton
    arena[state + at.BEGUN] = counted
    arena[at.FREE] = state + at.STATE_WORDS + words


@entry
def begin(arena: Any, table: Any, automaton: Any, starts: Any) -> int:
    """The state of an automaton's beginning; NEEDS_ROOM or DEAD otherwise."""
    count = len(starts)
    needed = 2 * count + at.STATE_WORDS + arena[automaton + at.WORDS] + ROOM
    if arena[at.FREE] + needed >= len(arena) or 2 * arena[at.HASH_USED] >= len(table):
        return at.NEEDS_ROOM
    members = len(arena) - count - 1
    for k in range(count):
        arena[members + k] = starts[k]
    counted = -1
    if arena[automaton + at.PARTS_AT] != 0:
        counted = 0
    return intern(arena, table, automaton, members, count, counted)


@entry
def uncounted(arena: Any, table: Any, state: Any, longest: Any) -> int:
    """The state that reads any next `longest` characters as this one does, and counts nothing.

    The same state if there is none such; NEEDS_ROOM where there is no room for it.
    """
    automaton = arena[state + at.AUTOMATON]
    counted = arena[state + at.BEGUN]
    if (
        counted < arena[automaton + at.CERTAIN_FROM]
        or counted + longest > arena[automaton + at.CERTAIN_UNTIL]
    ):
        return state
    length = arena[state + at.SET_LENGTH]
    needed = length + at.STATE_WORDS + arena[automaton + at.WORDS] + ROOM
    if arena[at.FREE] + needed >= len(arena) or 2 * arena[at.HASH_USED] >= len(table):
        return at.NEEDS_ROOM
    return intern(arena, table, automaton, arena[state + at.SET_AT], length, -1)


@entry
def rehash(arena: Any, old: Any, table: Any) -> None:
    """Move all entries to a larger table."""
    for state in old:
        if state != 0:
            members, length = arena[state + at.SET_AT], arena[state + at.SET_LENGTH]
            automaton, counted = arena[state + at.AUTOMATON], arena[state + at.BEGUN]
            slot = first_slot(arena, table, automaton, members, length, counted)
            while table[slot] != 0:
                slot = (slot + 1) & (len(table) - 1)
            table[slot] = state


@entry
def expand(arena: Any, table: Any, start: Any, states: Any) -> int:
    """Fill the rows of every state that can be reached, into `states`.

    Returns their number, NEEDS_ROOM, or TOO_MANY when `states` is too short.
    """
    states[0] = start
    count = 1
    position = 0
    while position < count:
        state = states[position]
        if arena[state] == at.UNKNOWN and fill_row(arena, table, state) != at.GOES_ON:
            return at.NEEDS_ROOM
        previous = at.DEAD
        for b in range(BYTES):
            target = arena[state + b]
            if target in (at.DEAD, previous):
                continue
            previous = target
            known = False
            for k in range(count):
                if states[k] == target:
                    known = True
                    break
            if not known:
                if count == len(states):
                    return at.TOO_MANY
                states[count] = target
                count += 1
        position += 1
    return count


@entry
def spread(arena: Any, states: Any, words: Any) -> None:
    """Give every state what the states behind it reach; all rows are filled."""
    changed = True
    while changed:
        changed = False
        for position in range(len(states) - 1, -1, -1):
            state = states[position]
            previous = at.DEAD
            for b in range(BYTES):
                target = arena[state + b]
                if target in (at.DEAD, previous):
                    continue
                previous = target
                for w in range(words):
                    there = arena[target + at.STATE_WORDS + w]
                    if there & ~arena[state + at.STATE_WORDS + w] != 0:
                        arena[state + at.STATE_WORDS + w] |= there
                        changed = True
