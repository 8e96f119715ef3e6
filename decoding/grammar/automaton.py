"""Automata over bytes, as arrays, and the two ways in which a string is spelled in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Spelling(IntEnum):
    """How a string becomes bytes."""

    TEXT = 0
    """UTF-8."""
    JSON = 1
    """The inside of a JSON string: UTF-8 with `\\` escapes and without the quotes."""


class Loose(IntEnum):
    r"""The states of the automaton of all strings; a state of another automaton may equal one.

    In TEXT only the first eight occur. In JSON a character that must be escaped is spelled by its
    short escape or, below U+0020, by \u00XX with either case of the hexadecimal digit; "/" is
    spelled bare or as \/; every other character is spelled bare.
    """

    NONE = -1
    BETWEEN = 0  # between two characters
    ONE_MORE = 1  # one continuation byte 80..BF to come
    TWO_MORE = 2
    THREE_MORE = 3
    AFTER_E0 = 4  # A0..BF, then one more
    AFTER_ED = 5  # 80..9F, then one more
    AFTER_F0 = 6  # 90..BF, then two more
    AFTER_F4 = 7  # 80..8F, then two more
    ESCAPE = 8  # after \
    ESCAPE_U = 9  # after \u
    ESCAPE_U0 = 10
    ESCAPE_U00 = 11
    ESCAPE_U000 = 12
    ESCAPE_U001 = 13


@dataclass(frozen=True, slots=True)
class Nfa:
    """An automaton over bytes without empty moves; every state lies on some accepting path.

    states: their number.
    starts: `(n,)` int32, sorted.
    edges: `(m, 4)` int32, rows (source, lowest byte, highest byte, target), sorted by source.
    accepts: `(k,)` int32, sorted: the states in which a string may end.
    loose: `(states,)` int8: a `Loose` state u if every spelling of a string can be read on from
        here, as from u, and after any of it something accepts still follows; else `NONE`.
    """

    states: int
    starts: NDArray[np.int32]
    edges: NDArray[np.int32]
    accepts: NDArray[np.int32]
    loose: NDArray[np.int8]
