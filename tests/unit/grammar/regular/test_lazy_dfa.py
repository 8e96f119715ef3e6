"""The arrays that automata are written in."""

from __future__ import annotations

from decoding.grammar.regular.lazy_dfa import LazyDfa
from decoding.kernels.grammar.layout import HEAD


def test_what_is_taken_is_zero_whatever_kernels_left_there() -> None:
    dfa = LazyDfa()
    dfa.fields[int(dfa.fields[HEAD.FREE]) :] = 7
    offset = dfa.take(5)
    assert dfa.fields[offset : offset + 5].tolist() == [0] * 5
    assert dfa.fields[offset + 5] == 7
