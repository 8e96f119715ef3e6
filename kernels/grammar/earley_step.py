"""One symbol on: completion, prediction, and the state that comes out."""

from __future__ import annotations

from decoding.kernels.grammar import earley_arrays as at
from decoding.kernels.grammar.earley_sets import intern_group, intern_state, sorted_distinct
from decoding.kernels.grammar.jit import entry, inner


@inner
def filled(network: at.Network, arena: at.Arena, notes: at.Int64s, state: int, column: int) -> int:
    """The state after one symbol; enters it for all columns that no configuration tells apart.

    Returns it, `DEAD`, or a code below `UNKNOWN`.
    """
    begin_step(arena, notes)
    low, high = 0, arena.transitions.shape[1] - 1
    for index in range(arena.state_at[state], arena.state_at[state + 1]):
        key = arena.keys[index]
        origin, node = key >> at.SHIFT, key & at.NODE_MASK
        for edge in range(network.move_at[origin], network.move_at[origin + 1]):
            first, last = network.move_first[edge], network.move_last[edge]
            if last < column:
                low = max(low, last + 1)
            elif first > column:
                high = min(high, first - 1)
            else:
                low, high = max(low, first), min(high, last)
                add_item(arena, notes, network.move_target[edge] << at.SHIFT | node)
    target = at.DEAD
    if notes[at.ITEMS] > 0:
        target = closed(network, arena, notes)
        if target < at.UNKNOWN:
            return target
    for place in range(low, high + 1):
        arena.transitions[state, place] = target
    return target


@entry
def fill(network: at.Network, arena: at.Arena, notes: at.Int64s, state: int, column: int) -> int:
    """As `filled`, for callers in Python."""
    return filled(network, arena, notes, state, column)


@entry
def begin(network: at.Network, arena: at.Arena, notes: at.Int64s) -> int:
    """The state before a text, or a code below `UNKNOWN`."""
    begin_step(arena, notes)
    add_item(arena, notes, at.TOP << at.SHIFT | at.ROOT)
    return closed(network, arena, notes)


@inner
def begin_step(arena: at.Arena, notes: at.Int64s) -> None:
    """Forget the last step's notes."""
    arena.used[at.GENERATION] += 1
    for index in range(at.NOTES):
        notes[index] = 0


@inner
def add_item(arena: at.Arena, notes: at.Int64s, key: int) -> None:
    """Note a configuration, once."""
    places = len(arena.item_table) - 1
    place = ((key >> at.SHIFT) * 7_919 + (key & at.NODE_MASK)) & places
    generation = arena.used[at.GENERATION]
    while arena.item_stamp[place] == generation:
        if arena.item_table[place] == key:
            return
        place = (place + 1) & places
    if notes[at.ITEMS] == len(arena.items):
        notes[at.OVERFULL] = 1
        return
    arena.item_stamp[place] = generation
    arena.item_table[place] = key
    arena.items[notes[at.ITEMS]] = key
    notes[at.ITEMS] += 1


@inner
def add_pair(arena: at.Arena, notes: at.Int64s, rule: int, key: int) -> None:
    """Note a caller of a rule, once."""
    generation = arena.used[at.GENERATION]
    slots = len(arena.pool_table) - 1
    slot = ((key >> at.SHIFT) * 7_919 + (key & at.NODE_MASK) + rule * 104_729) & slots
    while arena.pool_stamp[slot] == generation:
        known = arena.pool_table[slot]
        if arena.pool_key[known] == key and arena.pool_rule[known] == rule:
            return
        slot = (slot + 1) & slots
    if notes[at.PAIRS] == len(arena.pool_key):
        notes[at.OVERFULL] = 1
        return
    pair = notes[at.PAIRS]
    arena.pool_stamp[slot] = generation
    arena.pool_table[slot] = pair
    arena.pool_key[pair], arena.pool_rule[pair] = key, rule
    arena.pool_next[pair] = arena.head[rule]
    arena.head[rule] = pair
    notes[at.PAIRS] = pair + 1


@inner
def predict(network: at.Network, arena: at.Arena, notes: at.Int64s, rule: int) -> None:
    """Note that a rule is called here; groups are queued in their order, each once."""
    generation = arena.used[at.GENERATION]
    if arena.head_stamp[rule] != generation:
        arena.head_stamp[rule] = generation
        arena.head[rule] = -1
    group = network.group_of[rule]
    if arena.queue_stamp[group] == generation:
        return
    arena.queue_stamp[group] = generation
    place = notes[at.GROUPS]
    while place > 0 and arena.queue[place - 1] > group:
        arena.queue[place] = arena.queue[place - 1]
        place -= 1
    arena.queue[place] = group
    notes[at.GROUPS] += 1
    for index in range(network.group_at[group], network.group_at[group + 1]):
        member = network.group_rules[index]
        if arena.head_stamp[member] != generation:
            arena.head_stamp[member] = generation
            arena.head[member] = -1


@inner
def call(network: at.Network, arena: at.Arena, notes: at.Int64s, edge: int, node: int) -> None:
    """Note what an edge calls, for the node in which it lies."""
    rule, back = network.call_rule[edge], network.call_return[edge]
    predict(network, arena, notes, rule)
    if back >= 0:
        add_pair(arena, notes, rule, back << at.SHIFT | node)
    else:
        for index in range(arena.node_at[node], arena.node_at[node + 1]):
            add_pair(arena, notes, rule, arena.callers[index])


