"""Numba: fills the token mask of an Earley state by walks of the token trie.

Inside a string most tokens stay in the same few network states, whatever rule called theirs. For a
network state that allows many tokens, a `survey` finds these once; it stops where the rule may end
or calls another. With a node to return to, only these positions are walked on from.
"""

from __future__ import annotations

from decoding.kernels.grammar.arrays import Int32s, Int64s, UInt32s, UInt64s
from decoding.kernels.grammar.earley_arrays import DEAD, SHIFT, UNKNOWN, Chart, Network
from decoding.kernels.grammar.earley_step import add_item, begin_step, closed, filled
from decoding.kernels.grammar.jit import entry, inner
from decoding.kernels.grammar.trie_nodes import BYTE, DEPTH, DEPTH_AT, SIZE_AT, allow


@inner
def walked(
    network: Network, chart: Chart, notes: Int64s, stack: Int32s, trie: UInt64s,
    begin: int, end: int, mask: UInt32s,
) -> int:  # fmt: skip
    """Walk trie nodes `begin` to `end`, and set the bits of the tokens that the grammar allows.

    Returns 0, or a code.
    """
    transitions, column_of = chart.transitions, network.column_of
    index = begin
    while index < end:
        node = int(trie[index])
        depth = (node >> DEPTH_AT) & DEPTH
        origin = stack[depth - 1]
        column = column_of[node & BYTE]
        target = transitions[origin, column]
        if target == UNKNOWN:
            target = filled(network, chart, notes, origin, column)
            if target < UNKNOWN:
                return target
        if target < 0:
            index += node >> SIZE_AT
        else:
            stack[depth] = target
            allow(mask, node)
            index += 1
    return 0


@entry
def walk(
    network: Network, chart: Chart, notes: Int64s, stack: Int32s, trie: UInt64s,
    state: int, mask: UInt32s,
) -> int:  # fmt: skip
    """Set the bits of all tokens that may follow a state.

    trie: `(nodes,)` uint64, in preorder: byte, depth (8 bits on, first level 1), token + 1 or 0
        (18 bits on), size of the subtree with the node itself (38 bits on).
    stack: `(depths,)` int32, a state for every depth.
    mask: `(words,)` uint32; bits are only ever set.
    Returns 0, or a code below `UNKNOWN`; then the mask is not complete.
    """
    stack[0] = state
    return walked(network, chart, notes, stack, trie, 0, len(trie), mask)


@entry
def survey(
    network: Network, stack: Int32s, trie: UInt64s, state: int, mask: UInt32s,
    positions: Int64s, targets: Int64s,
) -> tuple[int, int]:  # fmt: skip
    """Set the bits of the tokens that stay inside one rule, whatever called the rule.

    state: a network state. positions, targets: as long as the trie; receive the nodes behind which
        the rule may end, calls or has a choice, and the network states there.
    Returns how many nodes were visited and how many of those positions there are; −1 for too many.
    """
    stack[0] = state
    column_of = network.column_of
    index, visited, found = 0, 0, 0
    while index < len(trie):
        node = int(trie[index])
        visited += 1
        depth = (node >> DEPTH_AT) & DEPTH
        origin = stack[depth - 1]
        column = column_of[node & BYTE]
        inside = -1
        ways = 0
        for edge in range(network.move_at[origin], network.move_at[origin + 1]):
            if network.move_first[edge] > column:
                break
            if network.move_last[edge] < column:
                continue
            ways += 1
            inside = network.move_target[edge]
            if found == len(positions):
                return visited, -1
            # Counted only if it turns out to be needed.
            positions[found], targets[found] = index, inside
            found += 1
        if ways == 1 and not (
            network.final[inside] or network.call_at[inside] < network.call_at[inside + 1]
        ):
            found -= 1
            stack[depth] = inside
            allow(mask, node)
            index += 1
        else:
            index += node >> SIZE_AT
    return visited, found


@entry
def spread(
    network: Network, chart: Chart, notes: Int64s, stack: Int32s, trie: UInt64s,
    positions: Int64s, targets: Int64s, node: int, mask: UInt32s,
) -> int:  # fmt: skip
    """Continue the walks of a survey in the callers of a node; returns 0, or an error code."""
    known, state = -1, DEAD
    for number in range(len(positions)):
        if targets[number] != known:
            known = targets[number]
            begin_step(chart, notes)
            add_item(chart, notes, known << SHIFT | node)
            state = closed(network, chart, notes)
            if state < UNKNOWN:
                return state
        position = positions[number]
        packed = int(trie[position])
        allow(mask, packed)
        size = packed >> SIZE_AT
        if size > 1:
            stack[(packed >> DEPTH_AT) & DEPTH] = state
            code = walked(network, chart, notes, stack, trie, position + 1, position + size, mask)
            if code < 0:
                return code
    return 0
