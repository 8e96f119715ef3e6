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
    empty = bool(distinct) and not distinct[0]
    following = distinct[empty:]
    # The way to the last word in parts: from which depth on its nodes follow one another, and the
    # first of these.
    path = [(0, 0)]
    tails: list[str] = []
    parents: list[int] = []
    firsts: list[int] = []
    inner: list[bool] = []
    nodes = 0
    for word, last, after in zip(following, ["", *following], [*following[1:], ""], strict=False):
        shared = _shared(last, word)
        while path[-1][0] > shared:
            path.pop()
        depth, node = path[-1]
        tails.append(word[shared:])
        parents.append(node + shared - depth)
        firsts.append(nodes + 1)
        inner.append(after.startswith(word))
        path.append((shared + 1, nodes + 1))
        nodes += len(word) - shared - (not inner[-1])
    symbols = np.frombuffer("".join(tails).encode("utf-32-le", "surrogatepass"), np.uint32)
    counts = np.fromiter(map(len, tails), np.int64, len(tails))
    stops = counts.cumsum()
    edges = np.empty((len(symbols), 4), np.int32)
    edges[:, 1] = edges[:, 2] = symbols
    # Each edge leads to a node of its own, and the next one of its word begins there.
    edges[:, 3] = np.arange(len(symbols)) + np.repeat(firsts - stops + counts, counts)
    edges[:, 0] = edges[:, 3] - 1
    edges[stops - counts, 0] = parents
    goes_on = np.array(inner, np.bool_)
    ends = edges[stops[goes_on] - 1, 3].tolist()
    edges[stops[~goes_on] - 1, 3] = -1
    return arranged(nodes, edges, ends, empty=empty)


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
    """The length of the longest common beginning."""
    known, most = 0, min(len(left), len(right))
    while known < most:
        middle = (known + most + 1) // 2
        if left[known:middle] == right[known:middle]:
            known = middle
        else:
            most = middle - 1
    return known
