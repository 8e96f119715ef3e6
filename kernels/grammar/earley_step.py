"""Numba: computes an Earley state's next state: scanning, completion, prediction."""

from __future__ import annotations

from decoding.kernels.grammar.arrays import Int64s
from decoding.kernels.grammar.earley_arrays import (
    DEAD,
    HALTED,
    NODE_MASK,
    NOTES,
    NOTES_SIZE,
    ROOT,
    SHIFT,
    SHORT,
    TOP,
    UNKNOWN,
    USED,
    Chart,
    Network,
)
from decoding.kernels.grammar.earley_sets import intern_group, intern_state, sorted_distinct
from decoding.kernels.grammar.jit import entry, inner


@inner
def filled(network: Network, chart: Chart, notes: Int64s, state: int, column: int) -> int:
    """The state after one symbol, stored for all symbols that the state does not distinguish.

    Returns it, `DEAD`, or a code below `UNKNOWN`.
    """
    begin_step(chart, notes)
    low, high = 0, chart.transitions.shape[1] - 1
    for index in range(chart.state_at[state], chart.state_at[state + 1]):
        key = chart.keys[index]
        origin, node = key >> SHIFT, key & NODE_MASK
        for edge in range(network.move_at[origin], network.move_at[origin + 1]):
            first, last = network.move_first[edge], network.move_last[edge]
            if last < column:
                low = max(low, last + 1)
            elif first > column:
                high = min(high, first - 1)
            else:
                low, high = max(low, first), min(high, last)
                add_item(chart, notes, network.move_target[edge] << SHIFT | node)
    target = DEAD
    if notes[NOTES.ITEMS] > 0:
        target = closed(network, chart, notes)
        if target < UNKNOWN:
            return target
    for each in range(low, high + 1):
        chart.transitions[state, each] = target
    return target


@entry
def fill(network: Network, chart: Chart, notes: Int64s, state: int, column: int) -> int:
    """`filled` for Python callers: the state after one symbol, stored among the transitions."""
    return filled(network, chart, notes, state, column)


@entry
def begin(network: Network, chart: Chart, notes: Int64s) -> int:
    """The state before a text, or an error code below `UNKNOWN`."""
    begin_step(chart, notes)
    add_item(chart, notes, TOP << SHIFT | ROOT)
    return closed(network, chart, notes)


@inner
def begin_step(chart: Chart, notes: Int64s) -> None:
    """Clear the scratch arrays of the previous transition."""
    chart.used[USED.GENERATION] += 1
    for index in range(NOTES_SIZE):
        notes[index] = 0


@inner
def add_item(chart: Chart, notes: Int64s, key: int) -> None:
    """Add an item to the next state, unless it is there."""
    slots = len(chart.item_table) - 1
    slot = ((key >> SHIFT) * 7_919 + (key & NODE_MASK)) & slots
    generation = chart.used[USED.GENERATION]
    while chart.item_stamp[slot] == generation:
        if chart.item_table[slot] == key:
            return
        slot = (slot + 1) & slots
    if notes[NOTES.ITEMS] == len(chart.items):
        notes[NOTES.OVERFULL] = 1
        return
    chart.item_stamp[slot] = generation
    chart.item_table[slot] = key
    chart.items[notes[NOTES.ITEMS]] = key
    notes[NOTES.ITEMS] += 1


@inner
def add_pair(chart: Chart, notes: Int64s, rule: int, key: int) -> None:
    """Add a caller of a rule to the next state, unless it is there."""
    generation = chart.used[USED.GENERATION]
    slots = len(chart.pool_table) - 1
    slot = ((key >> SHIFT) * 7_919 + (key & NODE_MASK) + rule * 104_729) & slots
    while chart.pool_stamp[slot] == generation:
        known = chart.pool_table[slot]
        if chart.pool_key[known] == key and chart.pool_rule[known] == rule:
            return
        slot = (slot + 1) & slots
    if notes[NOTES.PAIRS] == len(chart.pool_key):
        notes[NOTES.OVERFULL] = 1
        return
    pair = notes[NOTES.PAIRS]
    chart.pool_stamp[slot] = generation
    chart.pool_table[slot] = pair
    chart.pool_key[pair], chart.pool_rule[pair] = key, rule
    chart.pool_next[pair] = chart.head[rule]
    chart.head[rule] = pair
    notes[NOTES.PAIRS] = pair + 1


