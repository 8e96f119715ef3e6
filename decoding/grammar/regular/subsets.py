"""Intersections and complements, by sets of states.

Everything here is over the symbols of one alphabet (`decoding.grammar.regular.symbols`).
"""

from __future__ import annotations

from functools import lru_cache, reduce
from typing import TypeAlias

import numpy as np

from decoding.errors import GrammarLimitError
from decoding.grammar.regular import algebra
from decoding.grammar.regular.expressions import Both, Expression, Not, Recognized
from decoding.grammar.regular.nfa import Loose, Nfa, deterministic, trimmed
from decoding.grammar.regular.nfa_builder import build_over
from decoding.grammar.regular.products import MAX_SYMBOLS, Product, alternatives
from decoding.grammar.regular.symbols import Alphabet, Symbols, alphabet_of, check_logic

MAX_STATES = 50_000
MAX_WORK = 2_000_000
_MOST_ALTERNATIVES = 32
_MOST_EDGES = 300_000
Moves: TypeAlias = list[list[tuple[int, int, int]]]


def moves_of(nfa: Nfa) -> Moves:
    """Return (lowest symbol, highest symbol, target) of every state."""
    moves: Moves = [[] for _ in range(nfa.states)]
    for source, low, high, target in nfa.edges.tolist():
        moves[source].append((low, high, target))
    return moves


class Subsets:
    """The deterministic automaton of another one, made as far as it is asked for.

    State 0 is the start. A state is a set of states; the empty set is one of them.
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
        self.work = 0

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
        self.work += sum(map(len, targets))
        if self.work > MAX_WORK:
            raise GrammarLimitError("", "steps of an intersection", MAX_WORK)
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


class Dfa:
    """A deterministic automaton: state 0 is the start.

    rows: the next state by state and symbol, or -1.
    accepting: by state.
    """

    def __init__(self) -> None:
        self.rows: list[list[int]] = []
        self.accepting: list[bool] = []


def combined(parts: list[tuple[Subsets, bool]]) -> Dfa:
    """Return what is in all of some automata, or not in those that are marked as negative."""
    result = Dfa()
    start = (0,) * len(parts)
    ids = {start: 0}
    states = [start]
    signs = [negative for _, negative in parts]
    automata = [subsets for subsets, _ in parts]
    for state in states:  # grows on the way
        result.accepting.append(
            all(a.accepting[s] != n for a, s, n in zip(automata, state, signs, strict=True))
        )
        rows = [a.row(s) for a, s in zip(automata, state, strict=True)]
        known: dict[tuple[int, ...], int] = {}
        row = []
        for target in zip(*rows, strict=True):
            number = known.get(target)
            if number is None:
                dead = any(
                    not n and not a.sets[s] for a, s, n in zip(automata, target, signs, strict=True)
                )
                number = -1 if dead else ids.setdefault(target, len(states))
                if number == len(states):
                    states.append(target)
                    if number >= MAX_STATES:
                        raise GrammarLimitError("", "states of an intersection", MAX_STATES)
                known[target] = number
            row.append(number)
        result.rows.append(row)
    return result


def paired(left: Nfa, right: Nfa) -> Nfa:
    """Return the intersection of two automata, not deterministic."""
    a_moves, b_moves = moves_of(left), moves_of(right)
    ids: dict[tuple[int, int], int] = {}
    states: list[tuple[int, int]] = []
    for a in left.starts.tolist():
        for b in right.starts.tolist():
            ids[a, b] = len(states)
            states.append((a, b))
    starts = len(states)
    rows: list[int] = []
    for number, (a, b) in enumerate(states):  # grows on the way
        for low, high, target in a_moves[a]:
            for other_low, other_high, other in b_moves[b]:
                first, last = max(low, other_low), min(high, other_high)
                if first <= last:
                    found = ids.setdefault((target, other), len(states))
                    if found == len(states):
                        states.append((target, other))
                    rows += (number, first, last, found)
        if len(rows) > _MOST_EDGES * 4:
            raise GrammarLimitError("", "moves of an intersection", _MOST_EDGES)
    final = set(left.accepts.tolist()), set(right.accepts.tolist())
    accepts = [n for n, (a, b) in enumerate(states) if a in final[0] and b in final[1]]
    return trimmed(
        Nfa(
            len(states),
            np.arange(starts, dtype=np.int32),
            np.array(rows, np.int32).reshape(-1, 4),
            np.array(accepts, np.int32),
            np.full(len(states), Loose.NONE, np.int8),
        )
    )


def as_nfa(dfa: Dfa) -> Nfa:
    """Return a deterministic automaton as an `Nfa`, trimmed; `loose` is BETWEEN or NONE."""
    return deterministic(np.array(dfa.rows, np.int32), np.array(dfa.accepting, np.bool_))


def logic(expression: Both | Not | Recognized, encoder: Symbols) -> Nfa:
    """Return the automaton of an expression with logic."""
    if isinstance(expression, Recognized):
        columns = np.empty(len(encoder.alphabet.classes), np.int32)
        for column, ranges in enumerate(expression.classes):
            columns[encoder.alphabet.symbols(ranges)] = column
        rows = np.array(expression.rows, np.int32)[:, columns]
        return deterministic(rows, np.array(expression.accepting, np.bool_))
    options = alternatives(expression, _MOST_ALTERNATIVES)
    if options is None or len(options) == 1:
        return _joined(options[0] if options else expression, encoder)
    # Automata of a union need not be followed side by side.
    return build_over(encoder, algebra.choice(options))


def _joined(expression: Expression, encoder: Symbols) -> Nfa:
    """Return the automaton of an expression, with its logic in one product."""
    try:
        if len(encoder.alphabet.classes) <= MAX_SYMBOLS:
            return Product(expression, encoder).automaton()
        return as_nfa(_wide(expression, encoder))
    except GrammarLimitError:
        if not isinstance(expression, Both) or any(map(algebra.has_logic, expression.parts)):
            raise
    first, *others = (build_over(encoder, part) for part in expression.parts)
    return reduce(paired, others, first)


def _wide(expression: Expression, encoder: Symbols) -> Dfa:
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
    if algebra.has_logic(expression) and len(encoder.alphabet.classes) <= MAX_SYMBOLS:
        try:
            return Product(expression, encoder).is_inhabited()
        except GrammarLimitError:
            if not isinstance(expression, Both) or any(map(algebra.has_logic, expression.parts)):
                raise
    return bool(build_over(encoder, expression).states)


@lru_cache(maxsize=512)
def symbolic(expression: Expression) -> tuple[Nfa, Alphabet]:
    """Return the automaton of an expression over its own alphabet, and the alphabet."""
    check_logic(expression)
    alphabet = alphabet_of([expression])
    return build_over(Symbols(alphabet, logic), expression), alphabet
