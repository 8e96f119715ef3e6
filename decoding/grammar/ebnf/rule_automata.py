"""Automata over symbols and calls, and how one rule's is built from those of its parts."""

from __future__ import annotations

from dataclasses import dataclass, field

from decoding.errors import GrammarLimitError
from decoding.grammar.ebnf.syntax import MAX_SYMBOLS
from decoding.grammar.regular.nfa import Nfa

Move = tuple[int, int, int]
"""Lowest symbol, highest symbol, target."""
CallEdge = tuple[int, int]
"""The rule that is called, and the state to go on in."""


@dataclass(frozen=True, slots=True)
class RuleAutomaton:
    """A language without its empty string; state 0 is the first, and nothing ends there.

    moves, calls: by state. final: where a string may end.
    nullable: whether the empty string belongs to the language as well.
    """

    moves: tuple[tuple[Move, ...], ...]
    calls: tuple[tuple[CallEdge, ...], ...]
    final: tuple[bool, ...]
    nullable: bool

    @property
    def size(self) -> int:
        """How many states there are."""
        return len(self.final)


@dataclass(slots=True)
class RuleNfa:
    """An automaton in the making, with empty moves; state 0 is the first."""

    moves: list[list[Move]] = field(default_factory=lambda: [[]])
    calls: list[list[CallEdge]] = field(default_factory=lambda: [[]])
    empties: list[list[int]] = field(default_factory=lambda: [[]])
    final: list[int] = field(default_factory=list)

    def state(self) -> int:
        """A new state."""
        if len(self.moves) > MAX_SYMBOLS:
            raise GrammarLimitError("", "states of a rule", MAX_SYMBOLS)
        self.moves.append([])
        self.calls.append([])
        self.empties.append([])
        return len(self.moves) - 1

    def symbol(self, at: int, symbol: int) -> int:
        """Read one symbol from a state; returns the state after it."""
        end = self.state()
        self.moves[at].append((symbol, symbol, end))
        return end

    def call(self, at: int, rule: int, *, nullable: bool) -> int:
        """Call a rule from a state; returns the state after it."""
        end = self.state()
        self.calls[at].append((rule, end))
        if nullable:
            self.empties[at].append(end)
        return end

    def copy(self, at: int, part: RuleAutomaton) -> int:
        """Read a string of another automaton from a state; returns the state after it."""
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
    """The automaton of a terminal, in the form that rules are built in."""
    found = RuleNfa()
    states = [found.state() for _ in range(nfa.states)]
    for source, low, high, target in nfa.edges.tolist():
        found.moves[states[source]].append((low, high, states[target]))
    found.empties[0] = [states[start] for start in nfa.starts.tolist()]
    found.final = [states[state] for state in nfa.accepts.tolist()]
    return found
