"""Packed tries: by definition, and the same from disk."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from decoding.grammar.tokens import trie_files
from decoding.grammar.tokens.trie import Trie, build_trie, find, is_token, tokens_below
from decoding.kernels.grammar.trie_nodes import BYTE, DEPTH, DEPTH_AT, SIZE_AT, TOKEN, TOKEN_AT


def random_words(rng: random.Random) -> list[bytes]:
    lengths = [0, 1, 1, 2, 2, 3, 5, 9]
    return [
        bytes(rng.choices(b'ab"\xff', k=rng.choice(lengths))) for _ in range(rng.randint(0, 30))
    ]


def spelled_by_nodes(trie: Trie) -> list[tuple[bytes, int, int]]:
    """By node: the bytes that lead there, its token or −1, the size of its subtree."""
    path: list[int] = []
    found = []
    for node in trie.nodes.tolist():
        path[(node >> DEPTH_AT & DEPTH) - 1 :] = [node & BYTE]
        found.append((bytes(path), (node >> TOKEN_AT & TOKEN) - 1, node >> SIZE_AT))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_nodes_are_the_beginnings_of_words_in_order(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(40):
        words = random_words(rng)
        trie = build_trie(list(enumerate(words)))
        nodes = spelled_by_nodes(trie)
        beginnings = sorted({word[:end] for word in words for end in range(1, len(word) + 1)})
        assert [text for text, _, _ in nodes] == beginnings
        for text, token, size in nodes:
            assert token == (words.index(text) if text in words else -1)
            assert size == sum(other.startswith(text) for other in beginnings)
        twins = dict(trie.twins.tolist())
        for token, word in enumerate(words):
            assert twins.get(token, token) == (words.index(word) if word else token)
        assert trie.depth == max(map(len, words), default=0)


@pytest.mark.parametrize("seed", range(3))
def test_what_begins_with_some_bytes_is_found(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(40):
        words = random_words(rng)
        trie = build_trie(list(enumerate(words)))
        for text in filter(None, random_words(rng) + words):
            assert (find(trie, text) >= 0) == any(word.startswith(text) for word in words)
            assert is_token(trie, text) == (text in words)
            longer = {words[token] for token in tokens_below(trie, find(trie, text)).tolist()}
            assert longer == {word for word in words if word.startswith(text) and word != text}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(trie_files, "_LARGE", 0)
    monkeypatch.setenv("DECODING_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept" / "tries"


WORDS = [b"ab", b'"', b"ab", b'a"b', b"b", b"", b'"', b"a" * 1_023]


def assert_same(pair: tuple[Trie, Trie], other: tuple[Trie, Trie]) -> None:
    for one, two in zip(pair, other, strict=True):
        assert one.nodes.tolist() == two.nodes.tolist()
        assert one.twins.tolist() == two.twins.tolist()
        assert one.roots.tolist() == two.roots.tolist()
        assert one.depth == two.depth


def test_tries_are_built_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = trie_files.tries(WORDS)
    assert [path.suffix for path in folder.iterdir()] == [".npz"]
    other = trie_files.tries([*WORDS[1:], WORDS[0]])
    assert len(list(folder.iterdir())) == 2
    monkeypatch.setattr(trie_files, "build_trie", None)
    assert_same(trie_files.tries(WORDS), built)
    assert_same(trie_files.tries([*WORDS[1:], WORDS[0]]), other)
    assert built[0].twins.tolist() != other[0].twins.tolist()


@pytest.mark.parametrize("kept", [0, 4, -30])
def test_a_damaged_file_is_made_again(folder: Path, kept: int) -> None:
    built = trie_files.tries(WORDS)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    with pytest.warns(RuntimeWarning, match="damaged"):
        assert_same(trie_files.tries(WORDS), built)
    with np.load(path) as found:
        assert found["bare"].tolist() == built[0].nodes.tolist()
    flipped = bytearray(whole)
    flipped[whole.index(b"NUMPY") + 200] ^= 1
    path.write_bytes(flipped)
    with pytest.warns(RuntimeWarning, match="damaged"):
        assert_same(trie_files.tries(WORDS), built)


def test_where_nothing_can_be_written_tries_are_built(folder: Path) -> None:
    folder.parent.parent.mkdir(exist_ok=True)
    folder.parent.write_text("a file where the folder would be")
    assert_same(trie_files.tries(WORDS), trie_files.tries(WORDS))
    assert folder.parent.is_file()
