"""Numba: sets the mask bits of tokens of trie nodes, which are packed as uint64."""

from __future__ import annotations

import numpy as np

from decoding.kernels.grammar.arrays import Int32Rows, UInt32s
from decoding.kernels.grammar.jit import entry, woven

# From the lowest bit: its byte, its depth, its token + 1 or 0, the size of its subtree.
BYTE = (1 << 8) - 1
DEPTH_AT, DEPTH = 8, (1 << 10) - 1
TOKEN_AT, TOKEN = 18, (1 << 20) - 1
SIZE_AT = 38


@woven
def allow(mask: UInt32s, node: int) -> None:
    """Set the bit of a node's token, if it has one."""
    token = ((node >> TOKEN_AT) & TOKEN) - 1
    if token >= 0:
        allow_token(mask, token)


@woven
def allow_token(mask: UInt32s, token: int) -> None:
    """Set the bit of a token: bit i % 32 of word i // 32."""
    mask[token >> 5] |= np.uint32(1) << np.uint32(token & 31)


@entry
def copy_twins(twins: Int32Rows, mask: UInt32s) -> None:
    """Set the mask bit of each token whose twin, of equal bytes, is allowed; rows (token, twin)."""
    for index in range(len(twins)):
        same = twins[index, 1]
        if (mask[same >> 5] >> np.uint32(same & 31)) & np.uint32(1):
            allow_token(mask, twins[index, 0])