@inner
def predict(network: Network, chart: Chart, notes: Int64s, rule: int) -> None:
    """Prediction: record that a rule is called here, and queue its group once, in group order."""
    generation = chart.used[USED.GENERATION]
    if chart.head_stamp[rule] != generation:
        chart.head_stamp[rule] = generation
        chart.head[rule] = -1
    group = network.group_of[rule]
    if chart.queue_stamp[group] == generation:
        return
    chart.queue_stamp[group] = generation
    position = notes[NOTES.GROUPS]
    while position > 0 and chart.queue[position - 1] > group:
        chart.queue[position] = chart.queue[position - 1]
        position -= 1
    chart.queue[position] = group
    notes[NOTES.GROUPS] += 1
    for index in range(network.group_at[group], network.group_at[group + 1]):
        member = network.group_rules[index]
        if chart.head_stamp[member] != generation:
            chart.head_stamp[member] = generation
            chart.head[member] = -1


@inner
def call(network: Network, chart: Chart, notes: Int64s, edge: int, node: int) -> None:
    """Record the rule that a call edge calls, with the node of the calling rule."""
    rule, back = network.call_rule[edge], network.call_return[edge]
    predict(network, chart, notes, rule)
    if back >= 0:
        add_pair(chart, notes, rule, back << SHIFT | node)
    else:
        chart.used[USED.WORK] += chart.node_at[node + 1] - chart.node_at[node]
        for index in range(chart.node_at[node], chart.node_at[node + 1]):
            add_pair(chart, notes, rule, chart.callers[index])


@inner
def short_of_notes(chart: Chart, notes: Int64s) -> int:
    """Request twice the capacity for items, pairs, or both, whichever is full; returns `SHORT`."""
    items, pairs = len(chart.items), len(chart.pool_key)
    no_item, no_pair = notes[NOTES.ITEMS] == items, notes[NOTES.PAIRS] == pairs
    chart.used[USED.WANTED + USED.ITEMS] = items if no_pair and not no_item else 2 * items
    chart.used[USED.WANTED + USED.PAIRS] = pairs if no_item and not no_pair else 2 * pairs
    return SHORT


@inner
def closed(network: Network, chart: Chart, notes: Int64s) -> int:
    """The state of items closed under completion and prediction; or a code below `UNKNOWN`."""
    complete(network, chart, notes)
    if notes[NOTES.OVERFULL] != 0:
        return short_of_notes(chart, notes)
    if _exhausted(chart):
        return HALTED
    # A state keeps only the items that can read a symbol.
    count = 0
    for index in range(notes[NOTES.ITEMS]):
        key = chart.items[index]
        if _reads(network, key >> SHIFT):
            chart.items[count] = key
            count += 1
    queued = 0
    while queued < notes[NOTES.GROUPS]:
        group = chart.queue[queued]
        first = _called(network, chart, notes, group)
        if first < 0:
            return first
        begin = network.group_at[group]
        for member in range(network.group_at[group + 1] - begin):
            state = network.entry[network.group_rules[begin + member]]
            if _reads(network, state):
                if count == len(chart.items):
                    return short_of_notes(chart, notes)
                chart.items[count] = state << SHIFT | (first + member)
                count += 1
        queued += 1
        if _exhausted(chart):
            return HALTED
    if notes[NOTES.OVERFULL] != 0:
        return short_of_notes(chart, notes)
    count = sorted_distinct(chart.items, 0, count)
    return intern_state(chart, chart.items, count, notes[NOTES.ACCEPTING])


@inner
def _exhausted(chart: Chart) -> bool:
    """Whether the steps so far took more work than they may."""
    return bool(chart.used[USED.WORK] > chart.used[USED.MOST_WORK])


@inner
def _reads(network: Network, state: int) -> bool:
    """Whether a network state has an edge."""
    return bool(network.move_at[state] < network.move_at[state + 1])


