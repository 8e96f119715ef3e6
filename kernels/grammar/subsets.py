"""Numba: the subset construction; deterministic states are made when they are first needed."""

from __future__ import annotations

from array import array
from typing import Any

from decoding.kernels.grammar import layout
from decoding.kernels.grammar.arrays import Int32s, Int64s
from decoding.kernels.grammar.hashing import mixed
from decoding.kernels.grammar.jit import entry, inner, woven, woven_from
from decoding.kernels.grammar.layout import AUTOMATON, HEAD, PART, STATE

ROOM = 1 << 12
"""Fields that a new state may take besides its set."""


def _set_each(fields: Int32s, begin: int, end: int, value: int) -> None:
    for position in range(begin, end):
        fields[position] = value


@woven_from(_set_each)
def set_all(fields: Int32s, begin: int, end: int, value: int) -> None:
    """Set the int32 fields from `begin` up to `end`."""
    fields[begin:end] = array("i", (value,)) * (end - begin)


@inner
def fill_row(fields: Int32s, table: Int32s, state: int) -> int:
    """Compute the 256 next states of a state.

    Returns GOES_ON, or NEEDS_ROOM when `fields` or the table is too full; then nothing is lost and
    the row can be asked for again.
    """
    automaton = fields[state + STATE.AUTOMATON]
    members = fields[state + STATE.MEMBERS]
    length = fields[state + STATE.MEMBER_COUNT]
    rows = fields[automaton + AUTOMATON.ROWS]
    edges = fields[automaton + AUTOMATON.EDGES]
    total = 0
    for k in range(length):
        row = rows + fields[members + k]
        total += fields[row + 1] - fields[row]
    # The edges by their lowest byte, and those that go on, lie behind everything else: they are
    # gone when this is done.
    free = fields[HEAD.FREE]
    state_size = layout.STATE_SIZE + fields[automaton + AUTOMATON.WORDS]
    needed = 4 * total + layout.BYTES + 2 * layout.BYTES * state_size + ROOM
    if free + needed >= len(fields) or 2 * (fields[HEAD.HASH_USED] + 2 * layout.BYTES) >= len(
        table
    ):
        return layout.NEEDS_ROOM
    counted: Any = fields[state + STATE.CHARACTERS]
    if counted >= 0:
        counted += fields[fields[automaton + AUTOMATON.BETWEEN] + fields[members]]
        counted = min(counted, fields[automaton + AUTOMATON.MOST])
    if length == 1 and fill_alone(fields, table, state, counted):
        return layout.GOES_ON
    begins = len(fields) - layout.BYTES - 1
    ordered = begins - total
    set_all(fields, begins, begins + layout.BYTES + 1, 0)
    for k in range(length):
        row = rows + fields[members + k]
        for e in range(fields[row], fields[row + 1]):
            fields[begins + fields[edges + 3 * e] + 1] += 1
    for b in range(layout.BYTES):
        fields[begins + b + 1] += fields[begins + b]
    for k in range(length):
        row = rows + fields[members + k]
        for e in range(fields[row], fields[row + 1]):
            low = fields[edges + 3 * e]
            fields[ordered + fields[begins + low]] = edges + 3 * e
            fields[begins + low] += 1
    going = ordered - total
    targets = going - total
    position = 0
    count = 0
    b = 0
    while b < layout.BYTES:
        kept = 0
        for k in range(count):
            if fields[fields[going + k] + 1] >= b:
                fields[going + kept] = fields[going + k]
                kept += 1
        count = kept
        while position < total and fields[fields[ordered + position]] == b:
            fields[going + count] = fields[ordered + position]
            count += 1
            position += 1
        # Up to the next byte at which an edge begins or ends, all lead to the same.
        until = layout.BYTES
        if position < total:
            until = fields[fields[ordered + position]]
        for k in range(count):
            until = min(until, fields[fields[going + k] + 1] + 1)
            fields[targets + k] = fields[fields[going + k] + 2]
        following = layout.DEAD
        if count > 0:
            following = intern(fields, table, automaton, targets, count, counted)
        set_all(fields, state + b, state + until, following)
        b = until
    return layout.GOES_ON


@inner
def fill_alone(fields: Int32s, table: Int32s, state: int, counted: int) -> bool:
    """Compute the row of a state of one member; False if a byte leads to more than one."""
    automaton = fields[state + STATE.AUTOMATON]
    row = fields[automaton + AUTOMATON.ROWS] + fields[fields[state + STATE.MEMBERS]]
    edges = fields[automaton + AUTOMATON.EDGES]
    set_all(fields, state, state + layout.BYTES, layout.DEAD)
    for e in range(fields[row], fields[row + 1]):
        low, high = fields[edges + 3 * e], fields[edges + 3 * e + 1]
        for b in range(low, high + 1):
            if fields[state + b] != layout.DEAD:
                return False
        following = intern(fields, table, automaton, edges + 3 * e + 2, 1, counted)
        set_all(fields, state + low, state + high + 1, following)
    return True


