"""Expressions as automata over bytes."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from decoding.grammar import codepoints
from decoding.grammar.automaton import Loose, Nfa, Spelling
from decoding.grammar.codepoints import EVERY, Ranges
from decoding.grammar.construction import EMPTY, Encoder, build_over
from decoding.grammar.expressions import Both, Expression, Not
from decoding.grammar.spelling import EXIT, Spelled, loose_nodes, spelled
from decoding.grammar.subsets import symbolic
from decoding.grammar.symbols import check_logic
from decoding.grammar.tries import Trie, respelled, trie

_SURROGATE = re.compile("[\ud800-\udfff]")
_MANY_SPELLINGS = re.compile("[\0-\x1f/]")
_SPECIAL = 0x100
"""Added to a character with more than one spelling: a symbol that is no byte."""
_ESCAPES = {c: chr(c + _SPECIAL) for c in (*range(0x20), 0x2F)} | {0x22: '\\"', 0x5C: "\\\\"}


class _Bytes:
    """The bytes of a spelling."""

    def __init__(self, spelling: Spelling) -> None:
        self.spelling = spelling
        self.loose = loose_nodes(spelling)

    def characters(self, ranges: Ranges) -> Spelled:
        return spelled(ranges, self.spelling)

    def trie(self, words: tuple[str, ...]) -> Trie:
        text = "\n".join(words)
        if not text.isascii() and _SURROGATE.search(text):
            words = tuple(word for word in words if not _SURROGATE.search(word))
        as_bytes = [word.encode().decode("latin-1") for word in words]
        if self.spelling is Spelling.TEXT:
            return trie(as_bytes)
        tree = trie([word.translate(_ESCAPES) for word in as_bytes])
        special = {ord(c) for word in words for c in _MANY_SPELLINGS.findall(word)}
        if not special:
            return tree
        spellings = {c + _SPECIAL: spelled(((c, c),), self.spelling) for c in sorted(special)}
        return respelled(tree, spellings)

    def logic(self, expression: Both | Not) -> Nfa:
        nfa, alphabet = symbolic(expression)
        return spell_out(nfa, alphabet.classes, self)


def spell_out(nfa: Nfa, classes: list[Ranges], encoder: _Bytes) -> Nfa:
    """Return an automaton over classes of characters as one over bytes."""
    if not nfa.states:
        return EMPTY
    between: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for source, low, high, target in nfa.edges.tolist():
        between.setdefault((source, target), []).append((low, high))
    alike: dict[tuple[tuple[int, int], ...], list[tuple[int, int]]] = {}
    for move, runs in between.items():
        alike.setdefault(tuple(runs), []).append(move)
    states = nfa.states
    blocks: list[NDArray[np.int32]] = []
    loose = [nfa.loose]
    for symbol_runs, moves in alike.items():
        symbols = [s for low, high in symbol_runs for s in range(low, high + 1)]
        ranges = codepoints.union(*(classes[s] for s in symbols))
        nodes = encoder.characters(ranges)
        block, kinds = _copies(nodes, np.array(moves, np.int32), states)
        if ranges == EVERY:
            safe = np.array([nfa.loose[source] != Loose.NONE for source, _ in moves])
            orders = np.array(encoder.loose[1:], np.int8)[:, None]
            kinds = np.where(safe, orders, np.int8(Loose.NONE)).ravel()
        states += len(kinds)
        blocks.append(block)
        loose.append(kinds)
    edges = np.concatenate(blocks) if blocks else np.zeros((0, 4), np.int32)
    edges = edges[np.argsort(edges[:, 0], kind="stable")]
    return Nfa(states, nfa.starts, edges, nfa.accepts, np.concatenate(loose))


def _copies(
    nodes: Spelled, moves: NDArray[np.int32], states: int
) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Return the edges that spell one set of characters for each of some moves."""
    count, inner = len(moves), len(nodes) - 1
    places = np.empty((inner + 1, count), np.int32)
    places[0] = moves[:, 0]
    places[1:] = (states + np.arange(inner * count)).reshape(inner, count)
    rows = [
        (node, low, high, target) for node, row in enumerate(nodes) for low, high, target in row
    ]
    block = np.empty((len(rows), count, 4), np.int32)
    for index, (node, low, high, target) in enumerate(rows):
        block[index, :, 0], block[index, :, 1], block[index, :, 2] = places[node], low, high
        block[index, :, 3] = moves[:, 1] if target == EXIT else places[target]
    return block.reshape(-1, 4), np.full(inner * count, Loose.NONE, np.int8)


_ENCODERS = {spelling: _Bytes(spelling) for spelling in Spelling}


def encoder(spelling: Spelling) -> Encoder:
    """Return the alphabet of the bytes of a spelling."""
    return _ENCODERS[spelling]


@lru_cache(maxsize=1024)
def build(expression: Expression, spelling: Spelling) -> Nfa:
    """Return the automaton of an expression: without empty moves, trimmed, with one start."""
    check_logic(expression)
    return build_over(_ENCODERS[spelling], expression)
