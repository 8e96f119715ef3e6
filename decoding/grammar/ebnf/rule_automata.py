"""Automata of single rules: their transitions read symbols or call other rules."""

from __future__ import annotations

from dataclasses import dataclass, field

from decoding.errors import GrammarLimitError
from decoding.grammar.ebnf.syntax import MAX_SYMBOLS
from decoding.grammar.regular.nfa import Nfa

Move = tuple[int, int, int]
"""Lowest symbol, highest symbol, target."""
CallEdge = tuple[int, int]
"""The called rule, and the state after the call."""


@dataclass(frozen=True, slots=True)
class RuleAutomaton:
    """The automaton of a rule without empty transitions; state 0 is the start and does not accept.

    moves, calls: the transitions of each state. final: whether each state accepts.
    nullable: whether the rule derives the empty string too.
    """

    moves: tuple[tuple[Move, ...], ...]
    calls: tuple[tuple[CallEdge, ...], ...]
    final: tuple[bool, ...]
    nullable: bool

    @property
    def size(self) -> int:
        """The number of states."""
        return len(self.final)


@dataclass(slots=True)
class RuleNfa:
    """A nondeterministic automaton of a rule under construction; state 0 is the start.

    empties: by state, the targets of empty transitions. final: the accepting states.
    """

    moves: list[list[Move]] = field(default_factory=lambda: [[]])
    calls: list[list[CallEdge]] = field(default_factory=lambda: [[]])
    empties: list[list[int]] = field(default_factory=lambda: [[]])
    final: list[int] = field(default_factory=list)

    def state(self) -> int:
        """Add a state; returns its number."""
        if len(self.moves) > MAX_SYMBOLS:
            raise GrammarLimitError("", "states of a rule", MAX_SYMBOLS)
        self.moves.append([])
        self.calls.append([])
        self.empties.append([])
        return len(self.moves) - 1

    def symbol(self, at: int, symbol: int) -> int:
        """Add a transition that reads one symbol; returns its target."""
        end = self.state()
        self.moves[at].append((symbol, symbol, end))
        return end

    def call(self, at: int, rule: int, *, nullable: bool) -> int:
        """Add a transition that calls a rule; returns its target."""
        end = self.state()
        self.calls[at].append((rule, end))
        if nullable:
            self.empties[at].append(end)
        return end

    def copy(self, at: int, part: RuleAutomaton) -> int:
        """Add a copy of another automaton behind a state; returns the state after it."""
        end = self.state()
        states = [self.state() for _ in part.final]
        for state, moves, calls, final in zip(
            states, part.moves, part.calls, part.final, strict=True
        ):
            self.moves[state] = [(low, high, states[target]) for low, high, target in moves]
            self.calls[state] = [(rule, states[target]) for rule, target in calls]
            if final:
                self.empties[state].append(end)
        self.empties[at].append(states[0])
        if part.nullable:
            self.empties[at].append(end)
        return end


def rule_nfa_of(nfa: Nfa) -> RuleNfa:
    """Convert a terminal's byte automaton to the `RuleNfa` that rules are built in."""
    found = RuleNfa()
    states = [found.state() for _ in range(nfa.states)]
    for source, low, high, target in nfa.edges.tolist():
        found.moves[states[source]].append((low, high, states[target]))
    found.empties[0] = [states[start] for start in nfa.starts.tolist()]
    found.final = [states[state] for state in nfa.accepts.tolist()]
    return found
