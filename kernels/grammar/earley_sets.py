"""Numba: interning of the Earley recognizer; equal sets of items, or of nodes, get one number."""

from __future__ import annotations

from decoding.kernels.grammar.arrays import Int64s
from decoding.kernels.grammar.earley_arrays import (
    FULL,
    NODE_MASK,
    ROOT,
    SHIFT,
    USED,
    Chart,
    Network,
)
from decoding.kernels.grammar.hashing import PRIME, mixed
from decoding.kernels.grammar.jit import entry, inner

_TRIED = 4
"""How many groups among its callers a new group is compared with."""


@inner
def sorted_distinct(keys: Int64s, begin: int, end: int) -> int:
    """Sort `keys[begin:end]` and drop duplicates; returns the new end.

    By insertion over ever smaller gaps, as D. Shell 1959: lists are short, and code compiled
    without an allocator cannot sort a slice.
    """
    gap = 1
    while gap < (end - begin) // 4:
        gap = gap * 9 // 4 + 1
    while gap > 0:
        for index in range(begin + gap, end):
            key, slot = keys[index], index
            while slot - gap >= begin and keys[slot - gap] > key:
                keys[slot] = keys[slot - gap]
                slot -= gap
            keys[slot] = key
        gap = gap * 4 // 9
    last = begin
    for index in range(begin, end):
        if index == begin or keys[index] != keys[last - 1]:
            keys[last] = keys[index]
            last += 1
    return last


@inner
def intern_state(chart: Chart, keys: Int64s, count: int, accepting: int) -> int:
    """The state of these items, sorted and distinct; it is made if there is none."""
    value = int(accepting)
    for index in range(count):
        value = mixed(mixed(value, keys[index] >> SHIFT), keys[index] & NODE_MASK)
    slots = len(chart.state_table) - 1
    slot = value & slots
    while chart.state_table[slot] != 0:
        state = chart.state_table[slot] - 1
        begin = chart.state_at[state]
        if (
            chart.state_hash[state] == value
            and chart.state_at[state + 1] - begin == count
            and chart.accepting[state] == accepting
        ):
            index = 0
            while index < count and chart.keys[begin + index] == keys[index]:
                index += 1
            if index == count:
                return int(state)
        slot = (slot + 1) & slots
    state, begin = chart.used[USED.STATES], chart.used[USED.KEYS]
    if state + 1 > len(chart.accepting) or begin + count > len(chart.keys):
        chart.used[USED.WANTED + USED.STATES] = state + 1
        chart.used[USED.WANTED + USED.KEYS] = begin + count
        return FULL
    for index in range(count):
        chart.keys[begin + index] = keys[index]
    chart.state_at[state + 1] = begin + count
    chart.state_hash[state] = value
    chart.accepting[state] = accepting
    chart.state_table[slot] = state + 1
    chart.used[USED.STATES] = state + 1
    chart.used[USED.KEYS] = begin + count
    return int(state)


@inner
def intern_group(network: Network, chart: Chart, group: int) -> int:
    """The first node of a group of rules called by `gathered`, split by `bounds`; or `FULL`.

    In these lists a node of the new group is `used[USED.NODES]` + its position in the group.
    """
    size = network.group_at[group + 1] - network.group_at[group]
    new = chart.used[USED.NODES]
    older = _mergeable(network, chart, group, size, new)
    if older >= 0:
        return older
    value = group % PRIME
    for member in range(size):
        value = mixed(value, chart.bounds[member + 1] - chart.bounds[member])
        for index in range(chart.bounds[member], chart.bounds[member + 1]):
            node = chart.gathered[index] & NODE_MASK
            value = mixed(value, chart.gathered[index] >> SHIFT)
            value = mixed(value, node if node < new else PRIME - 1 - (node - new))
    slots = len(chart.node_table) - 1
    slot = value & slots
    while chart.node_table[slot] != 0:
        first = chart.node_table[slot] - 1
        if (
            chart.node_hash[first] == value
            and network.group_of[chart.node_rule[first]] == group
            and _same(chart, chart.gathered, chart.bounds, first, size, new)
        ):
            return int(first)
        slot = (slot + 1) & slots
    begin = chart.used[USED.CALLERS]
    count = chart.bounds[size]
    if new + size > len(chart.node_rule) or begin + count > len(chart.callers):
        chart.used[USED.WANTED + USED.NODES] = new + size
        chart.used[USED.WANTED + USED.CALLERS] = begin + count
        return FULL
    for index in range(count):
        chart.callers[begin + index] = chart.gathered[index]
    for member in range(size):
        chart.node_at[new + member + 1] = begin + chart.bounds[member + 1]
        chart.node_rule[new + member] = network.group_rules[network.group_at[group] + member]
    chart.node_hash[new] = value
    chart.node_table[slot] = new + 1
    chart.used[USED.NODES] = new + size
    chart.used[USED.CALLERS] = begin + count
    return int(new)


