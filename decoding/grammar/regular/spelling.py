r"""Builds automata of the bytes of one character of a set, and one of all strings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from decoding.grammar.regular import codepoints
from decoding.grammar.regular.codepoints import EVERY, Ranges
from decoding.grammar.regular.nfa import Nfa, Spelling, UniversalState

EXIT = -1
Moves: TypeAlias = tuple[tuple[int, int, int], ...]
"""Edges: (lowest byte, highest byte, node or EXIT)."""
Spelled: TypeAlias = tuple[Moves, ...]
"""By node, its edges. Node 0 stands before the character; edges lead to later nodes only."""

_SHORT_ESCAPES = {8: "b", 9: "t", 10: "n", 12: "f", 13: "r"}
_ESCAPED = codepoints.union(((0, 0x1F),), ((0x22, 0x22),), ((0x2F, 0x2F),), ((0x5C, 0x5C),))
_ALWAYS_ESCAPED = codepoints.difference(_ESCAPED, ((0x2F, 0x2F),))
_LENGTHS = ((0, 0x7F), (0x80, 0x7FF), (0x800, 0xFFFF), (0x10000, 0x10FFFF))


def _split(low: int, high: int, following: int) -> list[tuple[int, int]]:
    """Split code points into ranges whose UTF-8 is a product of byte ranges."""
    pieces = [(low, high)]
    for position in range(1, following + 1):
        unit = 1 << (6 * position)
        finer: list[tuple[int, int]] = []
        for a, b in pieces:
            if a // unit == b // unit:
                finer.append((a, b))
                continue
            start, end = -(-a // unit) * unit, (b + 1) // unit * unit
            finer += [(x, y - 1) for x, y in ((a, start), (start, end), (end, b + 1)) if x < y]
        pieces = finer
    return pieces


def _byte_sequences(ranges: Ranges) -> list[tuple[tuple[int, int], ...]]:
    found: list[tuple[tuple[int, int], ...]] = []
    for low, high in ranges:
        for following, (first, last) in enumerate(_LENGTHS):
            a, b = max(low, first), min(high, last)
            if a > b:
                continue
            for start, end in _split(a, b, following):
                pair = chr(start).encode(), chr(end).encode()
                found.append(tuple(zip(*pair, strict=True)))
    return found


class _Nodes:
    """Nodes of a deterministic acyclic automaton, interned by their moves."""

    def __init__(self) -> None:
        self.moves: list[Moves] = []
        self.ids: dict[Moves | tuple[Moves, int], int] = {}

    def add(self, moves: list[tuple[int, int, int]], tag: int | None = None) -> int:
        """Return the node of some moves; nodes of the same moves differ by their `tag`."""
        own = tuple(moves)
        key = own if tag is None else (own, tag)
        if key not in self.ids:
            self.ids[key] = len(self.moves)
            self.moves.append(own)
        return self.ids[key]

    def of_bytes(self, tails: list[tuple[tuple[int, int], ...]]) -> list[tuple[int, int, int]]:
        """Return the moves that read some sequences of at most four byte ranges."""
        groups: dict[tuple[int, int], list[tuple[tuple[int, int], ...]]] = {}
        for tail in tails:
            groups.setdefault(tail[0], []).append(tail[1:])
        moves: list[tuple[int, int, int]] = []
        for (low, high), rests in groups.items():
            target = EXIT if rests == [()] else self.add(self.of_bytes(rests))
            if moves and moves[-1][1] == low - 1 and moves[-1][2] == target:
                moves[-1] = (moves[-1][0], high, target)
            else:
                moves.append((low, high, target))
        return moves

    def of_escapes(self, ranges: Ranges, *, every: bool) -> list[tuple[int, int, int]]:
        r"""Return the moves after a `\` that spell characters of a set by escapes.

        every: by every escape that JSON has; else only where one is needed, and in one way each.
        """
        escaped = codepoints.intersection(ranges, _ESCAPED if every else _ALWAYS_ESCAPED)
        members = {c for low, high in escaped for c in range(low, high + 1)}
        short = {c for c in members if c > 0x1F or c in _SHORT_ESCAPES}
        letters = sorted(ord(_SHORT_ESCAPES.get(c, chr(c))) for c in short)
        moves = [(letter, letter, EXIT) for letter in letters]
        thousands = []
        for tens in (0, 1):
            digits = {
                f"{c % 16:x}" for c in (members if every else members - short) if c >> 4 == tens
            }
            if every:
                digits |= {digit.upper() for digit in digits}
            packed = codepoints.union((ord(digit), ord(digit)) for digit in digits)
            if packed:
                node = self.add([(low, high, EXIT) for low, high in packed], tens)
                thousands.append((0x30 + tens, 0x30 + tens, node))
        if thousands:
            zero = self.add([(0x30, 0x30, self.add(thousands))])
            moves.append((0x75, 0x75, self.add([(0x30, 0x30, zero)])))
        return moves


@lru_cache(maxsize=4096)
def spelled(ranges: Ranges, spelling: Spelling) -> Spelled:
    """Return the deterministic automaton of the bytes of one character out of a set."""
    nodes = _Nodes()
    bare = ranges
    escapes: list[tuple[int, int, int]] = []
    if spelling is not Spelling.TEXT:
        bare = codepoints.difference(ranges, _ALWAYS_ESCAPED)
        escapes = nodes.of_escapes(ranges, every=spelling is Spelling.JSON)
    first = nodes.of_bytes(_byte_sequences(bare))
    if escapes:
        first.append((0x5C, 0x5C, nodes.add(escapes)))
    # Nodes were added after the nodes they lead to: reverse the order and put the first in front.
    last = len(nodes.moves)

    def renumbered(moves: Moves) -> Moves:
        return tuple((a, b, EXIT if t == EXIT else last - t) for a, b, t in moves)

    return (renumbered(tuple(first)), *(renumbered(moves) for moves in reversed(nodes.moves)))


def _universal_order(spelling: Spelling) -> list[UniversalState]:
    """Return the `UniversalState` of each node of `spelled(EVERY, spelling)`."""
    nodes = spelled(EVERY, spelling)
    order = [UniversalState.NONE] * len(nodes)
    order[0] = UniversalState.BETWEEN
    named = {
        0xC2: UniversalState.ONE_MORE,
        0xE0: UniversalState.AFTER_E0,
        0xE1: UniversalState.TWO_MORE,
        0xED: UniversalState.AFTER_ED,
        0xF0: UniversalState.AFTER_F0,
        0xF1: UniversalState.THREE_MORE,
        0xF4: UniversalState.AFTER_F4,
        0x5C: UniversalState.ESCAPE,
    }
    for low, _, target in nodes[0]:
        if target != EXIT and low in named:
            order[target] = named[low]
    node = order.index(UniversalState.ESCAPE) if UniversalState.ESCAPE in order else EXIT
    for following in (
        (UniversalState.ESCAPE_U, UniversalState.ESCAPE_U0, UniversalState.ESCAPE_U00)
        if node != EXIT
        else ()
    ):
        node = next(target for _, _, target in nodes[node] if target != EXIT)
        order[node] = following
    if node != EXIT:
        for low, _, target in nodes[node]:
            order[target] = (
                UniversalState.ESCAPE_U000 if low == 0x30 else UniversalState.ESCAPE_U001
            )
    return order


@lru_cache(maxsize=3)
def universal_nodes(spelling: Spelling) -> tuple[int, ...]:
    """Return the `UniversalState` of each node of `spelled(EVERY, spelling)`."""
    if spelling is Spelling.CANONICAL:
        return (int(UniversalState.NONE),) * len(spelled(EVERY, spelling))
    return tuple(int(universal) for universal in _universal_order(spelling))


@lru_cache(maxsize=3)
def universal_nfa(spelling: Spelling) -> Nfa:
    """Return the automaton of all strings; state i is `UniversalState(i)`, not in CANONICAL."""
    order: Sequence[int] = universal_nodes(spelling)
    universal = np.arange(len(order), dtype=np.int8)
    if spelling is Spelling.CANONICAL:
        order, universal = range(len(order)), np.full(len(order), UniversalState.NONE, np.int8)
    rows = [
        (order[node], low, high, 0 if target == EXIT else order[target])
        for node, moves in enumerate(spelled(EVERY, spelling))
        for low, high, target in moves
    ]
    states = len(order)
    return Nfa(
        states,
        np.zeros(1, np.int32),
        np.array(sorted(rows), np.int32),
        np.zeros(1, np.int32),
        universal,
    )