@woven
def next_state(fields: Int32s, table: Int32s, state: int, byte: int) -> int:
    """The state after one more byte; UNKNOWN if there is no room to find it."""
    if fields[state + byte] == layout.UNKNOWN:
        fill_row(fields, table, state)
    return fields[state + byte]


@inner
def is_within(fields: Int32s, part: int, member: int, counted: int) -> bool:
    """Whether an NFA state, after `counted` characters, leads to a string within the bounds."""
    needed = max(fields[part + PART.MINIMUM] - counted, 0)
    most = fields[part + PART.MAXIMUM]
    width = fields[part + PART.WIDTH]
    row = fields[part + PART.TABLE] + (member - fields[part + PART.FIRST]) * width
    if most < 0:
        return fields[row] < 0 or fields[row] >= needed
    return counted <= most and fields[row + needed] <= most - counted


@inner
def intern(
    fields: Int32s, table: Int32s, automaton: int, members: int, count: int, counted: int
) -> int:
    """The deterministic state of a set of NFA states; DEAD for the empty set.

    members: the offset of `count` NFA states in any order, with or without duplicates.
    counted: the number of characters before them, or −1 if nothing is counted. Members from which
        no string keeps the bounds are dropped.
    """
    free = fields[HEAD.FREE]
    length = 0
    bounded = False
    for k in range(count):
        target = fields[members + k]
        if counted >= 0:
            part = fields[fields[automaton + AUTOMATON.PARTS] + target]
            if part != 0:
                if not is_within(fields, part, target, counted):
                    continue
                bounded = True
        position = length
        while position > 0 and fields[free + position - 1] > target:
            position -= 1
        if position > 0 and fields[free + position - 1] == target:
            continue
        for move in range(length, position, -1):
            fields[free + move] = fields[free + move - 1]
        fields[free + position] = target
        length += 1
    if length == 0:
        return layout.DEAD
    if not bounded:
        counted = -1
    slot = first_slot(fields, table, automaton, free, length, counted)
    while table[slot] != 0:
        known = table[slot]
        if (
            fields[known + STATE.AUTOMATON] == automaton
            and fields[known + STATE.MEMBER_COUNT] == length
            and fields[known + STATE.CHARACTERS] == counted
        ):
            same = True
            there = fields[known + STATE.MEMBERS]
            for k in range(length):
                if fields[there + k] != fields[free + k]:
                    same = False
                    break
            if same:
                return known
        slot = (slot + 1) & (len(table) - 1)
    state = free + length
    table[slot] = state
    fields[HEAD.HASH_USED] += 1
    describe(fields, automaton, state, free, length, counted)
    return state


@inner
def first_slot(
    fields: Int32s, table: Int32s, automaton: int, members: int, length: int, counted: int
) -> int:  # fmt: skip
    """The first slot of a set of NFA states in the hash table."""
    value = mixed(counted + 1, automaton)
    for k in range(length):
        value = mixed(value, fields[members + k])
    return value & (len(table) - 1)


@inner
def describe(
    fields: Int32s, automaton: int, state: int, members: int, length: int, counted: int
) -> None:  # fmt: skip
    """Write a new state's record behind its set, and advance the end of `fields` past both."""
    set_all(fields, state, state + layout.BYTES, layout.UNKNOWN)
    words = fields[automaton + AUTOMATON.WORDS]
    names = fields[automaton + AUTOMATON.NAMES]
    elements = fields[automaton + AUTOMATON.ELEMENTS]
    universal = fields[automaton + AUTOMATON.UNIVERSAL]
    reach = fields[automaton + AUTOMATON.REACH]
    for w in range(words):
        fields[state + layout.STATE_SIZE + w] = 0
    low = 0
    high = 0
    found = -1
    for k in range(length):
        member = fields[members + k]
        element = fields[elements + member] - 1
        universal_there = fields[universal + member]
        part = 0
        if counted >= 0:
            part = fields[fields[automaton + AUTOMATON.PARTS] + member]
        if part != 0:
            most = fields[part + PART.MAXIMUM]
            if counted < fields[part + PART.MINIMUM]:
                element = -1
                universal_there = -1
            elif most >= 0:
                universal_there = -1
                if counted > most:
                    element = -1
        if element >= 0:
            if words > 0:
                if element < names:
                    low = element + 1
                else:
                    high |= 1 << (element - names)
            elif element < layout.WORD:
                low |= 1 << element
            else:
                high |= 1 << (element - layout.WORD)
        found = max(found, universal_there)
        for w in range(words):
            fields[state + layout.STATE_SIZE + w] |= fields[reach + member * words + w]
    fields[state + STATE.LABEL_LOW] = low
    fields[state + STATE.LABEL_HIGH] = high
    fields[state + STATE.UNIVERSAL] = found
    fields[state + STATE.MEMBERS] = members
    fields[state + STATE.MEMBER_COUNT] = length
    fields[state + STATE.AUTOMATON] = automaton
    fields[state + STATE.CHARACTERS] = counted
    fields[HEAD.FREE] = state + layout.STATE_SIZE + words


