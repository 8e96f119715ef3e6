"""The token trie: the bytes of a vocabulary as a prefix tree, packed in preorder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.grammar.trie_nodes import BYTE, DEPTH, DEPTH_AT, SIZE_AT, TOKEN, TOKEN_AT

MAX_DEPTH = DEPTH
"""The longest token that fits, in bytes; longer ones are never allowed."""


@dataclass(frozen=True, slots=True, eq=False)
class Trie:
    """A token trie in preorder; the children of the root have depth 1.

    nodes: uint64: byte | depth << 8 | (token id + 1) << 18 | subtree size << 38, where 0 stands for
        no token and a subtree counts its own root.
    twins: int32 `(n, 2)`: (token id, the id of an earlier token that spells the same).
    depth: the longest token, in bytes.
    roots: by byte, the node at depth 1; −1 where no token begins with it.
    """

    nodes: NDArray[np.uint64]
    twins: NDArray[np.int32]
    depth: int
    roots: NDArray[np.int64]


def build_trie(token_bytes: Sequence[tuple[int, bytes]]) -> Trie:
    """Build the trie of (token id, bytes); leaves out empty byte strings and too long ones."""
    ordered = sorted(token_bytes, key=itemgetter(1))
    words: list[bytes] = []
    tokens: list[int] = []
    twins: list[tuple[int, int]] = []
    last = b""
    for token, spelled in ordered:
        if spelled != last:
            if len(spelled) <= MAX_DEPTH:
                words.append(spelled)
                tokens.append(token)
                last = spelled
        elif spelled:
            twins.append((token, tokens[-1]))
    pairs = np.array(twins, np.int32).reshape(-1, 2)
    if not words:
        return trie_of(np.zeros(0, np.uint64), pairs)
    lengths = np.array([len(word) for word in words])
    begins = np.concatenate(([0], np.cumsum(lengths)))[:-1]
    text = np.frombuffer(b"".join(words), np.uint8)
    shared = _shared(text, begins, lengths)
    fresh = lengths - shared
    total = int(fresh.sum())
    ends = np.cumsum(fresh)
    owner = np.repeat(np.arange(len(words)), fresh)
    depth = np.arange(total) - (ends - fresh)[owner] + shared[owner] + 1
    byte = text[begins[owner] + depth - 1].astype(np.uint64)
    token_field = np.zeros(total, np.uint64)
    token_field[ends - 1] = np.array(tokens) + 1
    size = _subtree_sizes(depth)
    nodes = byte | (depth.astype(np.uint64) << np.uint64(DEPTH_AT))
    nodes |= token_field << np.uint64(TOKEN_AT)
    nodes |= size.astype(np.uint64) << np.uint64(SIZE_AT)
    return trie_of(nodes, pairs)


def trie_of(nodes: NDArray[np.uint64], twins: NDArray[np.int32]) -> Trie:
    """The trie of packed nodes."""
    depth = (nodes >> np.uint64(DEPTH_AT)) & np.uint64(DEPTH)
    first = np.flatnonzero(depth == 1)
    roots = np.full(256, -1, np.int64)
    roots[(nodes[first] & np.uint64(BYTE)).astype(np.int64)] = first
    return Trie(nodes, twins, int(depth.max(initial=0)), roots)


def _shared(
    text: NDArray[np.uint8], begins: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The length of the common prefix of each word and the one before it."""
    shared = np.zeros(len(begins), np.int64)
    going = np.arange(1, len(begins))
    position = 0
    while len(going):
        inside = (lengths[going] > position) & (lengths[going - 1] > position)
        going = going[inside]
        same = text[begins[going] + position] == text[begins[going - 1] + position]
        going = going[same]
        shared[going] += 1
        position += 1
    return shared


def _subtree_sizes(depth: NDArray[np.int64]) -> NDArray[np.int64]:
    """The distance from each node to the next one that is not deeper."""
    total = len(depth)
    depths = np.append(depth, 0)
    ends = np.arange(1, total + 1)
    by_depth = np.argsort(depth, kind="stable")
    firsts = np.searchsorted(depth[by_depth], np.arange(int(depth.max()) + 2))
    for level in range(int(depth.max()), 0, -1):
        here = by_depth[firsts[level] : firsts[level + 1]]
        end = here + 1
        going = np.flatnonzero(depths[end] > level)
        while len(going):
            # From the end of one child's subtree to that of the next.
            end[going] = ends[end[going]]
            going = going[depths[end[going]] > level]
        ends[here] = end
    return ends - np.arange(total)


def chain(text: bytes) -> NDArray[np.uint64]:
    """The nodes of the trie of one text, whose last byte ends token 0."""
    length = len(text)
    depth = np.arange(1, length + 1, dtype=np.uint64)
    nodes = np.frombuffer(text, np.uint8).astype(np.uint64) | (depth << np.uint64(DEPTH_AT))
    nodes |= (np.uint64(length + 1) - depth) << np.uint64(SIZE_AT)
    nodes[-1] |= np.uint64(1 << TOKEN_AT)
    return nodes


def find(trie: Trie, text: bytes) -> int:
    """The node of some bytes, at least one; −1 if no token begins with them."""
    found = int(trie.roots[text[0]])
    for byte in text[1:] if found >= 0 else b"":
        at, end = found + 1, found + (int(trie.nodes[found]) >> SIZE_AT)
        found = -1
        while at < end and found < 0:
            node = int(trie.nodes[at])
            if node & BYTE == byte:
                found = at
            at += node >> SIZE_AT
        if found < 0:
            break
    return found


def is_token(trie: Trie, text: bytes) -> bool:
    """Whether some bytes are those of a token."""
    node = find(trie, text)
    return node >= 0 and int(trie.nodes[node]) >> TOKEN_AT & TOKEN > 0


def tokens_below(trie: Trie, node: int) -> NDArray[np.int64]:
    """The tokens below a node, without twins; none below −1."""
    if node < 0:
        return np.zeros(0, np.int64)
    below = trie.nodes[node + 1 : node + (int(trie.nodes[node]) >> SIZE_AT)]
    tokens = (below >> np.uint64(TOKEN_AT) & np.uint64(TOKEN)).astype(np.int64)
    return tokens[tokens > 0] - 1


def path(nodes: NDArray[np.uint64], position: int) -> bytes:
    """The bytes from the root to a node, its own byte included."""
    found = bytearray()
    at = 0
    while True:
        node = int(nodes[at])
        if at + (node >> SIZE_AT) <= position:
            at += node >> SIZE_AT
            continue
        found.append(node & BYTE)
        if at == position:
            return bytes(found)
        at += 1


def below(nodes: NDArray[np.uint64], position: int) -> NDArray[np.uint64]:
    """The nodes below a node as a trie of their own: its children have depth 1."""
    node = int(nodes[position])
    depth = np.uint64((node >> DEPTH_AT & DEPTH) << DEPTH_AT)
    found: NDArray[np.uint64] = nodes[position + 1 : position + (node >> SIZE_AT)] - depth
    return found


def children(nodes: NDArray[np.uint64]) -> list[int]:
    """The positions of the nodes at depth 1."""
    found = []
    at = 0
    while at < len(nodes):
        found.append(at)
        at += int(nodes[at]) >> SIZE_AT
    return found


EVERY_BYTE = trie_of(
    np.array(
        [byte | 1 << DEPTH_AT | (byte + 1) << TOKEN_AT | 1 << SIZE_AT for byte in range(256)],
        np.uint64,
    ),
    np.zeros((0, 2), np.int32),
)
"""The trie of all bytes; each is the token of its own number."""
