"""Interning: equal sets of configurations and equal groups of nodes get the same number."""

from __future__ import annotations

from decoding.kernels.grammar import earley_arrays as at
from decoding.kernels.grammar.hashing import PRIME, mixed
from decoding.kernels.grammar.jit import entry, inner

_TRIED = 4
"""How many older groups a new one is compared with; each is among its callers."""


@inner
def sorted_distinct(keys: at.Int64s, begin: int, end: int) -> int:
    """Sort `keys[begin:end]` and drop what is there twice; returns the new end.

    By insertion over ever smaller gaps, as D. Shell 1959: lists are short, and code compiled
    without an allocator cannot sort a slice.
    """
    gap = 1
    while gap < (end - begin) // 4:
        gap = gap * 9 // 4 + 1
    while gap > 0:
        for index in range(begin + gap, end):
            key, place = keys[index], index
            while place - gap >= begin and keys[place - gap] > key:
                keys[place] = keys[place - gap]
                place -= gap
            keys[place] = key
        gap = gap * 4 // 9
    kept = begin
    for index in range(begin, end):
        if index == begin or keys[index] != keys[kept - 1]:
            keys[kept] = keys[index]
            kept += 1
    return kept


@inner
def intern_state(arena: at.Arena, keys: at.Int64s, count: int, accepting: int) -> int:
    """The state with these configurations, sorted and distinct; makes it if there is none."""
    value = int(accepting)
    for index in range(count):
        value = mixed(mixed(value, keys[index] >> at.SHIFT), keys[index] & at.NODE_MASK)
    places = len(arena.state_table) - 1
    place = value & places
    while arena.state_table[place] != 0:
        state = arena.state_table[place] - 1
        begin = arena.state_at[state]
        if (
            arena.state_hash[state] == value
            and arena.state_at[state + 1] - begin == count
            and arena.accepting[state] == accepting
        ):
            index = 0
            while index < count and arena.keys[begin + index] == keys[index]:
                index += 1
            if index == count:
                return int(state)
        place = (place + 1) & places
    state, begin = arena.used[at.STATES], arena.used[at.KEYS]
    if state + 1 > len(arena.accepting) or begin + count > len(arena.keys):
        arena.used[at.WANTED + at.STATES] = state + 1
        arena.used[at.WANTED + at.KEYS] = begin + count
        return at.FULL
    for index in range(count):
        arena.keys[begin + index] = keys[index]
    arena.state_at[state + 1] = begin + count
    arena.state_hash[state] = value
    arena.accepting[state] = accepting
    arena.state_table[place] = state + 1
    arena.used[at.STATES] = state + 1
    arena.used[at.KEYS] = begin + count
    return int(state)


@inner
def intern_group(network: at.Network, arena: at.Arena, group: int) -> int:
    """The first node of a group of rules called by `gathered`, split by `bounds`; or `FULL`.

    There a node of this very group is `used[NODES]` + its place; every other node is older.
    """
    size = network.group_at[group + 1] - network.group_at[group]
    new = arena.used[at.NODES]
    alike = _older_alike(network, arena, group, size, new)
    if alike >= 0:
        return alike
    value = group % PRIME
    for place in range(size):
        value = mixed(value, arena.bounds[place + 1] - arena.bounds[place])
        for index in range(arena.bounds[place], arena.bounds[place + 1]):
            node = arena.gathered[index] & at.NODE_MASK
            value = mixed(value, arena.gathered[index] >> at.SHIFT)
            value = mixed(value, node if node < new else PRIME - 1 - (node - new))
    slots = len(arena.node_table) - 1
    slot = value & slots
    while arena.node_table[slot] != 0:
        first = arena.node_table[slot] - 1
        if (
            arena.node_hash[first] == value
            and network.group_of[arena.node_rule[first]] == group
            and _same(arena, arena.gathered, arena.bounds, first, size, new)
        ):
            return int(first)
        slot = (slot + 1) & slots
    begin = arena.used[at.CALLERS]
    count = arena.bounds[size]
    if new + size > len(arena.node_rule) or begin + count > len(arena.callers):
        arena.used[at.WANTED + at.NODES] = new + size
        arena.used[at.WANTED + at.CALLERS] = begin + count
        return at.FULL
    for index in range(count):
        arena.callers[begin + index] = arena.gathered[index]
    for place in range(size):
        arena.node_at[new + place + 1] = begin + arena.bounds[place + 1]
        arena.node_rule[new + place] = network.group_rules[network.group_at[group] + place]
    arena.node_hash[new] = value
    arena.node_table[slot] = new + 1
    arena.used[at.NODES] = new + size
    arena.used[at.CALLERS] = begin + count
    return int(new)


@inner
def _same(
    arena: at.Arena, lists: at.Int64s, bounds: at.Int64s, first: int, size: int, new: int
) -> bool:
    """Whether the lists are those of an older group, where own nodes stand for own nodes."""
    for place in range(size):
        begin, end = bounds[place], bounds[place + 1]
        old = arena.node_at[first + place]
        if arena.node_at[first + place + 1] - old != end - begin:
            return False
        for index in range(end - begin):
            key, other = lists[begin + index], arena.callers[old + index]
            if (key & at.NODE_MASK) >= new:
                key += first - new
                if (other & at.NODE_MASK) < first:
                    return False
            if key != other:
                return False
    return True


@inner
def _older_alike(network: at.Network, arena: at.Arena, group: int, size: int, new: int) -> int:
    """An older group among the callers which this one would equal if it were it; else −1.

    Then both have the same ways on: each step back from one is a step back from the other. Without
    this, every operator of `E -> E "+" E | "a"` would call an E of its own.
    """
    tried = 0
    last = -1
    for index in range(arena.bounds[size]):
        node = arena.gathered[index] & at.NODE_MASK
        if node >= new or node == at.ROOT or network.group_of[arena.node_rule[node]] != group:
            continue
        first = node - network.member_of[arena.node_rule[node]]
        if first == last:
            continue
        if _equals_if_merged(arena, first, size, new):
            return int(first)
        last = first
        tried += 1
        if tried == _TRIED:
            return -1
    return -1


@inner
def _equals_if_merged(arena: at.Arena, first: int, size: int, new: int) -> bool:
    """Whether the new lists are the older group's once every new node is the older one."""
    for place in range(size):
        begin, end = arena.bounds[place], arena.bounds[place + 1]
        old, old_end = arena.node_at[first + place], arena.node_at[first + place + 1]
        if end - begin < old_end - old:
            return False
        for index in range(begin, end):
            key = arena.gathered[index]
            if (key & at.NODE_MASK) >= new:
                key += first - new
            arena.other[index - begin] = key
        if sorted_distinct(arena.other, 0, end - begin) != old_end - old:
            return False
        for index in range(old_end - old):
            if arena.other[index] != arena.callers[old + index]:
                return False
    return True


@entry
def rehash(network: at.Network, arena: at.Arena) -> None:
    """Enter into the empty hash tables of an arena all that it holds."""
    slots = len(arena.node_table) - 1
    for node in range(1, arena.used[at.NODES]):
        if network.member_of[arena.node_rule[node]] == 0:
            slot = arena.node_hash[node] & slots
            while arena.node_table[slot] != 0:
                slot = (slot + 1) & slots
            arena.node_table[slot] = node + 1
    places = len(arena.state_table) - 1
    for state in range(arena.used[at.STATES]):
        place = arena.state_hash[state] & places
        while arena.state_table[place] != 0:
            place = (place + 1) & places
        arena.state_table[place] = state + 1
