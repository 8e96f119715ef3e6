"""NumPy: orders a token trie's nodes by depth, to follow all nodes of a level at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from decoding.kernels.grammar.arrays import Int32s, Int64s, UInt32s, UInt64s
from decoding.kernels.grammar.trie_nodes import BYTE, DEPTH, DEPTH_AT, TOKEN, TOKEN_AT

_MANY = 1_000
"""So many tokens are set faster in an array of one byte a token, which is then packed."""


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """The nodes of a token trie by depth, siblings side by side.

    byte, token: of a node; the token or −1.
    first, count: by node, its children.
    roots: how many nodes have depth 1; they come first.
    used: the bytes that occur.
    """

    byte: Int64s
    token: Int32s
    first: Int32s
    count: Int32s
    roots: int
    used: frozenset[int]

    def below(self, nodes: Int64s) -> tuple[Int64s, Int64s]:
        """The children of some nodes, and each child's parent as an index of these nodes."""
        count = self.count[nodes]
        parents = np.repeat(np.arange(len(nodes)), count)
        skipped = self.first[nodes] - (np.cumsum(count) - count)
        return np.arange(len(parents)) + skipped[parents], parents


def levels_of(nodes: UInt64s) -> Levels:
    """The levels of a trie of packed nodes, an array that is never changed."""
    return _levels_of(_Same(nodes))


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """An array that equals itself alone."""

    nodes: UInt64s

    def __hash__(self) -> int:
        return id(self.nodes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.nodes is self.nodes


@lru_cache(maxsize=4)
def _levels_of(same: _Same) -> Levels:
    nodes = same.nodes
    depth = (nodes >> np.uint64(DEPTH_AT) & np.uint64(DEPTH)).astype(np.int16)
    deepest = int(depth.max(initial=0))
    order = np.argsort(depth, kind="stable")
    begins = np.searchsorted(depth[order], np.arange(1, deepest + 2)).tolist()
    first, count = np.zeros((2, len(nodes)), np.int32)
    for above, here, end in zip(begins, begins[1:], [*begins[2:], len(nodes)], strict=False):
        # The parent is the last node before it that is one level higher.
        parents = np.searchsorted(order[above:here], order[here:end]) - 1
        count[above:here] = np.bincount(parents, minlength=here - above)
        first[above:here] = here + np.cumsum(count[above:here]) - count[above:here]
    ordered = nodes[order]
    return Levels(
        (ordered & np.uint64(BYTE)).astype(np.int64),
        (ordered >> np.uint64(TOKEN_AT) & np.uint64(TOKEN)).astype(np.int32) - 1,
        first,
        count,
        begins[1] if deepest else 0,
        frozenset(np.unique(nodes & np.uint64(BYTE)).tolist()),
    )


def allow_all(mask: UInt32s, tokens: Int32s) -> None:
    """Set the mask bits of some distinct tokens."""
    if len(tokens) > _MANY:
        bits = np.zeros(32 * len(mask), np.bool_)
        bits[tokens] = True
        mask |= np.packbits(bits, bitorder="little").view("<u4")
    elif len(tokens):
        np.bitwise_or.at(mask, tokens >> 5, np.uint32(1) << (tokens & 31).astype(np.uint32))
