"""Token tries by depth: the tree by definition, and walks that look at all nodes or at a few."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from decoding.grammar.tokens.trie import Trie, build_trie
from decoding.kernels.grammar.levels import Levels, allow_all, levels_of

DEAD = -1


def random_trie(rng: random.Random, words: int) -> Trie:
    """The trie of words over few bytes and over many, some of them long."""
    some = [bytes(rng.choices(b"abcdefgh", k=rng.randint(1, 5))) for _ in range(words)]
    more = [bytes(rng.choices(range(256), k=rng.randint(1, 3))) for _ in range(words // 4)]
    return build_trie(list(enumerate([*some, *more, b"-" * 20])))


def spelled(levels: Levels) -> list[bytes]:
    """By node, the bytes that lead there, by its parents."""
    found: list[bytes] = []
    for byte, parent in zip(levels.byte.tolist(), levels.parent.tolist(), strict=True):
        found.append((found[parent] if parent >= 0 else b"") + bytes([byte]))
    return found


@pytest.mark.parametrize("words", [1, 30, 900])
def test_nodes_lie_by_depth_with_their_parents_and_children(words: int) -> None:
    trie = random_trie(random.Random(words), words)
    levels = levels_of(trie.nodes)
    texts = spelled(levels)
    assert texts == sorted(set(texts), key=lambda text: (len(text), text))
    assert len(texts) == len(trie.nodes)
    for node, (first, count) in enumerate(zip(levels.first, levels.count, strict=True)):
        children = [at for at, parent in enumerate(levels.parent) if parent == node]
        assert children == list(range(first, first + count))
    depths = [len(text) for text in texts]
    assert levels.begins == [*map(depths.index, range(1, trie.depth + 1)), *2 * [len(texts)]]
    assert levels.used == {text[-1] for text in texts}


def test_a_trie_without_nodes() -> None:
    levels = levels_of(build_trie([]).nodes)
    nodes, known = levels.start(7)
    assert known.tolist() == [7]
    assert levels.byte[nodes].tolist() == []


@pytest.mark.parametrize("percent", [1, 10, 50, 100])
def test_a_walk_meets_the_children_of_what_is_alive(percent: int) -> None:
    rng = random.Random(percent)
    levels = levels_of(random_trie(rng, 3_000).nodes)
    # The state of a node is its number.
    alive = np.array([rng.randrange(100) < percent for _ in levels.byte])
    expected, met = set[int](), set[int]()
    for node, parent in enumerate(levels.parent.tolist()):
        if alive[node] and (parent < 0 or parent in expected):
            expected.add(node)
    nodes, known = levels.start(len(levels.byte))
    while len(above := known.take(levels.parent[nodes])):
        numbers = np.arange(len(levels.byte))[nodes]
        parents = levels.parent[nodes]
        assert np.all((above == DEAD) | (above == np.where(parents < 0, len(alive), parents)))
        states = np.where(alive[nodes] & (above != DEAD), numbers, DEAD)
        met.update(states[states != DEAD].tolist())
        nodes = levels.below(known, nodes, states, DEAD)
    assert met == expected


@pytest.mark.parametrize("count", [0, 1, 999, 1_500])
def test_the_bits_of_few_tokens_and_of_many(count: int) -> None:
    tokens = np.array(random.Random(count).sample(range(64 * 32), count), np.int32)
    mask: NDArray[np.uint32] = np.zeros(64, np.uint32)
    mask[3] = 1 << 31
    allow_all(mask, tokens)
    bits = np.unpackbits(mask.astype("<u4").view(np.uint8), bitorder="little")
    assert set(np.flatnonzero(bits).tolist()) == {*tokens.tolist(), 3 * 32 + 31}
