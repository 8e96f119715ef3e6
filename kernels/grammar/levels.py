"""NumPy: orders a token trie's nodes by depth, to follow all nodes of a level at once."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from decoding.kernels.grammar.arrays import Bools, Int32s, Int64s, UInt32s, UInt64s
from decoding.kernels.grammar.trie_nodes import BYTE, DEPTH, DEPTH_AT, TOKEN, TOKEN_AT

_MANY = 1_000
"""So many tokens are set faster in an array of one byte a token, which is then packed."""
_DENSE, _SMALL = 4, 64
"""All nodes of a depth are read where one in `_DENSE` is met, or where there are `_SMALL`: that is
faster than to find these few."""

LevelNodes = slice | Int64s
"""All nodes of one depth, or some of them in ascending order."""


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """The nodes of a token trie by depth, siblings side by side.

    byte, token: of a node; the token or −1.
    parent: of a node, −1 at depth 1.
    first, count: by node, its children.
    begins: the first node of every depth from 1 on, then the number of nodes twice.
    used: the bytes that occur.
    """

    byte: Int64s
    token: Int32s
    parent: Int64s
    first: Int32s
    count: Int32s
    begins: list[int]
    used: frozenset[int]

    def start(self, state: int) -> tuple[LevelNodes, Int64s]:
        """The nodes of depth 1, and room for the states of all nodes; the last is the root's."""
        known = np.empty(len(self.byte) + 1, np.int64)
        known[-1] = state
        return slice(0, self.begins[1]), known

    def below(
        self, known: Int64s, nodes: LevelNodes, states: Int32s | Int64s, dead: int
    ) -> LevelNodes:
        """The children of those nodes of one depth whose state is not `dead`.

        Others may be among them; the state of their parents is `dead`.

        known: receives the states of the nodes.
        """
        is_alive = states != dead
        size = np.count_nonzero(is_alive)
        if size == 0:
            return slice(0)
        node = nodes.start if isinstance(nodes, slice) else int(nodes[0])
        depth = bisect_right(self.begins, node)
        begin, end, last = self.begins[depth - 1 : depth + 2]
        everyone = slice(end, last)
        if isinstance(nodes, slice):
            if last - end <= _SMALL or _DENSE * size >= end - begin:
                known[nodes] = states
                return everyone
            nodes = np.arange(begin, end)
        alive, states = nodes[is_alive], states[is_alive]
        count = self.count.take(alive)
        total = int(count.sum())
        if last - end <= _SMALL or _DENSE * total >= last - end:
            known[begin:end] = dead
            known[alive] = states
            return everyone
        known[alive] = states
        skipped = self.first.take(alive) - (np.cumsum(count) - count)
        return np.arange(total) + np.repeat(skipped, count)


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
    byte = (nodes & np.uint64(BYTE)).astype(np.int64)
    depth = (nodes >> np.uint64(DEPTH_AT) & np.uint64(DEPTH)).astype(np.int16)
    order = np.argsort(depth, kind="stable")
    sizes = np.bincount(depth, minlength=2)[1:]
    # The first child of a node comes right behind it, before they are sorted.
    leads = np.append(depth[1:] > depth[:-1], False)
    parents = np.flatnonzero(leads[order])
    firsts = np.flatnonzero(np.append(True, leads[:-1])[order][sizes[0] :]) + sizes[0]
    parent = np.full(len(nodes), -1)
    first, count = np.zeros((2, len(nodes)), np.int32)
    count[parents] = np.diff(firsts, append=len(nodes))
    first[parents] = firsts
    parent[sizes[0] :] = np.repeat(parents, count[parents])
    return Levels(
        byte[order],
        (nodes[order] >> np.uint64(TOKEN_AT) & np.uint64(TOKEN)).astype(np.int32) - 1,
        parent,
        first,
        count,
        [0, *np.cumsum(sizes).tolist(), len(nodes)],
        frozenset(np.flatnonzero(np.bincount(byte)).tolist()),
    )


def allow_all(mask: UInt32s, tokens: Int32s) -> None:
    """Set the mask bits of some distinct tokens."""
    if len(tokens) > _MANY:
        allowed = nothing_allowed(mask)
        allowed[tokens] = True
        allow_where(mask, allowed)
    elif len(tokens):
        np.bitwise_or.at(mask, tokens >> 5, np.uint32(1) << (tokens & 31).astype(np.uint32))


def nothing_allowed(mask: UInt32s) -> Bools:
    """False for every token of a mask; the last is that of −1, which is no token."""
    return np.zeros(32 * len(mask) + 1, np.bool_)


def allow_where(mask: UInt32s, allowed: Bools) -> None:
    """Set the mask bits of the tokens that are allowed; the last of these is none."""
    mask |= np.packbits(allowed[:-1], bitorder="little").view("<u4")
