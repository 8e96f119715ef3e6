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


EMPTY = Nfa(
    0,
    np.zeros(0, np.int32),
    np.zeros((0, 4), np.int32),
    np.zeros(0, np.int32),
    np.zeros(0, np.int8),
)


def reached(
    states: int, start: NDArray[np.int32], sources: NDArray[np.int32], targets: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Return which states are reached from some along the edges from sources to targets."""
    order = np.argsort(sources, kind="stable")
    sorted_targets = targets[order].tolist()
    bounds = np.searchsorted(sources[order], np.arange(states + 1)).tolist()
    seen = bytearray(states)
    stack = start.tolist()
    for state in stack:
        seen[state] = 1
    while stack:
        state = stack.pop()
        for target in sorted_targets[bounds[state] : bounds[state + 1]]:
            if not seen[target]:
                seen[target] = 1
                stack.append(target)
    return np.frombuffer(seen, np.bool_)


def trimmed(nfa: Nfa) -> Nfa:
    """Return an automaton without the states that lie on no accepting path."""
    if not nfa.states:
        return EMPTY
    sources, targets = nfa.edges[:, 0], nfa.edges[:, 3]
    kept = reached(nfa.states, nfa.starts, sources, targets)
    kept = kept & reached(nfa.states, nfa.accepts, targets, sources)
    if kept.all():
        return nfa
    if not kept.any():
        return EMPTY
    ids = (np.cumsum(kept) - 1).astype(np.int32)
    edges = nfa.edges[kept[sources] & kept[targets]].copy()
    edges[:, 0] = ids[edges[:, 0]]
    edges[:, 3] = ids[edges[:, 3]]
    return Nfa(
        int(kept.sum()),
        ids[nfa.starts[kept[nfa.starts]]],
        edges,
        ids[nfa.accepts[kept[nfa.accepts]]],
        nfa.loose[kept],
    )
