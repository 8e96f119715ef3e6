"""`Nfa`: nondeterministic byte automata as arrays, and functions that make and trim them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.regular.worklist import Limit, explore
from decoding.kernels.grammar import paths

State = TypeVar("State", bound=Hashable)
Moves: TypeAlias = list[list[tuple[int, int, int]]]
"""By state, its edges: (lowest symbol, highest symbol, target)."""


class Spelling(IntEnum):
    """How a string is written in bytes."""

    TEXT = 0
    """UTF-8."""
    JSON = 1
    """The inside of a JSON string: UTF-8 with `\\` escapes and without the quotes."""
    CANONICAL = 2
    """As JSON, but each string in one way only: as Python's `json.dumps` writes it in UTF-8."""


class UniversalState(IntEnum):
    r"""The states of the automaton of all strings, the universal automaton of a spelling.

    A state of another automaton is universal if it can read what one of these states can read. In
    TEXT only the first eight occur, in CANONICAL none. In JSON a character that must be escaped is
    spelled by its short escape or, below U+0020, by \u00XX with either case of the hexadecimal
    digit; "/" is spelled bare or as \/; every other character is spelled bare.
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
    universal: `(states,)` int8: `UniversalState` u if every continuation that state u can read can
        be read from here too, and may be read on to something accepted; else `NONE`.
    """

    states: int
    starts: NDArray[np.int32]
    edges: NDArray[np.int32]
    accepts: NDArray[np.int32]
    universal: NDArray[np.int8]


def assembled(
    states: int,
    starts: Iterable[int] | NDArray[np.int32],
    edges: Iterable[tuple[int, int, int, int]] | NDArray[np.int32],
    accepts: Iterable[int] | NDArray[np.int32],
) -> Nfa:
    """Return the trimmed automaton of these states and edges; no state is marked as universal.

    edges: rows (source, lowest byte, highest byte, target) in any order.
    """
    rows = edges if isinstance(edges, np.ndarray) else np.array(list(edges), np.int32)
    rows = rows.reshape(-1, 4)
    return trimmed(
        Nfa(
            states,
            np.array(starts, np.int32),
            rows[np.argsort(rows[:, 0], kind="stable")].astype(np.int32, copy=False),
            np.array(accepts, np.int32),
            np.full(states, UniversalState.NONE, np.int8),
        )
    )


def nfa_of_moves(
    starts: Iterable[State],
    moves: Callable[[State], Iterable[tuple[tuple[int, int], State]]],
    accepts: Callable[[State], bool],
    limit: Limit | None = None,
) -> Nfa:
    """Return the automaton whose states are values: those that moves reach from the start states.

    moves: the edges of a state, as pairs ((lowest byte, highest byte), next state).

    Raises:
        GrammarLimitError: there are more states than `limit` allows.
    """
    first = list(dict.fromkeys(starts))
    states, rows = explore(first, moves, limit)
    edges = [
        (source, low, high, target)
        for source, row in enumerate(rows)
        for (low, high), target in row
    ]
    accepting = [number for number, state in enumerate(states) if accepts(state)]
    return assembled(len(states), range(len(first)), edges, accepting)


def moves_of(nfa: Nfa) -> Moves:
    """Return the edges of every state: (lowest symbol, highest symbol, target)."""
    moves: Moves = [[] for _ in range(nfa.states)]
    for source, low, high, target in nfa.edges.tolist():
        moves[source].append((low, high, target))
    return moves


EMPTY = Nfa(
    0,
    np.zeros(0, np.int32),
    np.zeros((0, 4), np.int32),
    np.zeros(0, np.int32),
    np.zeros(0, np.int8),
)
"""The automaton of the empty language."""


def reached(
    states: int, start: NDArray[np.int32], sources: NDArray[np.int32], targets: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Return whether each state is reached from the start states along edges."""
    order = np.argsort(sources, kind="stable")
    rows = np.searchsorted(sources[order], np.arange(states + 1))
    seen = np.zeros(states, np.bool_)
    seen[start] = True
    stack = np.zeros(states, np.int64)
    stack[: len(start)] = start
    paths.find_reached(rows, targets[order], seen, stack, len(start))
    return seen


def trimmed(nfa: Nfa) -> Nfa:
    """Return an automaton without its states that lie on no accepting path."""
    if not nfa.states:
        return EMPTY
    sources, targets = nfa.edges[:, 0], nfa.edges[:, 3]
    useful = reached(nfa.states, nfa.starts, sources, targets)
    useful = useful & reached(nfa.states, nfa.accepts, targets, sources)
    if useful.all():
        return nfa
    if not useful.any():
        return EMPTY
    ids = (np.cumsum(useful) - 1).astype(np.int32)
    edges = nfa.edges[useful[sources] & useful[targets]].copy()
    edges[:, 0] = ids[edges[:, 0]]
    edges[:, 3] = ids[edges[:, 3]]
    return Nfa(
        int(useful.sum()),
        ids[nfa.starts[useful[nfa.starts]]],
        edges,
        ids[nfa.accepts[useful[nfa.accepts]]],
        nfa.universal[useful],
    )


def deterministic(rows: NDArray[np.int32], accepting: NDArray[np.bool_]) -> Nfa:
    """Return the trimmed automaton of a table of next states, −1 for none; state 0 is the start.

    `universal` is BETWEEN or NONE.
    """
    states, symbols = rows.shape
    begins = np.ones(rows.shape, np.bool_)
    begins[:, 1:] = rows[:, 1:] != rows[:, :-1]
    sources, lows = np.nonzero(begins)
    highs = np.append(lows[1:], 0) - 1
    highs[highs < 0] = symbols - 1  # the last interval of a row
    targets = rows[sources, lows]
    edges = np.stack((sources, lows, highs, targets), axis=1)[targets >= 0].astype(np.int32)
    return with_universal(assembled(states, (0,), edges, np.flatnonzero(accepting)), symbols)


def with_universal(nfa: Nfa, symbols: int) -> Nfa:
    """Mark the states of a deterministic automaton from which every string can be read; return it.

    symbols: the size of the alphabet.
    """
    if nfa.states:
        nfa.universal[_safe(nfa, symbols)] = UniversalState.BETWEEN
    return nfa


def _safe(nfa: Nfa, symbols: int) -> NDArray[np.intp]:
    """Return the states of a deterministic automaton from which every string can be read."""
    sources, targets = nfa.edges[:, 0], nfa.edges[:, 3]
    width = nfa.edges[:, 2] - nfa.edges[:, 1] + 1
    read = np.bincount(sources, weights=width, minlength=nfa.states)
    stuck = np.flatnonzero(read != symbols).astype(np.int32)
    return np.flatnonzero(~reached(nfa.states, stuck, targets, sources))
