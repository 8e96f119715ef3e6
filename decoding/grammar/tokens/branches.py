"""A vocabulary's trie as lists of children, of several nodes at once where they mean the same."""

from __future__ import annotations

from functools import lru_cache

from decoding.grammar.tokens.trie import Trie
from decoding.kernels.grammar.trie_nodes import BYTE, SIZE_AT, TOKEN, TOKEN_AT

Nodes = tuple[int, ...]
"""Nodes that are looked through together, by where they stand."""
ROOT: Nodes = (-1,)
Branch = tuple[int, tuple[int, ...], Nodes]
"""What one more byte leads to: the byte, the tokens that end with it, nodes with children."""


@lru_cache(maxsize=4)
def branches_of(trie: Trie) -> Branches:
    """The branches of a trie, for all that look through it."""
    return Branches(trie)


class Branches:
    """The children of a trie's nodes, listed when they are first asked for."""

    def __init__(self, trie: Trie) -> None:
        self._nodes = trie.nodes.data
        self._known: dict[Nodes, dict[int, Branch]] = {}

    def of(self, nodes: Nodes) -> dict[int, Branch]:
        """What follows some nodes, by byte."""
        known = self._known.get(nodes)
        if known is None:
            known = self._known[nodes] = self._list(nodes)
        return known

    def _list(self, nodes: Nodes) -> dict[int, Branch]:
        packed_nodes = self._nodes
        found: dict[int, tuple[list[int], list[int]]] = {}
        for node in nodes:
            end = len(packed_nodes) if node < 0 else node + (packed_nodes[node] >> SIZE_AT)
            place = node + 1
            while place < end:
                packed = packed_nodes[place]
                size, token = packed >> SIZE_AT, packed >> TOKEN_AT & TOKEN
                tokens, below = found.setdefault(packed & BYTE, ([], []))
                if token:
                    tokens.append(token - 1)
                if size > 1:
                    below.append(place)
                place += size
        return {
            byte: (byte, tuple(tokens), tuple(below)) for byte, (tokens, below) in found.items()
        }
