"""Builds a byte NFA of a regular expression, as plain UTF-8 or as inside a JSON string."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.regular import codepoints
from decoding.grammar.regular.codepoints import EVERY, Ranges
from decoding.grammar.regular.expressions import Both, Expression, Not, Recognized
from decoding.grammar.regular.nfa import EMPTY, Nfa, Spelling, UniversalState
from decoding.grammar.regular.nfa_builder import Encoder, build_over
from decoding.grammar.regular.spelling import EXIT, Spelled, spelled, universal_nodes
from decoding.grammar.regular.subsets import symbolic
from decoding.grammar.regular.symbols import check_logic
from decoding.grammar.regular.word_tree import WordTree, respelled, word_tree
from decoding.grammar.regular.work import remembered

_SURROGATE = re.compile("[\ud800-\udfff]")
_MANY_SPELLINGS = re.compile("[\0-\x1f/]")
_SPECIAL = 0x100
"""A character with more than one spelling is first a symbol beyond the bytes: itself + this."""
_ESCAPES = {c: chr(c + _SPECIAL) for c in (*range(0x20), 0x2F)} | {0x22: '\\"', 0x5C: "\\\\"}


_MANY = 64
"""At least so many moves over the same set of characters are written as arrays."""


class _Bytes:
    """The `nfa_builder.Encoder` of the bytes of a spelling."""

    def __init__(self, spelling: Spelling) -> None:
        self.spelling = spelling
        self.universal = universal_nodes(spelling)

    def characters(self, ranges: Ranges) -> Spelled:
        return spelled(ranges, self.spelling)

    def word_tree(self, words: tuple[str, ...]) -> WordTree:
        text = "\n".join(words)
        if not text.isascii() and _SURROGATE.search(text):
            words = tuple(word for word in words if not _SURROGATE.search(word))
        as_bytes = [word.encode().decode("latin-1") for word in words]
        if self.spelling is Spelling.TEXT:
            return word_tree(as_bytes)
        if self.spelling is Spelling.CANONICAL:
            return word_tree([json.dumps(word, ensure_ascii=False)[1:-1] for word in as_bytes])
        tree = word_tree([word.translate(_ESCAPES) for word in as_bytes])
        special = {ord(c) for word in words for c in _MANY_SPELLINGS.findall(word)}
        if not special:
            return tree
        spellings = {c + _SPECIAL: spelled(((c, c),), self.spelling) for c in sorted(special)}
        return respelled(tree, spellings)

    def logic(self, expression: Both | Not | Recognized) -> Nfa:
        nfa, alphabet = symbolic(expression)
        return spell_out(nfa, alphabet.classes, self)


def spell_out(nfa: Nfa, classes: list[Ranges], encoder: _Bytes) -> Nfa:
    """Return the automaton over bytes of an automaton over character classes."""
    if not nfa.states:
        return EMPTY
    between: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for source, low, high, target in nfa.edges.tolist():
        between.setdefault((source, target), []).append((low, high))
    moves_by_symbols: dict[tuple[tuple[int, int], ...], list[tuple[int, int]]] = {}
    for move, intervals in between.items():
        moves_by_symbols.setdefault(tuple(intervals), []).append(move)
    writer = _Writer(nfa, encoder)
    for symbol_ranges, moves in moves_by_symbols.items():
        symbols = [s for low, high in symbol_ranges for s in range(low, high + 1)]
        writer.write(codepoints.union(*(classes[s] for s in symbols)), moves)
    edges = np.concatenate((np.array(writer.rows, np.int32).reshape(-1, 4), *writer.blocks))
    edges = edges[np.argsort(edges[:, 0], kind="stable")]
    universal = np.full(writer.states, UniversalState.NONE, np.int8)
    for first, universal_states in writer.universal:
        universal[first : first + len(universal_states)] = universal_states
    for state, universal_state in writer.marks:
        universal[state] = universal_state
    return Nfa(writer.states, nfa.starts, edges, nfa.accepts, universal)


class _Writer:
    """Writes the bytes of characters between the states of an automaton over character classes."""

    def __init__(self, nfa: Nfa, encoder: _Bytes) -> None:
        self.encoder = encoder
        self.states = nfa.states
        self.safe: list[bool] = (nfa.universal != UniversalState.NONE).tolist()
        self.universal = [(0, nfa.universal)]
        self.marks: list[tuple[int, int]] = []
        self.rows: list[int] = []
        self.blocks: list[NDArray[np.int32]] = []
        # Nodes that read the same rest of a character before the same state share one state.
        self.known: dict[tuple[object, int], int] = {}

    def write(self, ranges: Ranges, moves: list[tuple[int, int]]) -> None:
        """Write moves, each over one character of a set."""
        nodes = self.encoder.characters(ranges)
        if len(moves) >= _MANY:
            block, inner = _copies(nodes, np.array(moves, np.int32), self.states)
            universal = np.full(inner, UniversalState.NONE, np.int8)
            if ranges == EVERY:
                safe = np.array([self.safe[source] for source, _ in moves])
                orders = np.array(self.encoder.universal[1:], np.int8)[:, None]
                universal = np.where(safe, orders, np.int8(UniversalState.NONE)).ravel()
            self.universal.append((self.states, universal))
            self.states += inner
            self.blocks.append(block)
            return
        for source, target in moves:
            self.one(ranges, nodes, source, target)

    def one(self, ranges: Ranges, nodes: Spelled, source: int, target: int) -> None:
        """Write one move over one character of a set."""
        states_of = [source] * len(nodes)
        keys: list[object] = [None] * len(nodes)
        for node in range(len(nodes) - 1, -1, -1):  # a node moves to later ones only
            moves = nodes[node]
            if node:
                keys[node] = key = tuple(
                    (low, high, None if to == EXIT else keys[to]) for low, high, to in moves
                )
                state = self.known.get((key, target))
                if state is not None:
                    states_of[node] = state
                    continue
                states_of[node] = self.known[key, target] = self.states
                self.states += 1
            for low, high, to in moves:
                self.rows += (states_of[node], low, high, target if to == EXIT else states_of[to])
        if ranges == EVERY and self.safe[source]:
            self.marks += zip(states_of[1:], self.encoder.universal[1:], strict=True)


def _copies(nodes: Spelled, moves: NDArray[np.int32], states: int) -> tuple[NDArray[np.int32], int]:
    """Return the edges of one set of characters for each move, and the number of new states."""
    count, inner = len(moves), len(nodes) - 1
    states_of = np.empty((inner + 1, count), np.int32)
    states_of[0] = moves[:, 0]
    states_of[1:] = (states + np.arange(inner * count)).reshape(inner, count)
    rows = [
        (node, low, high, target) for node, row in enumerate(nodes) for low, high, target in row
    ]
    block = np.empty((len(rows), count, 4), np.int32)
    for index, (node, low, high, target) in enumerate(rows):
        block[index, :, 0], block[index, :, 1], block[index, :, 2] = states_of[node], low, high
        block[index, :, 3] = moves[:, 1] if target == EXIT else states_of[target]
    return block.reshape(-1, 4), inner * count


_ENCODERS = {spelling: _Bytes(spelling) for spelling in Spelling}


def encoder(spelling: Spelling) -> Encoder:
    """Return the encoder of the bytes of a spelling."""
    return _ENCODERS[spelling]


@remembered(1024)
def build(expression: Expression, spelling: Spelling) -> Nfa:
    """Return the automaton of an expression over bytes: trimmed, with one start state."""
    check_logic(expression)
    nfa = build_over(_ENCODERS[spelling], expression)
    if spelling is Spelling.CANONICAL:
        nfa = replace(nfa, universal=np.full(nfa.states, UniversalState.NONE, np.int8))
    return nfa