@inner
def short_of_notes(arena: at.Arena, notes: at.Int64s) -> int:
    """Ask for twice as many notes of the kind whose room is full, or of both; returns `SHORT`."""
    items, pairs = len(arena.items), len(arena.pool_key)
    no_item, no_pair = notes[at.ITEMS] == items, notes[at.PAIRS] == pairs
    arena.used[at.WANTED + at.ITEM_NOTES] = items if no_pair and not no_item else 2 * items
    arena.used[at.WANTED + at.PAIR_NOTES] = pairs if no_item and not no_pair else 2 * pairs
    return at.SHORT


@inner
def closed(network: at.Network, arena: at.Arena, notes: at.Int64s) -> int:
    """The state of the items with all that they complete and call; or a code below `UNKNOWN`."""
    complete(network, arena, notes)
    if notes[at.OVERFULL] != 0:
        return short_of_notes(arena, notes)
    # What cannot read a symbol has done its work.
    count = 0
    for place in range(notes[at.ITEMS]):
        key = arena.items[place]
        if _reads(network, key >> at.SHIFT):
            arena.items[count] = key
            count += 1
    queued = 0
    while queued < notes[at.GROUPS]:
        group = arena.queue[queued]
        first = _called(network, arena, notes, group)
        if first < 0:
            return first
        begin = network.group_at[group]
        for place in range(network.group_at[group + 1] - begin):
            state = network.entry[network.group_rules[begin + place]]
            if _reads(network, state):
                if count == len(arena.items):
                    return short_of_notes(arena, notes)
                arena.items[count] = state << at.SHIFT | (first + place)
                count += 1
        queued += 1
    if notes[at.OVERFULL] != 0:
        return short_of_notes(arena, notes)
    count = sorted_distinct(arena.items, 0, count)
    return intern_state(arena, arena.items, count, notes[at.ACCEPTING])


@inner
def _reads(network: at.Network, state: int) -> bool:
    """Whether a network state has an edge."""
    return bool(network.move_at[state] < network.move_at[state + 1])


@inner
def complete(network: at.Network, arena: at.Arena, notes: at.Int64s) -> None:
    """Add the callers of rules that may end, and note what all items call."""
    index = 0
    while index < notes[at.ITEMS] and notes[at.OVERFULL] == 0:
        key = arena.items[index]
        state, node = key >> at.SHIFT, key & at.NODE_MASK
        if network.final[state]:
            if node == at.ROOT:
                notes[at.ACCEPTING] = 1
            for place in range(arena.node_at[node], arena.node_at[node + 1]):
                add_item(arena, notes, arena.callers[place])
        for edge in range(network.call_at[state], network.call_at[state + 1]):
            call(network, arena, notes, edge, node)
        index += 1


@inner
def _called(network: at.Network, arena: at.Arena, notes: at.Int64s, group: int) -> int:
    """The first node of a group that is called here; notes what its rules begin by calling."""
    begin, end = network.group_at[group], network.group_at[group + 1]
    new = arena.used[at.NODES]
    for place in range(end - begin):  # calls inside the group
        state = network.entry[network.group_rules[begin + place]]
        for edge in range(network.call_at[state], network.call_at[state + 1]):
            rule, back = network.call_rule[edge], network.call_return[edge]
            if network.group_of[rule] == group and back >= 0:
                add_pair(arena, notes, rule, back << at.SHIFT | (new + place))
    if notes[at.OVERFULL] != 0 or not _collect(network, arena, group):
        return short_of_notes(arena, notes)
    first = intern_group(network, arena, group)
    if first < 0:
        return first
    for place in range(end - begin):  # calls out of the group, to groups after it
        state = network.entry[network.group_rules[begin + place]]
        for edge in range(network.call_at[state], network.call_at[state + 1]):
            if network.group_of[network.call_rule[edge]] != group:
                call(network, arena, notes, edge, first + place)
    return first


@inner
def _collect(network: at.Network, arena: at.Arena, group: int) -> bool:
    """Write the callers of a group's rules to `gathered` and `bounds`; False: no room for them."""
    total = 0
    begin = network.group_at[group]
    arena.bounds[0] = 0
    for place in range(network.group_at[group + 1] - begin):
        rule = network.group_rules[begin + place]
        start = total
        total = _gather(arena, rule, total)
        for heir in range(network.heir_at[rule], network.heir_at[rule + 1]):
            if total >= 0:
                total = _gather(arena, network.heir_of[heir], total)
        if total < 0:
            return False
        total = sorted_distinct(arena.gathered, start, total)
        arena.bounds[place + 1] = total
    return True


@inner
def _gather(arena: at.Arena, rule: int, total: int) -> int:
    """Append the callers of a rule; returns how many there are now, −1 if there is no room."""
    pair = arena.head[rule]
    while pair >= 0:
        if total == len(arena.gathered):
            return -1
        arena.gathered[total] = arena.pool_key[pair]
        total += 1
        pair = arena.pool_next[pair]
    return total


@entry
def part(arena: at.Arena, keys: at.Int64s) -> int:
    """The state with these configurations of another one, or `FULL`."""
    return intern_state(arena, keys, len(keys), 0)


@entry
def joined(arena: at.Arena, state: int, other: int) -> int:
    """The state with the configurations of both, or a code below `UNKNOWN`."""
    count = arena.state_at[state + 1] - arena.state_at[state]
    count += arena.state_at[other + 1] - arena.state_at[other]
    if count > len(arena.items):
        arena.used[at.WANTED + at.ITEM_NOTES] = count
        arena.used[at.WANTED + at.PAIR_NOTES] = len(arena.pool_key)
        return at.SHORT
    count = 0
    for source in (state, other):
        for index in range(arena.state_at[source], arena.state_at[source + 1]):
            arena.items[count] = arena.keys[index]
            count += 1
    count = sorted_distinct(arena.items, 0, count)
    accepting = max(arena.accepting[state], arena.accepting[other])
    return intern_state(arena, arena.items, count, accepting)
