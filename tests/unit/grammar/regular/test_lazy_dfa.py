"""The arrays that automata are written in."""

from __future__ import annotations

from decoding.grammar.regular.lazy_dfa import Arena
from decoding.kernels.grammar import layout as at


def test_what_is_taken_is_zero_whatever_kernels_left_there() -> None:
    arena = Arena()
    arena.fields[int(arena.fields[at.FREE]) :] = 7
    offset = arena.take(5)
    assert arena.fields[offset : offset + 5].tolist() == [0] * 5
    assert arena.fields[offset + 5] == 7
