"""The mask of a state: a walk through the vocabulary's trie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.grammar import earley_arrays as at
from decoding.kernels.grammar.earley_step import filled
from decoding.kernels.grammar.jit import entry

BYTE_BITS = 8
DEPTH_BITS = 10
TOKEN_BITS = 20
DEPTH_AT = BYTE_BITS
TOKEN_AT = DEPTH_AT + DEPTH_BITS
SIZE_AT = TOKEN_AT + TOKEN_BITS


@entry
def walk(
    network: at.Network,
    arena: at.Arena,
    notes: at.Int64s,
    stack: NDArray[np.int32],
    trie: NDArray[np.uint64],
    twins: NDArray[np.int32],
    state: int,
    mask: NDArray[np.uint32],
) -> int:
    """Set the bits of all tokens that a text in this state may go on with.

    trie: `(nodes,)` uint64, in preorder: byte, depth (8 bits on, first level 1), token + 1 or 0
        (18 bits on), size of the subtree with the node itself (38 bits on).
    twins: `(n, 2)` int32: a token, and one of the same bytes that is in the trie.
    stack: `(depths,)` int32, where a state is kept for every depth.
    mask: `(words,)` uint32, zeros.
    Returns 0, or a code below `UNKNOWN`; then the mask is not complete.
    """
    fills = 0
    stack[0] = state
    index = 0
    end = trie.size
    transitions, column_of = arena.transitions, network.column_of
    while index < end:
        node = int(trie[index])
        depth = (node >> DEPTH_AT) & ((1 << DEPTH_BITS) - 1)
        origin = stack[depth - 1]
        column = column_of[node & ((1 << BYTE_BITS) - 1)]
        target = transitions[origin, column]
        if target == at.UNKNOWN:
            if fills == at.MAX_FILLS:
                return at.TOO_MANY_FILLS
            fills += 1
            target = filled(network, arena, notes, origin, column)
            if target < at.UNKNOWN:
                return target
        if target < 0:
            index += node >> SIZE_AT
        else:
            stack[depth] = target
            token = (node >> TOKEN_AT) & ((1 << TOKEN_BITS) - 1)
            if token > 0:
                mask[(token - 1) >> 5] |= np.uint32(1) << np.uint32((token - 1) & 31)
            index += 1
    for index in range(len(twins)):
        token, same = twins[index, 0], twins[index, 1]
        if (mask[same >> 5] >> np.uint32(same & 31)) & np.uint32(1):
            mask[token >> 5] |= np.uint32(1) << np.uint32(token & 31)
    return 0