@inner
def _same(chart: Chart, lists: Int64s, bounds: Int64s, first: int, size: int, new: int) -> bool:
    """Whether the lists of callers equal those of an older group, up to the groups' own nodes."""
    for member in range(size):
        begin, end = bounds[member], bounds[member + 1]
        old = chart.node_at[first + member]
        if chart.node_at[first + member + 1] - old != end - begin:
            return False
        for index in range(end - begin):
            key, other = lists[begin + index], chart.callers[old + index]
            if (key & NODE_MASK) >= new:
                key += first - new
                if (other & NODE_MASK) < first:
                    return False
            if key != other:
                return False
    return True


@inner
def _mergeable(network: Network, chart: Chart, group: int, size: int, new: int) -> int:
    """The first node of an older group, among the callers, to merge the new group into; or −1.

    The groups are merged if their lists of callers are equal once every new node is the older one:
    then both have the same continuations. Without this, every operator of `E -> E "+" E | "a"`
    would call an E of its own.
    """
    tried = 0
    last = -1
    for index in range(chart.bounds[size]):
        node = chart.gathered[index] & NODE_MASK
        if node >= new or node == ROOT or network.group_of[chart.node_rule[node]] != group:
            continue
        first = node - network.member_of[chart.node_rule[node]]
        if first == last:
            continue
        if _equals_if_merged(chart, first, size, new):
            return int(first)
        last = first
        tried += 1
        if tried == _TRIED:
            return -1
    return -1


@inner
def _equals_if_merged(chart: Chart, first: int, size: int, new: int) -> bool:
    """Whether the new lists of callers equal an older group's, new nodes being the older ones."""
    for member in range(size):
        begin, end = chart.bounds[member], chart.bounds[member + 1]
        old, old_end = chart.node_at[first + member], chart.node_at[first + member + 1]
        if end - begin < old_end - old:
            return False
        for index in range(begin, end):
            key = chart.gathered[index]
            if (key & NODE_MASK) >= new:
                key += first - new
            chart.other[index - begin] = key
        if sorted_distinct(chart.other, 0, end - begin) != old_end - old:
            return False
        for index in range(old_end - old):
            if chart.other[index] != chart.callers[old + index]:
                return False
    return True


@entry
def rehash(network: Network, chart: Chart) -> None:
    """Enter all states and groups of a chart into its empty hash tables."""
    slots = len(chart.node_table) - 1
    for node in range(1, chart.used[USED.NODES]):
        if network.member_of[chart.node_rule[node]] == 0:
            slot = chart.node_hash[node] & slots
            while chart.node_table[slot] != 0:
                slot = (slot + 1) & slots
            chart.node_table[slot] = node + 1
    slots = len(chart.state_table) - 1
    for state in range(chart.used[USED.STATES]):
        slot = chart.state_hash[state] & slots
        while chart.state_table[slot] != 0:
            slot = (slot + 1) & slots
        chart.state_table[slot] = state + 1