@entry
def begin(fields: Int32s, table: Int32s, automaton: int, starts: Int64s) -> int:
    """The deterministic state of an automaton's start states; DEAD for none, or NEEDS_ROOM."""
    count = len(starts)
    needed = 2 * count + layout.STATE_SIZE + fields[automaton + AUTOMATON.WORDS] + ROOM
    if fields[HEAD.FREE] + needed >= len(fields) or 2 * fields[HEAD.HASH_USED] >= len(table):
        return layout.NEEDS_ROOM
    members = len(fields) - count - 1
    for k in range(count):
        fields[members + k] = starts[k]
    counted = -1
    if fields[automaton + AUTOMATON.PARTS] != 0:
        counted = 0
    return intern(fields, table, automaton, members, count, counted)


@entry
def uncounted(fields: Int32s, table: Int32s, state: int, longest: int) -> int:
    """The state that reads the next `longest` characters as this one does, without counting them.

    Returns the state itself if there is no such state, or NEEDS_ROOM.
    """
    automaton = fields[state + STATE.AUTOMATON]
    counted = fields[state + STATE.CHARACTERS]
    if (
        counted < fields[automaton + AUTOMATON.CERTAIN_FROM]
        or counted + longest > fields[automaton + AUTOMATON.CERTAIN_UNTIL]
    ):
        return state
    length = fields[state + STATE.MEMBER_COUNT]
    needed = length + layout.STATE_SIZE + fields[automaton + AUTOMATON.WORDS] + ROOM
    if fields[HEAD.FREE] + needed >= len(fields) or 2 * fields[HEAD.HASH_USED] >= len(table):
        return layout.NEEDS_ROOM
    return intern(fields, table, automaton, fields[state + STATE.MEMBERS], length, -1)


@entry
def rehash(fields: Int32s, old: Int32s, table: Int32s) -> None:
    """Enter all states of a hash table into a larger one."""
    for state in old:
        if state != 0:
            members, length = fields[state + STATE.MEMBERS], fields[state + STATE.MEMBER_COUNT]
            automaton, counted = fields[state + STATE.AUTOMATON], fields[state + STATE.CHARACTERS]
            slot = first_slot(fields, table, automaton, members, length, counted)
            while table[slot] != 0:
                slot = (slot + 1) & (len(table) - 1)
            table[slot] = state


@entry
def expand(fields: Int32s, table: Int32s, start: int, states: Int64s) -> int:
    """Compute the rows of all states that are reached from `start`, and list these in `states`.

    Returns their number, NEEDS_ROOM, or TOO_MANY when `states` is too short.
    """
    states[0] = start
    count = 1
    position = 0
    while position < count:
        state = states[position]
        if fields[state] == layout.UNKNOWN and fill_row(fields, table, state) != layout.GOES_ON:
            return layout.NEEDS_ROOM
        previous = layout.DEAD
        for b in range(layout.BYTES):
            target = fields[state + b]
            if target in (layout.DEAD, previous):
                continue
            previous = target
            known = False
            for k in range(count):
                if states[k] == target:
                    known = True
                    break
            if not known:
                if count == len(states):
                    return layout.TOO_MANY
                states[count] = target
                count += 1
        position += 1
    return count


@entry
def spread(fields: Int32s, states: Int64s, words: int) -> None:
    """Add to every state's words the words of the states it leads to; all rows are computed."""
    changed = True
    while changed:
        changed = False
        for position in range(len(states) - 1, -1, -1):
            state = states[position]
            previous = layout.DEAD
            for b in range(layout.BYTES):
                target = fields[state + b]
                if target in (layout.DEAD, previous):
                    continue
                previous = target
                for w in range(words):
                    there = fields[target + layout.STATE_SIZE + w]
                    if there & ~fields[state + layout.STATE_SIZE + w] != 0:
                        fields[state + layout.STATE_SIZE + w] |= there
                        changed = True
