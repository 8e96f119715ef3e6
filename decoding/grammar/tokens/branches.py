"""Lists the children of token trie nodes by byte; several nodes can be read as one."""

from __future__ import annotations

from functools import lru_cache

from decoding.grammar.tokens.trie import Trie
from decoding.kernels.grammar.trie_nodes import BYTE, SIZE_AT, TOKEN, TOKEN_AT

Nodes = tuple[int, ...]
"""Positions of nodes that are read together, as one node."""
ROOT: Nodes = (-1,)
Branch = tuple[int, tuple[int, ...], Nodes]
"""One byte, the tokens that end with it, and the children it leads to that have children."""


@lru_cache(maxsize=4)
def branches_of(trie: Trie) -> Branches:
    """The branches of a trie, shared by all who read it."""
    return Branches(trie)


class Branches:
    """The children of a trie's nodes, listed when they are first asked for."""

    def __init__(self, trie: Trie) -> None:
        self._nodes = trie.nodes.data
        self._known: dict[Nodes, dict[int, Branch]] = {}

    def of(self, nodes: Nodes) -> dict[int, Branch]:
        """The branches of some nodes, by byte."""
        known = self._known.get(nodes)
        if known is None:
            known = self._known[nodes] = self._list(nodes)
        return known

    def _list(self, nodes: Nodes) -> dict[int, Branch]:
        packed_nodes = self._nodes
        found: dict[int, tuple[list[int], list[int]]] = {}
        for node in nodes:
            end = len(packed_nodes) if node < 0 else node + (packed_nodes[node] >> SIZE_AT)
            position = node + 1
            while position < end:
                packed = packed_nodes[position]
                size, token = packed >> SIZE_AT, packed >> TOKEN_AT & TOKEN
                tokens, below = found.setdefault(packed & BYTE, ([], []))
                if token:
                    tokens.append(token - 1)
                if size > 1:
                    below.append(position)
                position += size
        return {
            byte: (byte, tuple(tokens), tuple(below)) for byte, (tokens, below) in found.items()
        }
