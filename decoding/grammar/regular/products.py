"""Builds product automata of Boolean formulas over languages, or decides their emptiness."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from decoding.errors import GrammarLimitError
from decoding.grammar.regular import operations
from decoding.grammar.regular.expressions import Both, Choice, Expression, Not
from decoding.grammar.regular.lazy_dfa import LazyDfa
from decoding.grammar.regular.nfa import EMPTY, Nfa, UniversalState, deterministic
from decoding.grammar.regular.nfa_builder import build_over
from decoding.grammar.regular.symbols import Symbols
from decoding.grammar.regular.work import count
from decoding.kernels.grammar import layout, products
from decoding.kernels.grammar.layout import HEAD

MAX_STATES = 1 << 17
MAX_SYMBOLS = 256
"""States of a `LazyDfa` have so many next states."""
_SIZES = (1 << 10, 1 << 14, MAX_STATES)
"""Room for so many states is tried, one size after the other."""
_SET_UP = 100
"""Cost of making a product automaton, in steps of work, besides that of its states."""
_MOVES = 64
"""Moves of one factor that are read per step of work."""
_FIELDS = 6
"""Fields of automata that are written per step of work."""
_INNER = 512
"""States of the automata that make a move take twice as long."""
_MAX_ROWS = 1 << 24
"""64 MiB of int32."""


class Product:
    """The product automaton of an expression with ∩, ∪ and complement; ≤ 256 symbols."""

    def __init__(self, expression: Expression, encoder: Symbols) -> None:
        self.symbols = len(encoder.alphabet.classes)
        self.inner = self.written = 0
        self.dfa = LazyDfa()
        formula: list[tuple[int, int]] = []
        starts: list[int] = []
        written: dict[Expression, int] = {}
        for node, operands in _postfix(expression):
            if node is None:
                formula.append(operands)
                continue
            if node not in written:
                written[node] = self._leaf(build_over(encoder, node))
            formula.append((products.LEAF, 0))
            starts.append(written[node])
        self.formula = np.array(formula, np.int64)
        self.starts = np.array(starts, np.int32)
        self.values = np.zeros(len(formula), np.int64)
        self.firsts = np.zeros(len(formula), np.int64)

    def _leaf(self, nfa: Nfa) -> int:
        if not nfa.states:
            return layout.DEAD
        self.inner += nfa.states
        sources, lows, highs, targets = nfa.edges.T
        whole = np.zeros(nfa.states, np.bool_)
        whole[sources[(sources == targets) & (lows == 0) & (highs == self.symbols - 1)]] = True
        accepting = np.zeros(nfa.states, np.bool_)
        accepting[nfa.accepts] = True
        universal = np.where(whole & accepting, UniversalState.BETWEEN, UniversalState.NONE).astype(
            np.int8
        )
        leaf = Nfa(nfa.states, nfa.starts, nfa.edges, nfa.accepts, universal)
        return self.dfa.add_automaton([(leaf, 0)])

    def is_inhabited(self) -> bool:
        """Whether the language has a member.

        Raises `GrammarLimitError` if `MAX_STATES` states do not tell.
        """
        for size in _SIZES:
            answer = self._search(size)
            if answer != layout.TOO_MANY:
                return answer == 1
        raise GrammarLimitError("", "states of an intersection", MAX_STATES)

    def automaton(self) -> Nfa:
        """Return the automaton: deterministic, trimmed; `universal` is BETWEEN or NONE.

        Raises `GrammarLimitError` for more than `MAX_STATES` states, or if their rows take more
        than 64 MiB.
        """
        for size in _SIZES:
            found = self._explore(min(size, _MAX_ROWS // self.symbols))
            if found is not None:
                return found
        raise GrammarLimitError("", "states of an intersection", MAX_STATES)

    def _search(self, size: int) -> int:
        dfa, (states, table, first) = self.dfa, self._begun(size)
        if first != products.NOT_YET:
            return int(first != products.NEVER)
        stack = np.zeros(size, np.int64)
        progress = np.ones(products.PROGRESS_SIZE, np.int64)
        answer = self._retried(
            lambda: products.search(
                dfa.fields, dfa.table, self.formula, states,
                table, stack, self.symbols, progress, self.values,
                self.firsts,
            )
        )  # fmt: skip
        self._count(int(progress[products.COUNT]))
        return answer

    def _explore(self, size: int) -> Nfa | None:
        dfa, (states, table, first) = self.dfa, self._begun(size)
        if first == products.NEVER:
            return EMPTY
        rows = np.empty((size, self.symbols), np.int32)
        accepting = np.zeros(size, np.bool_)
        accepting[0] = first >= products.NOW
        progress = np.array([1, 0], np.int64)
        answer = self._retried(
            lambda: products.explore(
                dfa.fields, dfa.table, self.formula, states,
                table, rows, accepting, progress, self.values,
                self.firsts,
            )
        )  # fmt: skip
        found = int(progress[products.COUNT])
        self._count(found)
        return None if answer == layout.TOO_MANY else deterministic(rows[:found], accepting[:found])

    def _count(self, states: int) -> None:
        """Count the work of a search that has found so many states."""
        moves = states * self.symbols * (len(self.starts) + self.inner // _INNER)
        count(_SET_UP + moves // _MOVES)
        self._count_fields()

    def _retried(self, kernel: Callable[[], int]) -> int:
        """The answer of a kernel, with as much room as it asks for; counts what it has written."""

        def counted() -> int:
            self._count_fields()
            return kernel()

        return self.dfa.retried(counted)

    def _count_fields(self) -> None:
        written, self.written = self.written, int(self.dfa.fields[HEAD.FREE])
        count((self.written - written) // _FIELDS)

    def _begun(self, size: int) -> tuple[NDArray[np.int32], NDArray[np.int32], int]:
        """Return an array of states with the first one, their hash table, and the first value."""
        leaves = len(self.starts)
        states = np.zeros((size + 1) * leaves, np.int32)
        states[:leaves] = self.starts
        table = np.zeros(1 << (2 * size).bit_length(), np.int32)
        first = products.begin(
            self.dfa.fields,
            self.formula,
            states,
            table,
            leaves,
            self.values,
            self.firsts,
        )
        return states, table, int(first)


def _postfix(expression: Expression) -> Iterator[tuple[Expression | None, tuple[int, int]]]:
    """Yield an expression in postfix order: leaves, and a row of the formula for each operator."""
    stack: list[tuple[Expression | None, tuple[int, int]]] = [(expression, (products.LEAF, 0))]
    while stack:
        count(1)
        node, row = stack.pop()
        operands = () if node is None else _operands(node)
        if node is None or not operands:
            yield node, row
            continue
        kind = {Both: products.AND, Choice: products.OR, Not: products.NOT}[type(node)]
        stack.append((None, (kind, 0 if kind == products.NOT else len(operands))))
        stack += [(operand, (products.LEAF, 0)) for operand in reversed(operands)]


def _operands(node: Expression) -> tuple[Expression, ...]:
    """Return the operands of a node of logic; none for any other node."""
    if isinstance(node, Both | Not):
        return operations.children(node)
    if not isinstance(node, Choice):
        return ()
    plain = [option for option in node.options if not operations.has_logic(option)]
    if len(plain) == len(node.options):
        return ()
    joined = (operations.choice(plain),) if plain else ()
    return (*joined, *(option for option in node.options if operations.has_logic(option)))


def alternatives(expression: Expression, most: int) -> list[Expression] | None:
    """Return the disjunctive normal form of an expression: intersections whose union it is.

    None if there are more than `most` of them.
    """
    found = _alternatives(expression, most, negative=False)
    return None if found is None else [operations.both(parts) for parts in found]


def _alternatives(
    node: Expression, most: int, *, negative: bool
) -> list[tuple[Expression, ...]] | None:
    """Return the languages that each alternative intersects; recursion is `MAX_LOGIC` deep."""
    count(1)
    if isinstance(node, Not):
        return _alternatives(node.body, most, negative=not negative)
    operands = _operands(node)
    if not operands:
        return [(operations.negation(node) if negative else node,)]
    found: list[tuple[Expression, ...]] = []
    if isinstance(node, Both) != negative:
        found.append(())
    for operand in operands:
        options = _alternatives(operand, most, negative=negative)
        if options is None:
            return None
        if isinstance(node, Both) != negative:
            found = [tuple(dict.fromkeys(one + other)) for one in found for other in options]
        else:
            found += options
        found = list(dict.fromkeys(found))
        if len(found) > most:
            return None
    return [parts for parts in found if not any(Not(part) in parts for part in parts)]
