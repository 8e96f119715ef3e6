"""The arrays of the Earley recognizer: the grammar's automata, and the chart of its texts.

A network is a set of automata that call each other, one for each rule. An item is a pair (network
state, node). A node of the graph-structured stack stands for a rule that was called somewhere, and
holds its callers: pairs (network state to return to, node of the caller). Both pairs are stored as
one key, `state << 32 | node`.

A state of the machine is the set of items in which a text may stand; only items that can read a
symbol are kept. Sets and nodes are interned: equal ones have the same number.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from decoding.kernels.grammar.arrays import Int32Rows, Int64s, UInt8s

SHIFT = 32
NODE_MASK = (1 << SHIFT) - 1
ROOT = 0
"""The node that stands for the caller of the start rule."""
TOP = 0
"""The network state before a text; `TOP + 1` is the one after it."""

DEAD = -1
UNKNOWN = -2
FULL = -3
"""An array of the chart has no room; `used[USED.WANTED + i]` says what is needed."""
SHORT = -4
"""The notes of a step have no room; `used[USED.WANTED + i]` says what is needed."""
HALTED = -5
"""The steps so far took more work than `used[USED.MOST_WORK]`."""

MAX_DEPTH = 1_024


class Network(NamedTuple):
    """Automata that call each other, without empty moves; every call reads at least one symbol.

    Symbols are bytes and, above them, marks. Neighbours that no edge tells apart share a column.

    column_of: `(256 + marks,)`: the column of a symbol.
    moves: by state, from `move_at[state]` to `move_at[state + 1]`: edges over the columns
        `move_first` to `move_last` to `move_target`.
    calls: by state, likewise: the rule, and the state to go on in; −1 where the calling
        rule ends with the call, so that the rule called gets the callers of the calling one.
    final: whether a rule may end in a state.
    entry: the first state of a rule; no edge leads there and no rule ends there.
    groups: rules that begin by calling each other, callers before called: `group_of` a rule,
        `member_of` its position in `group_rules[group_at[group] : group_at[group + 1]]`.
    heirs: by rule, the other rules of its group whose callers are its own as well.
    """

    column_of: Int64s
    move_at: Int64s
    move_first: Int64s
    move_last: Int64s
    move_target: Int64s
    call_at: Int64s
    call_rule: Int64s
    call_return: Int64s
    final: Int64s
    entry: Int64s
    group_of: Int64s
    member_of: Int64s
    group_at: Int64s
    group_rules: Int64s
    heir_at: Int64s
    heir_of: Int64s


class UsedFields(NamedTuple):
    """The counters `Chart.used`: how many of each there are.

    From `WANTED` on come the same six counters again: how many of each a kernel asks room for.
    """

    NODES: int
    CALLERS: int
    STATES: int
    KEYS: int
    ITEMS: int
    """Room for the items and, below, the pairs of one step; what a step notes is not counted."""
    PAIRS: int
    WANTED: int
    GENERATION: int
    """The number of the step: notes of an earlier one are stale, and need not be wiped."""
    WORK: int
    """How many items, callers and calls all steps have looked at."""
    MOST_WORK: int


USED = UsedFields(0, 1, 2, 3, 4, 5, WANTED=6, GENERATION=12, WORK=13, MOST_WORK=14)
USED_SIZE = 15


class NoteFields(NamedTuple):
    """The scratch counters of one transition, besides the scratch arrays of the chart."""

    ITEMS: int
    PAIRS: int
    GROUPS: int
    ACCEPTING: int
    """Whether the text may end behind this step."""
    OVERFULL: int
    """Whether an item or a pair found no room."""


NOTES = NoteFields(*range(5))
NOTES_SIZE = len(NOTES)


class Chart(NamedTuple):
    """The states and nodes so far. A larger chart replaces one that is full.

    used: counters, see above.
    node_at: where the callers of a node begin; those of the next follow.
    node_rule, node_hash: by node; the hash is that of a group, at its first node.
    node_table, state_table: open hash tables of numbers + 1; 0 is free.
    state_at, keys: the configurations of a state, sorted.
    state_hash, accepting: by state.
    transitions: `(states, columns)`: the next state, `DEAD` or `UNKNOWN`.

    The rest is for notes during a step: `items` with their hash table, then by rule the list of its
    callers in `pool_*` with their hash table, the `queue` of groups, `gathered` and `other` for
    lists of callers.
    """

    used: Int64s
    node_at: Int64s
    node_rule: Int64s
    node_hash: Int64s
    callers: Int64s
    node_table: Int64s
    state_at: Int64s
    keys: Int64s
    state_hash: Int64s
    accepting: UInt8s
    state_table: Int64s
    transitions: Int32Rows
    items: Int64s
    item_table: Int64s
    item_stamp: Int64s
    head: Int64s
    head_stamp: Int64s
    pool_key: Int64s
    pool_rule: Int64s
    pool_next: Int64s
    pool_table: Int64s
    pool_stamp: Int64s
    queue: Int64s
    queue_stamp: Int64s
    bounds: Int64s
    gathered: Int64s
    other: Int64s


def rooms(chart: Chart) -> Int64s:
    """The capacities of a chart: nodes, callers, states, keys, items and pairs of a step."""
    return np.array([
        chart.node_rule.size, chart.callers.size, chart.accepting.size, chart.keys.size,
        chart.items.size, chart.pool_key.size,
    ])  # fmt: skip


def size_of(room: Int64s, columns: int) -> int:
    """Bytes of the arrays that grow with the texts, without the notes of a step."""
    nodes, callers, states, keys = (int(count) for count in room[: USED.ITEMS])
    return nodes * 8 * 5 + callers * 8 + states * (8 * 4 + 1 + 4 * columns) + keys * 8


def new_chart(network: Network, room: Int64s) -> Chart:
    """A chart that holds the root node and nothing else."""
    nodes, callers, states, keys, items, pairs = (int(count) for count in room)
    columns, rules = int(network.column_of.max()) + 1, network.entry.size

    def zeros(size: int) -> Int64s:
        return np.zeros(size, np.int64)

    chart = Chart(
        used=zeros(USED_SIZE),
        node_at=zeros(nodes + 1),
        node_rule=np.full(nodes, -1, np.int64),
        node_hash=zeros(nodes),
        callers=zeros(callers),
        node_table=zeros(_table_size(nodes)),
        state_at=zeros(states + 1),
        keys=zeros(keys),
        state_hash=zeros(states),
        accepting=np.zeros(states, np.uint8),
        state_table=zeros(_table_size(states)),
        transitions=np.full((states, columns), UNKNOWN, np.int32),
        items=zeros(items),
        item_table=zeros(_table_size(2 * items)),
        item_stamp=zeros(_table_size(2 * items)),
        head=zeros(rules),
        head_stamp=zeros(rules),
        pool_key=zeros(pairs),
        pool_rule=zeros(pairs),
        pool_next=zeros(pairs),
        pool_table=zeros(_table_size(pairs)),
        pool_stamp=zeros(_table_size(pairs)),
        queue=zeros(rules + 1),
        queue_stamp=zeros(rules),
        bounds=zeros(rules + 1),
        gathered=zeros(pairs),
        other=zeros(pairs),
    )
    chart.used[USED.NODES] = 1  # the root, which nobody called
    chart.used[USED.MOST_WORK] = np.iinfo(np.int64).max
    return chart


def grown(network: Network, chart: Chart, room: Int64s) -> Chart:
    """A larger chart with the same content."""
    new = new_chart(network, room)
    new.used[:] = chart.used
    nodes, states = int(chart.used[USED.NODES]), int(chart.used[USED.STATES])
    callers, keys = int(chart.used[USED.CALLERS]), int(chart.used[USED.KEYS])
    new.node_at[: nodes + 1] = chart.node_at[: nodes + 1]
    new.node_rule[:nodes] = chart.node_rule[:nodes]
    new.node_hash[:nodes] = chart.node_hash[:nodes]
    new.callers[:callers] = chart.callers[:callers]
    new.state_at[: states + 1] = chart.state_at[: states + 1]
    new.keys[:keys] = chart.keys[:keys]
    new.state_hash[:states] = chart.state_hash[:states]
    new.accepting[:states] = chart.accepting[:states]
    new.transitions[:states] = chart.transitions[:states]
    new.used[USED.GENERATION] = 0
    return new


def _table_size(entries: int) -> int:
    """The length of a hash table: a power of two, at least twice the entries."""
    return 1 << (2 * entries - 1).bit_length()
