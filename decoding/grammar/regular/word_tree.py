"""Builds prefix trees of words over small integers, as arrays of edges for NFAs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.regular.spelling import EXIT, Spelled


@dataclass(frozen=True, slots=True)
class WordTree:
    """A prefix tree of words.

    nodes: the number of nodes besides node 0, which is the beginning: 1 to `nodes`.
    edges: `(m, 4)` int32 rows (node, lowest symbol, highest symbol, node), those of node 0 first;
        a word that is the beginning of no other ends in the node -1.
    first: the number of edges of node 0.
    ends: `(k,)` int32, the other nodes in which a word ends.
    empty: whether the empty word is one of the words.
    leaf: whether some word ends in the node -1.
    """

    nodes: int
    edges: NDArray[np.int32]
    first: int
    ends: NDArray[np.int32]
    empty: bool
    leaf: bool


def word_tree(words: Iterable[str]) -> WordTree:
    """Return the prefix tree of some words; a symbol is the code point of a character."""
    distinct = sorted(set(words))
    rows: list[int] = []
    ends: list[int] = []
    path = [0]  # the nodes on the way to the last word
    previous = ""
    nodes = 0
    for index, word in enumerate(distinct):
        shared = _shared(previous, word)
        node = path[shared]
        del path[shared + 1 :]
        inner = index + 1 < len(distinct) and distinct[index + 1].startswith(word)
        length = len(word)
        for depth in range(shared, length):
            symbol = ord(word[depth])
            target = -1
            if inner or depth + 1 < length:
                nodes += 1
                target = nodes
            rows += (node, symbol, symbol, target)
            path.append(target)
            node = target
        if inner and word:
            ends.append(node)
        previous = word
    empty = bool(distinct) and not distinct[0]
    return arranged(nodes, np.array(rows, np.int32).reshape(-1, 4), ends, empty=empty)


def arranged(nodes: int, edges: NDArray[np.int32], ends: list[int], *, empty: bool) -> WordTree:
    """Return the tree of these edges, which are sorted here."""
    edges = edges[np.argsort(edges[:, 0], kind="stable")]
    first = int(np.searchsorted(edges[:, 0], 1))
    leaf = bool((edges[:, 3] < 0).any())
    return WordTree(nodes, edges, first, np.array(ends, np.int32), empty, leaf)


def respelled(tree: WordTree, spellings: dict[int, Spelled]) -> WordTree:
    """Return a tree with some symbols replaced by their spellings."""
    edges, nodes = tree.edges, tree.nodes
    blocks = [edges[~np.isin(edges[:, 1], list(spellings))]]
    for symbol, spelling in spellings.items():
        these = edges[edges[:, 1] == symbol]
        count = len(these)
        states = np.empty((len(spelling), count), np.int32)
        states[0] = these[:, 0]
        states[1:] = (nodes + 1 + np.arange((len(spelling) - 1) * count)).reshape(-1, count)
        nodes += (len(spelling) - 1) * count
        for node, moves in enumerate(spelling):
            for low, high, target in moves:
                block = np.empty((count, 4), np.int32)
                block[:, 0], block[:, 1], block[:, 2] = states[node], low, high
                block[:, 3] = these[:, 3] if target == EXIT else states[target]
                blocks.append(block)
    return arranged(nodes, np.concatenate(blocks), tree.ends.tolist(), empty=tree.empty)


def _shared(left: str, right: str) -> int:
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return index
    return min(len(left), len(right))