@inner
def complete(network: Network, chart: Chart, notes: Int64s) -> None:
    """Add the callers of rules that may end (completion); note all calls (prediction)."""
    index = 0
    while index < notes[NOTES.ITEMS] and notes[NOTES.OVERFULL] == 0 and not _exhausted(chart):
        key = chart.items[index]
        state, node = key >> SHIFT, key & NODE_MASK
        chart.used[USED.WORK] += 1 + network.call_at[state + 1] - network.call_at[state]
        if network.final[state]:
            if node == ROOT:
                notes[NOTES.ACCEPTING] = 1
            chart.used[USED.WORK] += chart.node_at[node + 1] - chart.node_at[node]
            for caller in range(chart.node_at[node], chart.node_at[node + 1]):
                add_item(chart, notes, chart.callers[caller])
        for edge in range(network.call_at[state], network.call_at[state + 1]):
            call(network, chart, notes, edge, node)
        index += 1


@inner
def _called(network: Network, chart: Chart, notes: Int64s, group: int) -> int:
    """The first node of a group that is called here; notes the calls that its rules begin with."""
    begin, end = network.group_at[group], network.group_at[group + 1]
    new = chart.used[USED.NODES]
    for member in range(end - begin):  # calls inside the group
        state = network.entry[network.group_rules[begin + member]]
        for edge in range(network.call_at[state], network.call_at[state + 1]):
            rule, back = network.call_rule[edge], network.call_return[edge]
            if network.group_of[rule] == group and back >= 0:
                add_pair(chart, notes, rule, back << SHIFT | (new + member))
    if notes[NOTES.OVERFULL] != 0 or not _collect(network, chart, group):
        return short_of_notes(chart, notes)
    first = intern_group(network, chart, group)
    if first < 0:
        return first
    for member in range(end - begin):  # calls out of the group, to groups after it
        state = network.entry[network.group_rules[begin + member]]
        for edge in range(network.call_at[state], network.call_at[state + 1]):
            if network.group_of[network.call_rule[edge]] != group:
                call(network, chart, notes, edge, first + member)
    return first


@inner
def _collect(network: Network, chart: Chart, group: int) -> bool:
    """Write the callers of a group's rules to `gathered` and `bounds`; False: no room for them."""
    total = 0
    begin = network.group_at[group]
    chart.bounds[0] = 0
    for member in range(network.group_at[group + 1] - begin):
        rule = network.group_rules[begin + member]
        start = total
        total = _gather(chart, rule, total)
        for heir in range(network.heir_at[rule], network.heir_at[rule + 1]):
            if total >= 0:
                total = _gather(chart, network.heir_of[heir], total)
        if total < 0:
            return False
        chart.used[USED.WORK] += total - start
        total = sorted_distinct(chart.gathered, start, total)
        chart.bounds[member + 1] = total
    return True


@inner
def _gather(chart: Chart, rule: int, total: int) -> int:
    """Append the callers of a rule; returns how many there are now, −1 if there is no room."""
    pair = chart.head[rule]
    while pair >= 0:
        if total == len(chart.gathered):
            return -1
        chart.gathered[total] = chart.pool_key[pair]
        total += 1
        pair = chart.pool_next[pair]
    return total


@entry
def part(chart: Chart, keys: Int64s) -> int:
    """The state with some of the items of another one, or `FULL`."""
    return intern_state(chart, keys, len(keys), 0)


@entry
def joined(chart: Chart, state: int, other: int) -> int:
    """The state with the items of two states, or a code below `UNKNOWN`."""
    count = chart.state_at[state + 1] - chart.state_at[state]
    count += chart.state_at[other + 1] - chart.state_at[other]
    if count > len(chart.items):
        chart.used[USED.WANTED + USED.ITEMS] = count
        chart.used[USED.WANTED + USED.PAIRS] = len(chart.pool_key)
        return SHORT
    count = 0
    for source in (state, other):
        for index in range(chart.state_at[source], chart.state_at[source + 1]):
            chart.items[count] = chart.keys[index]
            count += 1
    count = sorted_distinct(chart.items, 0, count)
    accepting = max(chart.accepting[state], chart.accepting[other])
    return intern_state(chart, chart.items, count, accepting)
