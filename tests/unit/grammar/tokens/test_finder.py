"""The tokens that hold some bytes are found as by looking at each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from decoding.grammar.tokens.finder import TokenFinder
from decoding.grammar.tokens.table import token_table
from decoding.vocabulary import Vocabulary

TEXT = st.text("<|>", max_size=4).map(str.encode)


@given(st.lists(TEXT, min_size=1), st.lists(TEXT.filter(bool), min_size=1, max_size=3))
def test_tokens_that_hold_bytes(token_bytes: list[bytes], needles: list[bytes]) -> None:
    vocabulary = Vocabulary(token_bytes, frozenset())
    finder = TokenFinder(token_table(vocabulary, frozenset(), len(token_bytes)))
    for needle in needles:
        expected = [number for number, text in enumerate(token_bytes) if needle in text]
        assert list(finder.holding(needle)) == expected
