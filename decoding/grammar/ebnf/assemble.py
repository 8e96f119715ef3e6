"""Lays out the automata of all rules in the arrays that the Earley kernel reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.ebnf.call_graph import components
from decoding.grammar.ebnf.rule_automata import CallEdge, Move, RuleAutomaton
from decoding.grammar.regular.worklist import reachable
from decoding.kernels.grammar.earley_arrays import TOP, Network

_ENDS_WITH_IT = -1


def assembled(automata: Mapping[int, RuleAutomaton], start: int, symbols: int) -> Network:
    """The network of the automata of some rules, which call each other by the mapping's keys."""
    rules = {key: number for number, key in enumerate(automata)}
    # State 0 calls the start rule; state 1 follows it and accepts.
    moves: list[list[Move]] = [[], []]
    calls: list[list[CallEdge]] = [[(rules[start], TOP + 1)], []]
    final = [automata[start].nullable, True]
    entry: list[int] = []
    for automaton in automata.values():
        first = len(final)
        entry.append(first)
        final += automaton.final
        moves += [
            [(low, high, first + target) for low, high, target in edges]
            for edges in automaton.moves
        ]
        calls += [
            [(rules[rule], _target(automaton, target, first)) for rule, target in edges]
            for edges in automaton.calls
        ]
    column_of = _columns(moves, symbols)
    edges = [[(column_of[a], column_of[b], to) for a, b, to in sorted(state)] for state in moves]
    move_at, move_fields = _rows(edges, 3)
    call_at, call_fields = _rows(calls, 2)
    groups = components([[rule for rule, _ in calls[state]] for state in entry])
    heirs = _heirs(calls, entry, groups)
    heir_at, heir_fields = _rows([[(heir,) for heir in found] for found in heirs], 1)
    group_at, group_fields = _rows([[(rule,) for rule in group] for group in groups], 1)
    group_of, member_of = np.zeros(len(entry), np.int64), np.zeros(len(entry), np.int64)
    for number, group in enumerate(groups):
        group_of[group] = number
        member_of[group] = np.arange(len(group))
    return Network(
        column_of=column_of,
        move_at=move_at,
        move_first=move_fields[0],
        move_last=move_fields[1],
        move_target=move_fields[2],
        call_at=call_at,
        call_rule=call_fields[0],
        call_return=call_fields[1],
        final=np.array(final, np.int64),
        entry=np.array(entry, np.int64),
        group_of=group_of,
        member_of=member_of,
        group_at=group_at,
        group_rules=group_fields[0],
        heir_at=heir_at,
        heir_of=heir_fields[0],
    )


def _target(automaton: RuleAutomaton, target: int, first: int) -> int:
    """The state after a call, or `_ENDS_WITH_IT` where the calling rule ends with the call."""
    nothing_left = not automaton.moves[target] and not automaton.calls[target]
    return _ENDS_WITH_IT if nothing_left and automaton.final[target] else first + target


def _columns(moves: Sequence[Sequence[Move]], symbols: int) -> NDArray[np.int64]:
    """Number the classes of neighbouring symbols that no transition separates."""
    begins = np.zeros(symbols + 1, np.int64)
    for edges in moves:
        for low, high, _ in edges:
            begins[low] = begins[high + 1] = 1
    begins[0] = 0
    return np.cumsum(begins[:symbols])


def _rows(
    rows: Sequence[Sequence[tuple[int, ...]]], fields: int
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Rows of tuples in one array per field, and the index at which each row begins."""
    begins = np.zeros(len(rows) + 1, np.int64)
    begins[1:] = np.cumsum([len(row) for row in rows])
    flat = np.array([entry for row in rows for entry in row], np.int64).reshape(-1, fields)
    return begins, [np.ascontiguousarray(flat[:, field]) for field in range(fields)]


def _heirs(
    calls: Sequence[Sequence[CallEdge]], entry: Sequence[int], groups: Sequence[Sequence[int]]
) -> list[list[int]]:
    """By rule: the rules of its component that can begin and end with one call of it."""
    heirs: list[list[int]] = [[] for _ in entry]
    for group in groups:
        callers: dict[int, list[int]] = {rule: [] for rule in group}
        for rule in group:
            for called, back in calls[entry[rule]]:
                if called in callers and back == _ENDS_WITH_IT:
                    callers[called].append(rule)
        for rule in group:
            heirs[rule] = list(reachable([rule], callers.__getitem__))[1:]
    return heirs
