"""Removes a rule NFA's empty transitions; determinizes and minimizes it up to size limits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection

from decoding.grammar.ebnf.rule_automata import CallEdge, Move, RuleAutomaton, RuleNfa
from decoding.grammar.regular.work import count

_GROWTH = 4
_SLACK = 1_000
"""The determinized automaton may have `_GROWTH` times the states, and `_SLACK` more."""

_MERGED = 10_000
"""Automata with more states than this are not minimized."""


_MADE = 20
"""Cost of making an automaton, in steps of work, besides that of its states."""
_VISITED, _CLOSED, _COMPARED = 8, 16, 4
"""States that a search of closures visits, states of closures, and moves of an automaton, that are
examined per step of work."""


def determinized(nfa: RuleNfa) -> RuleAutomaton:
    """The NFA's language as a `RuleAutomaton`; its empty string becomes the flag `nullable`."""
    closures = _closures(nfa)
    count(_MADE)
    bound = _GROWTH * len(nfa.moves) + _SLACK
    made = _subsets(nfa, closures, bound)
    if made is None:
        made = _without_empty_moves(nfa, closures)
    if made.final[0]:
        made = _without_empty_string(made)
    return _merged(made) if made.size <= _MERGED else made


def _without_empty_string(automaton: RuleAutomaton) -> RuleAutomaton:
    """The same automaton as nullable, with an accepting copy of the start state."""
    double = automaton.size
    moves = [
        tuple((low, high, target or double) for low, high, target in state)
        for state in automaton.moves
    ]
    calls = [tuple((rule, target or double) for rule, target in state) for state in automaton.calls]
    final = (False, *automaton.final[1:], True)
    return RuleAutomaton((*moves, moves[0]), (*calls, calls[0]), final, nullable=True)


