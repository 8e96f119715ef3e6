"""Builds intersections and complements of automata by subset construction and products.

Everything here is over the symbols of one alphabet (`decoding.grammar.regular.symbols`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import groupby
from typing import TypeGuard

import numpy as np

from decoding.errors import GrammarLimitError
from decoding.grammar.regular import operations
from decoding.grammar.regular.expressions import Both, Expression, Not, Recognized
from decoding.grammar.regular.nfa import Nfa, deterministic, moves_of, nfa_of_moves, with_universal
from decoding.grammar.regular.nfa_builder import build_over
from decoding.grammar.regular.products import MAX_SYMBOLS, Product, alternatives
from decoding.grammar.regular.symbols import Alphabet, Symbols, alphabet_of, check_logic
from decoding.grammar.regular.work import attempt, count, remembered
from decoding.grammar.regular.worklist import Limit

MAX_STATES = 50_000
_MOST_ALTERNATIVES = 32
_MOVES = 16
"""Moves of an automaton that are followed per step of work."""
_STATES = Limit("states of an intersection", MAX_STATES)
_EDGES = Limit("moves of an intersection", 300_000)


class Subsets:
    """The subset construction of an automaton, whose states are made on demand.

    State 0 is the start. A state is a set of states of the automaton; the empty set may be one.
    """

    def __init__(self, nfa: Nfa, width: int) -> None:
        self.width = width
        self.moves = moves_of(nfa)
        self.final = frozenset(nfa.accepts.tolist())
        start = frozenset(nfa.starts.tolist())
        self.sets = [start]
        self.ids = {start: 0}
        self.rows: list[list[int] | None] = [None]
        self.accepting = [not self.final.isdisjoint(start)]

    def row(self, state: int) -> list[int]:
        """Return the next state by symbol."""
        found = self.rows[state]
        if found is None:
            found = self.rows[state] = self._row(self.sets[state])
        return found

    def _row(self, members: frozenset[int]) -> list[int]:
        if len(members) == 1:
            (only,) = members
            moves = self.moves[only]
        else:
            moves = [move for member in members for move in self.moves[member]]
        targets: list[list[int]] = [[] for _ in range(self.width)]
        for low, high, target in moves:
            for symbol in range(low, high + 1):
                targets[symbol].append(target)
        reached = sum(map(len, targets))
        count(1 + (self.width + reached) // _MOVES)
        known: dict[tuple[int, ...], int] = {}
        row = []
        for found in targets:
            key = tuple(found)
            if key not in known:
                known[key] = self._intern(frozenset(found))
            row.append(known[key])
        return row

    def _intern(self, members: frozenset[int]) -> int:
        state = self.ids.get(members)
        if state is None:
            state = self.ids[members] = len(self.sets)
            self.sets.append(members)
            self.rows.append(None)
            self.accepting.append(not self.final.isdisjoint(members))
            if state >= MAX_STATES:
                raise GrammarLimitError("", "states of an intersection", MAX_STATES)
        return state


def combined(parts: list[tuple[Subsets, bool]]) -> Nfa:
    """Return the deterministic product of some automata and of complements of others.

    parts: each automaton, and whether its complement is meant.
    """
    automata = [subsets for subsets, _ in parts]
    signs = [negative for _, negative in parts]

    def accepts(state: tuple[int, ...]) -> bool:
        return all(a.accepting[s] != n for a, s, n in zip(automata, state, signs, strict=True))

    def is_dead(state: tuple[int, ...]) -> bool:
        return any(not n and not a.sets[s] for a, s, n in zip(automata, state, signs, strict=True))

    def moves(state: tuple[int, ...]) -> Iterator[tuple[tuple[int, int], tuple[int, ...]]]:
        rows = [a.row(s) for a, s in zip(automata, state, strict=True)]
        symbol = 0
        for target, interval in groupby(zip(*rows, strict=True)):
            first, symbol = symbol, symbol + sum(1 for _ in interval)
            if not is_dead(target):
                yield (first, symbol - 1), target

    nfa = nfa_of_moves([(0,) * len(parts)], moves, accepts, _STATES)
    return with_universal(nfa, automata[0].width)


def paired(left: Nfa, right: Nfa) -> Nfa:
    """Return the intersection of two automata: their product, not deterministic."""
    a_moves, b_moves = moves_of(left), moves_of(right)
    a_final, b_final = set(left.accepts.tolist()), set(right.accepts.tolist())
    edges = 0

    def moves(state: tuple[int, int]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        nonlocal edges
        for low, high, target in a_moves[state[0]]:
            for other_low, other_high, other in b_moves[state[1]]:
                first, last = max(low, other_low), min(high, other_high)
                if first <= last:
                    edges += 1
                    yield (first, last), (target, other)
        _EDGES.check(edges)

    starts = [(a, b) for a in left.starts.tolist() for b in right.starts.tolist()]
    return nfa_of_moves(starts, moves, lambda state: state[0] in a_final and state[1] in b_final)


def logic(expression: Both | Not | Recognized, encoder: Symbols) -> Nfa:
    """Return the automaton of an intersection, a complement or a recognized language."""
    if isinstance(expression, Recognized):
        columns = np.empty(len(encoder.alphabet.classes), np.int32)
        for column, ranges in enumerate(expression.classes):
            columns[encoder.alphabet.symbols(ranges)] = column
        rows = np.array(expression.rows, np.int32)[:, columns]
        return deterministic(rows, np.array(expression.accepting, np.bool_))
    options = alternatives(expression, _MOST_ALTERNATIVES)
    if options is None or len(options) == 1:
        return _joined(options[0] if options else expression, encoder)
    # The product of a union would have more states than the union of the products.
    return build_over(encoder, operations.choice(options))


def _joined(expression: Expression, encoder: Symbols) -> Nfa:
    """Return the automaton of an expression as one product over all of its logic."""
    try:
        with attempt(has_other_way=_is_of_plain_parts(expression)):
            if len(encoder.alphabet.classes) <= MAX_SYMBOLS:
                return Product(expression, encoder).automaton()
            return _wide(expression, encoder)
    except GrammarLimitError:
        if not _is_of_plain_parts(expression):
            raise
    first, *others = (build_over(encoder, part) for part in expression.parts)
    return reduce(paired, others, first)


def _is_of_plain_parts(expression: Expression) -> TypeGuard[Both]:
    """Whether an expression is an intersection of plain languages, whose automata can be paired."""
    return isinstance(expression, Both) and not any(map(operations.has_logic, expression.parts))


def _wide(expression: Expression, encoder: Symbols) -> Nfa:
    """Return the automaton of an intersection or a complement over any number of symbols."""
    parts = expression.parts if isinstance(expression, Both) else (expression,)
    automata = []
    for part in parts:
        body: Expression = part.body if isinstance(part, Not) else part
        subsets = Subsets(build_over(encoder, body), len(encoder.alphabet.classes))
        automata.append((subsets, isinstance(part, Not)))
    return combined(automata)


def is_inhabited(expression: Expression, alphabet: Alphabet) -> bool:
    """Whether a language has a member."""
    encoder = Symbols(alphabet, logic)
    options = alternatives(expression, _MOST_ALTERNATIVES)
    return any(
        _is_inhabited(option, encoder) for option in ([expression] if options is None else options)
    )


def _is_inhabited(expression: Expression, encoder: Symbols) -> bool:
    if operations.has_logic(expression) and len(encoder.alphabet.classes) <= MAX_SYMBOLS:
        try:
            with attempt(has_other_way=_is_of_plain_parts(expression)):
                return Product(expression, encoder).is_inhabited()
        except GrammarLimitError:
            if not _is_of_plain_parts(expression):
                raise
    return bool(build_over(encoder, expression).states)


@remembered(512)
def symbolic(expression: Expression) -> tuple[Nfa, Alphabet]:
    """Return the automaton of an expression over its character classes, and that alphabet."""
    check_logic(expression)
    alphabet = alphabet_of([expression])
    return build_over(Symbols(alphabet, logic), expression), alphabet
