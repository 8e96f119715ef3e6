"""Compiles the rules of a grammar to a network of automata that call each other.

Calls take time at each token. So a rule keeps an automaton of its own only if it is recursive, or
large and called more than once. All other rules are copied into their callers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace

from decoding.errors import GrammarLimitError
from decoding.grammar.ebnf.assemble import assembled
from decoding.grammar.ebnf.call_graph import back_edges
from decoding.grammar.ebnf.determinize import determinized
from decoding.grammar.ebnf.pruning import nullable_rules, pruned
from decoding.grammar.ebnf.rule_automata import RuleAutomaton, RuleNfa, rule_nfa_of
from decoding.grammar.ebnf.syntax import (
    MAX_SYMBOLS,
    Alternative,
    Call,
    Item,
    Rule,
    Rules,
    Symbol,
    Terminal,
    TokenReference,
    called_by,
)
from decoding.grammar.regular import operations
from decoding.grammar.regular.build import build
from decoding.grammar.regular.expressions import Expression
from decoding.grammar.regular.nfa import Spelling
from decoding.kernels.grammar.earley_arrays import Network

_SMALL = 64
"""A rule of at most so many states is copied to every call."""
_BYTES = 256
_Inner = tuple[int, int, int]
"""A rule to copy, the state where it begins, and the state where it ends."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A network, and the tokens that its symbols from 256 on stand for."""

    network: Network
    marks: tuple[TokenReference, ...]


def compile_rules(grammar: Rules) -> Compiled:
    """Compile a grammar to the network of its rules' automata and the tokens that it names.

    Raises:
        GrammarUnsatisfiableError: the start rule derives no text.
        GrammarLimitError: more than `MAX_SYMBOLS` states.
    """
    work = _Work()
    rules = [replace(rule, alternatives=_gathered(rule.alternatives)) for rule in grammar.rules]
    grammar = Rules(tuple(rules), grammar.start)
    grammar = pruned(grammar, lambda terminal: not work.terminal(terminal.expression).words)
    work.nullable = nullable_rules(
        grammar, lambda terminal: work.terminal(terminal.expression).automaton.nullable
    )
    order, work.kept = back_edges([called_by(rule) for rule in grammar.rules], grammar.start)
    work.kept.add(grammar.start)
    work.uses = _uses(grammar)
    for number in order:
        if work.uses[number] == 1 and number not in work.kept:
            continue  # it is copied into its only caller
        work.made[number] = work.automaton(grammar, number)
        if work.made[number].size > _SMALL:
            work.kept.add(number)
    made = {number: work.made[number] for number in order if number in work.kept}
    network = assembled(made, grammar.start, _BYTES + len(work.marks))
    return Compiled(network, tuple(work.marks))


def _gathered(alternatives: tuple[Alternative, ...]) -> tuple[Alternative, ...]:
    """The alternatives, with those of one terminal each joined to one, as word lists are long."""
    alone: list[Expression] = []
    others: list[Alternative] = []
    for items in alternatives:
        match items:
            case (Item(Terminal(expression), 1, 1),):
                alone.append(expression)
            case _:
                others.append(items)
    if alone:
        others.append((Item(Terminal(operations.choice(alone))),))
    return tuple(others)


def _uses(grammar: Rules) -> Counter[int]:
    """By rule: how many copies of it the grammar would need."""
    uses: Counter[int] = Counter()
    for rule in grammar.rules:
        for item in (item for alternative in rule.alternatives for item in alternative):
            if isinstance(item.symbol, Call):
                copies = item.minimum + 1 if item.maximum is None else item.maximum
                uses[item.symbol.rule] += copies
    return uses


@dataclass(frozen=True, slots=True)
class _TerminalAutomaton:
    automaton: RuleAutomaton
    words: bool
    """Whether the terminal matches any string."""


@dataclass(slots=True)
class _Work:
    """The state of compiling rules to automata, called rules first.

    nullable: rules that derive the empty string. uses: by rule, the number of copies it would need.
    kept: rules that are called, not copied. made: automata of the rules so far.
    marks: the tokens that the grammar names, numbered.
    """

    nullable: frozenset[int] = frozenset()
    uses: Counter[int] = field(default_factory=Counter)
    kept: set[int] = field(default_factory=set)
    made: dict[int, RuleAutomaton] = field(default_factory=dict)
    marks: dict[TokenReference, int] = field(default_factory=dict)
    _terminals: dict[Expression, _TerminalAutomaton] = field(default_factory=dict)
    _states: int = 0

    def terminal(self, expression: Expression) -> _TerminalAutomaton:
        """The automaton of a terminal, built once."""
        if expression not in self._terminals:
            nfa = build(expression, Spelling.TEXT)
            words = len(nfa.accepts) > 0 and len(nfa.starts) > 0
            self._terminals[expression] = _TerminalAutomaton(determinized(rule_nfa_of(nfa)), words)
        return self._terminals[expression]

    def automaton(self, grammar: Rules, number: int) -> RuleAutomaton:
        """The automaton of a rule. The rules that it copies must be compiled."""
        nfa = RuleNfa()
        end = nfa.state()
        nfa.final.append(end)
        open_ = [self._expanded(nfa, 0, end, grammar.rules[number])]
        while open_:
            inner = next(open_[-1], None)
            if inner is None:
                open_.pop()
            else:
                rule, at, after = inner
                open_.append(self._expanded(nfa, at, after, grammar.rules[rule]))
        self._states += len(nfa.moves)
        if self._states > MAX_SYMBOLS:
            where = grammar.rules[number].where
            raise GrammarLimitError(where, "states of a grammar", MAX_SYMBOLS)
        return determinized(nfa)

    def _expanded(self, nfa: RuleNfa, at: int, end: int, rule: Rule) -> Iterator[_Inner]:
        """Add a rule between two states; yields the rules that are to be copied inside it."""
        for alternative in rule.alternatives:
            state = at
            for item in alternative:
                state = yield from self._repeated(nfa, state, item)
            nfa.empties[state].append(end)

    def _repeated(self, nfa: RuleNfa, at: int, item: Item) -> Generator[_Inner, None, int]:
        for _ in range(item.minimum):
            at = yield from self._once(nfa, at, item.symbol)
        if item.maximum is None:
            hub = nfa.state()
            nfa.empties[at].append(hub)
            after = yield from self._once(nfa, hub, item.symbol)
            nfa.empties[after].append(hub)
            return hub
        end = nfa.state()
        nfa.empties[at].append(end)
        for _ in range(item.maximum - item.minimum):
            at = yield from self._once(nfa, at, item.symbol)
            nfa.empties[at].append(end)
        return end

    def _once(self, nfa: RuleNfa, at: int, symbol: Symbol) -> Generator[_Inner, None, int]:
        match symbol:
            case Terminal(expression):
                return nfa.copy(at, self.terminal(expression).automaton)
            case Call(rule) if rule in self.kept:
                return nfa.call(at, rule, nullable=rule in self.nullable)
            case Call(rule) if rule in self.made:
                return nfa.copy(at, self.made[rule])
            case Call(rule):
                after = nfa.state()
                yield rule, at, after
                return after
            case TokenReference():
                mark = self.marks.setdefault(symbol, len(self.marks))
                return nfa.symbol(at, _BYTES + mark)
