"""Worklist algorithms: the states that moves reach, each visited once in order of discovery."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from decoding.errors import GrammarLimitError
from decoding.grammar.regular.work import count

State = TypeVar("State", bound=Hashable)
Label = TypeVar("Label")


class Limit(NamedTuple):
    """A bound on the number of states: `what` names them in the error."""

    what: str
    most: int

    def check(self, count: int) -> None:
        """Raise `GrammarLimitError` if there are more than `most`."""
        if count > self.most:
            raise GrammarLimitError("", self.what, self.most)


def reachable(
    starts: Iterable[State], following: Callable[[State], Iterable[State]]
) -> Iterator[State]:
    """Yield the states that are reached from some, breadth first, each once.

    following: the next states of one; asked for after that state has been yielded.
    """
    states = list(dict.fromkeys(starts))
    known = set(states)
    for state in states:  # grows on the way
        yield state
        for target in following(state):
            if target not in known:
                known.add(target)
                states.append(target)


def explore(
    starts: Iterable[State],
    moves: Callable[[State], Iterable[tuple[Label, State]]],
    limit: Limit | None = None,
) -> tuple[list[State], list[list[tuple[Label, int]]]]:
    """Number the states that moves reach: the start states first, then in order of discovery.

    moves: the labelled moves of one state, as pairs (label, next state).

    Returns the states by number, and for each of them its moves as pairs (label, number).

    Raises:
        GrammarLimitError: there are more states than `limit` allows.
    """
    states = list(dict.fromkeys(starts))
    numbers = {state: number for number, state in enumerate(states)}
    found: list[list[tuple[Label, int]]] = []
    moved = 0
    for state in states:  # grows on the way
        row: list[tuple[Label, int]] = []
        for label, target in moves(state):
            number = numbers.setdefault(target, len(states))
            if number == len(states):
                states.append(target)
            row.append((label, number))
        found.append(row)
        moved += len(row)
        if limit is not None:
            limit.check(len(states))
    count(len(states) + moved)
    return states, found
