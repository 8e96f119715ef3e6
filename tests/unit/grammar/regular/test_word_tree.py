"""A tree of words spells these words and no others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from decoding.grammar.regular.word_tree import WordTree, word_tree

WORDS = st.lists(st.text("ab\N{PILE OF POO}\ud800", max_size=6))


def spelled(tree: WordTree) -> list[str]:
    """The words on all ways from the beginning, each once for every way."""
    found = [""] * tree.empty
    ends = set(tree.ends.tolist())
    ways = [(0, "")]
    while ways:
        node, begun = ways.pop()
        for source, low, high, target in tree.edges.tolist():
            if source == node:
                assert low == high
                word = begun + chr(low)
                found += [word] * (target == -1 or target in ends)
                ways += [(target, word)] * (target != -1)
    return sorted(found)


@given(WORDS)
def test_a_tree_spells_its_words(words: list[str]) -> None:
    tree = word_tree(words)
    distinct = set(words)
    assert spelled(tree) == sorted(distinct)
    begun = {word[:length] for word in distinct for length in range(1, len(word) + 1)}
    inner = {
        word for word in begun if any(item != word and item.startswith(word) for item in begun)
    }
    assert tree.nodes == len(inner)
    assert len(tree.edges) == len(begun)
    assert tree.first == len({word[0] for word in begun})
    assert (tree.edges[: tree.first, 0] == 0).all()
    assert tree.leaf == bool(distinct - inner - {""})


def test_long_words_share_their_beginning() -> None:
    tree = word_tree(["x" * 50_000 + end for end in "abc"])
    assert (tree.nodes, len(tree.edges), len(tree.ends)) == (50_000, 50_003, 0)