def _closures(nfa: RuleNfa) -> list[tuple[int, ...]]:
    """By state: its empty closure, restricted to states with transitions and accepting states."""
    useful = [bool(moves or calls) for moves, calls in zip(nfa.moves, nfa.calls, strict=True)]
    for state in nfa.final:
        useful[state] = True
    ahead = _shortcuts(nfa, useful)
    closures: list[tuple[int, ...]] = []
    for state in range(len(nfa.moves)):
        order = [ahead[state]]
        reached = set(order)
        for other in order:
            for target in nfa.empties[other]:
                if ahead[target] not in reached:
                    reached.add(ahead[target])
                    order.append(ahead[target])
        count(1 + len(order) // _VISITED)
        closures.append(tuple(other for other in order if useful[other]))
    return closures


def _shortcuts(nfa: RuleNfa, useful: list[bool]) -> list[int]:
    """By state: the end of the chain of single empty transitions that begins in it.

    Nested brackets that end together produce long chains.
    """
    ahead = [-1] * len(useful)
    for state in range(len(useful)):
        row: list[int] = []
        at = state
        while ahead[at] < 0:
            row.append(at)
            ahead[at] = at
            if not useful[at] and len(nfa.empties[at]) == 1:
                at = nfa.empties[at][0]
        for other in row:
            ahead[other] = ahead[at]
    return ahead


def _subsets(nfa: RuleNfa, closures: list[tuple[int, ...]], bound: int) -> RuleAutomaton | None:
    """The subset construction; `None` where it has more states than the bound."""
    final = set(nfa.final)
    start = frozenset(closures[0])
    number = {start: 0}
    order = [start]
    moves: list[tuple[Move, ...]] = []
    calls: list[tuple[CallEdge, ...]] = []

    def known(targets: Collection[int]) -> int:
        count(1 + sum(len(closures[target]) for target in targets) // _CLOSED)
        subset = frozenset(other for target in targets for other in closures[target])
        if subset not in number:
            number[subset] = len(order)
            order.append(subset)
        return number[subset]

    for subset in order:
        if len(order) > bound:
            return None
        spans = _spans([move for state in subset for move in nfa.moves[state]])
        moves.append(_joined([(low, high, known(targets)) for low, high, targets in spans]))
        called: dict[int, set[int]] = defaultdict(set)
        for state in subset:
            for rule, target in nfa.calls[state]:
                called[rule].add(target)
        calls.append(tuple((rule, known(targets)) for rule, targets in sorted(called.items())))
    ends = tuple(not final.isdisjoint(subset) for subset in order)
    return RuleAutomaton(tuple(moves), tuple(calls), ends, nullable=False)


def _spans(moves: list[Move]) -> list[tuple[int, int, frozenset[int]]]:
    """Split transitions into disjoint, sorted symbol ranges, each with all its target states."""
    if len(moves) == 1:
        low, high, target = moves[0]
        return [(low, high, frozenset((target,)))]
    cuts = sorted({low for low, _, _ in moves} | {high + 1 for _, high, _ in moves})
    place = {cut: index for index, cut in enumerate(cuts)}
    targets: list[set[int]] = [set() for _ in cuts]
    for low, high, target in moves:
        for index in range(place[low], place[high + 1]):
            targets[index].add(target)
    return [
        (cuts[index], cuts[index + 1] - 1, frozenset(found))
        for index, found in enumerate(targets)
        if found
    ]


def _joined(moves: list[Move]) -> tuple[Move, ...]:
    """Join neighbouring ranges of symbols with the same target."""
    kept: list[Move] = []
    for low, high, target in moves:
        if kept and kept[-1][1] + 1 == low and kept[-1][2] == target:
            kept[-1] = (kept[-1][0], high, target)
        else:
            kept.append((low, high, target))
    return tuple(kept)


def _without_empty_moves(nfa: RuleNfa, closures: list[tuple[int, ...]]) -> RuleAutomaton:
    """The nondeterministic automaton without empty transitions."""
    final = set(nfa.final)
    number = {0: 0}
    order = [0]
    moves: list[tuple[Move, ...]] = []
    calls: list[tuple[CallEdge, ...]] = []

    def known(state: int) -> int:
        if state not in number:
            number[state] = len(order)
            order.append(state)
        return number[state]

    for state in order:
        found_moves = {move for other in closures[state] for move in nfa.moves[other]}
        found_calls = {edge for other in closures[state] for edge in nfa.calls[other]}
        moves.append(tuple((low, high, known(to)) for low, high, to in sorted(found_moves)))
        calls.append(tuple((rule, known(to)) for rule, to in sorted(found_calls)))
    ends = tuple(not final.isdisjoint(closures[state]) for state in order)
    return RuleAutomaton(tuple(moves), tuple(calls), ends, nullable=False)


def _merged(automaton: RuleAutomaton) -> RuleAutomaton:
    """Merge equivalent states, by partition refinement.

    A class of states is split while its members lead to different classes. Only states whose
    targets have changed class are examined again, and the largest part keeps its number.
    """
    before = _before(automaton)
    of = [int(final) for final in automaton.final]
    members: list[set[int]] = [set(), set()]
    for state, number in enumerate(of):
        members[number].add(state)

    def signature(state: int) -> object:
        count(1 + (len(automaton.moves[state]) + len(automaton.calls[state])) // _COMPARED)
        moves = _joined([(low, high, of[to]) for low, high, to in automaton.moves[state]])
        return frozenset(moves), frozenset((rule, of[to]) for rule, to in automaton.calls[state])

    dirty = set(range(automaton.size))
    while dirty:
        by_class: dict[int, set[int]] = defaultdict(set)
        for state in dirty:
            by_class[of[state]].add(state)
        splits = [
            (number, _leaving(members[number], states, signature))
            for number, states in by_class.items()
        ]
        dirty = set()
        for number, leaving in splits:
            for part in leaving:
                members[number] -= part
                for state in part:
                    of[state] = len(members)
                    dirty |= before[state]
                members.append(part)
    return _quotient(automaton, of)


def _before(automaton: RuleAutomaton) -> list[set[int]]:
    """By state: its predecessors."""
    before: list[set[int]] = [set() for _ in automaton.final]
    for state in range(automaton.size):
        for _, _, target in automaton.moves[state]:
            before[target].add(state)
        for _, target in automaton.calls[state]:
            before[target].add(state)
    return before


def _leaving(
    members: set[int], dirty: set[int], signature: Callable[[int], object]
) -> list[set[int]]:
    """The parts that leave a class: all but the largest. States that are not dirty are one part."""
    parts: dict[object, set[int]] = defaultdict(set)
    for state in dirty:
        parts[signature(state)].add(state)
    if len(dirty) < len(members):
        clean = signature(next(state for state in members if state not in dirty))
        staying = parts.pop(clean, set())
        size = len(staying) + len(members) - len(dirty)
        if all(len(part) <= size for part in parts.values()):
            return list(parts.values())
        parts[clean] = staying | (members - dirty)
    return sorted(parts.values(), key=len)[:-1]


def _quotient(automaton: RuleAutomaton, of: list[int]) -> RuleAutomaton:
    """The automaton with one state for each class that the start reaches."""
    number = {of[0]: 0}
    order = [0]
    moves: list[tuple[Move, ...]] = []
    calls: list[tuple[CallEdge, ...]] = []

    def known(state: int) -> int:
        if of[state] not in number:
            number[of[state]] = len(order)
            order.append(state)
        return number[of[state]]

    for state in order:
        found = sorted({(low, high, known(to)) for low, high, to in automaton.moves[state]})
        moves.append(_joined(found))
        calls.append(tuple(sorted({(rule, known(to)) for rule, to in automaton.calls[state]})))
    final = tuple(automaton.final[state] for state in order)
    return RuleAutomaton(tuple(moves), tuple(calls), final, automaton.nullable)
