r"""Splits length bounds off expressions; makes tables to count them beside an automaton.

A pattern of a hundred states and at most five hundred characters is an automaton of fifty thousand
states, or an automaton of a hundred states and a count. This module makes the second: for every
state it computes how many more characters may lead from there to an accepting state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decoding.errors import GrammarLimitError
from decoding.grammar.regular import operations
from decoding.grammar.regular.build import build
from decoding.grammar.regular.expressions import (
    ANY_STRING,
    Both,
    Characters,
    Choice,
    Expression,
    Repeat,
    Sequence,
    Words,
    least,
    length_bounds,
)
from decoding.grammar.regular.nfa import Nfa, Spelling
from decoding.grammar.regular.work import count, remembered
from decoding.kernels.grammar import paths

MAX_FIELDS = 4_000_000
"""Bounds that need a larger table are built into the automaton; several ones are refused."""
_EDGES = 64
"""Edges of an automaton that are followed per step of work, also where that is Python's."""
_FIELDS = 64
"""Fields of a table of lengths per step of work: 512 MiB are more than 10 seconds."""
_FEWEST = 24
"""A repetition of one character at least so often is counted."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The strings of a language of `minimum` to `maximum` characters; `None` is no bound."""

    language: Expression
    minimum: int
    maximum: int | None

    @property
    def bounded(self) -> bool:
        """Whether there are bounds."""
        return self.minimum > 0 or self.maximum is not None


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """Bounds on the characters of an automaton's strings, and a table of distances by state.

    between: `(states,)` bool: whether a state lies between two characters.
    table: `(states, width)` int32. With a maximum, field k of a state is the fewest characters, but
        at least k, from there to an accepting state, `paths.NEVER` if there are none; the
        width is `minimum` + 1. Without one, the only field is the most characters, −1 for no bound.
    """

    minimum: int
    maximum: int | None
    between: NDArray[np.bool_]
    table: NDArray[np.int32]

    @property
    def is_minimum_certain(self) -> bool:
        """Whether the minimum is reached from every state without passing the maximum."""
        if self.maximum is None:
            return bool((self.table < 0).all())
        passed = (self.table - np.arange(self.minimum + 1)).max()
        return bool(passed <= self.maximum - self.minimum)


def counted(expression: Expression) -> Iterator[Counted]:
    """Split an expression into languages whose union it is, each with bounds that are counted."""
    options = expression.options if isinstance(expression, Choice) else (expression,)
    plain = []
    for option in options:
        found = _split_bounds(option)
        if found.bounded:
            yield found
        else:
            plain.append(option)
    if plain or not options:
        yield Counted(operations.choice(plain), 0, None)


def _split_bounds(expression: Expression) -> Counted:
    """Split the bounds on characters off an expression, where that is possible."""
    if isinstance(expression, Both):
        minimum, maximum = 0, None
        others = []
        for part in expression.parts:
            found = _split_bounds(part)
            bounds = length_bounds(part) or (found.minimum, found.maximum)
            minimum, maximum = max(minimum, bounds[0]), least(maximum, bounds[1])
            others.append(ANY_STRING if length_bounds(part) else found.language)
        return Counted(operations.both(others), minimum, maximum)
    parts = expression.parts if isinstance(expression, Sequence) else (expression,)
    long = [index for index, part in enumerate(parts) if _is_long(part)]
    fixed = [_length(part) for part in parts if not _is_long(part)]
    if len(long) != 1 or None in fixed:
        return Counted(expression, 0, None)
    (index,) = long
    run = parts[index]
    if not isinstance(run, Repeat):
        raise TypeError(run)
    around = sum(length for length in fixed if length is not None)
    language = operations.sequence(
        (*parts[:index], operations.repeat(run.body, 0, None), *parts[index + 1 :])
    )
    maximum = None if run.maximum is None else around + run.maximum
    return Counted(language, around + run.minimum, maximum)


def _is_long(part: Expression) -> bool:
    """Whether a part is a long repetition of one character."""
    return (
        isinstance(part, Repeat)
        and isinstance(part.body, Characters)
        and max(part.minimum, part.maximum or 0) >= _FEWEST
    )


def _length(part: Expression) -> int | None:
    """Return the length that all strings of a part have, or None."""
    if isinstance(part, Characters):
        return 1
    if isinstance(part, Words):
        sizes = {len(word) for word in part.words}
        return sizes.pop() if len(sizes) == 1 else None
    if isinstance(part, Repeat) and part.minimum == part.maximum:
        body = _length(part.body)
        return None if body is None else body * part.minimum
    return None


class _Graph:
    """The edges of an automaton by source and by target, and each state's phase in a character."""

    def __init__(self, nfa: Nfa, escape: int | None) -> None:
        """escape: the byte that begins an escape, −1 for none; `None`: symbols are characters."""
        states = nfa.states
        self.nfa, self.edges = nfa, nfa.edges
        numbers = np.arange(states + 1)
        self.rows = np.searchsorted(nfa.edges[:, 0], numbers)
        order = np.argsort(nfa.edges[:, 3], kind="stable")
        self.entering = nfa.edges[order]
        self.entering_rows = np.searchsorted(self.entering[:, 3], numbers)
        self.phases = np.zeros(states, np.int8)
        self.stack = np.zeros(states, np.int64)
        if escape is not None:
            self.phases[:] = -1
            paths.find_phases(
                self.rows, self.edges, nfa.starts, escape, self.phases, self.stack
            )  # fmt: skip

    def nearest(self) -> NDArray[np.int32]:
        """Return the fewest characters from each state to an accepting state."""
        found = np.full(self.nfa.states, paths.NEVER, np.int32)
        stacks = np.zeros((2, self.nfa.states), np.int64)
        paths.find_nearest(
            self.entering_rows, self.entering, self.nfa.accepts, self.phases, found, stacks
        )
        return found

    def farthest(self) -> NDArray[np.int32]:
        """Return the most characters from each state to an accepting state, −1 for no bound."""
        found = np.zeros(self.nfa.states, np.int32)
        degrees = np.diff(self.rows)
        paths.find_farthest(
            self.entering_rows, self.entering, self.phases, degrees, found, self.stack
        )
        return found

    def beyond(self, minimum: int) -> NDArray[np.int32]:
        """Return by state, for each k ≤ `minimum`, the fewest characters ≥ k to acceptance."""
        found = np.empty((self.nfa.states, minimum + 1), np.int32)
        found[:, 0] = self.nearest()
        order = np.argsort(self.phases, kind="stable")
        paths.find_beyond(self.rows, self.edges, self.phases, order, found)
        return found


def length_range(nfa: Nfa) -> tuple[int, int | None]:
    """The least and the greatest number of characters of a string; `None` is no bound.

    nfa: over characters. (0, 0) stands for the empty language too.
    """
    if not nfa.states:
        return 0, 0
    graph = _Graph(nfa, None)
    farthest = graph.farthest()[nfa.starts]
    most = None if farthest.min() < 0 else int(farthest.max())
    return int(graph.nearest()[nfa.starts].min()), most


def has_length(nfa: Nfa, minimum: int, maximum: int | None) -> bool:
    """Whether an automaton over characters accepts a string of a length within bounds."""
    if not nfa.states:
        return False
    graph = _Graph(nfa, None)
    if maximum is None:
        farthest = graph.farthest()[nfa.starts]
        return bool(((farthest < 0) | (farthest >= minimum)).any())
    count(minimum * len(nfa.edges) // _EDGES)
    order = np.arange(nfa.states)
    beyond = np.empty((nfa.states, 2), np.int32)
    beyond[:, 1] = graph.nearest()
    for _ in range(minimum):
        beyond[:, 0] = beyond[:, 1]
        paths.find_beyond(graph.rows, graph.edges, graph.phases, order, beyond)
    return bool((beyond[nfa.starts, 1] <= maximum).any())


_ESCAPES = {Spelling.TEXT: -1, Spelling.JSON: ord("\\"), Spelling.CANONICAL: ord("\\")}


@remembered(256)
def counted_automata(
    expression: Expression, spelling: Spelling
) -> tuple[tuple[Nfa, Bounds | None], ...]:
    """Return automata over bytes whose union is the expression, each with its bounds or None."""
    found = []
    fields = 0
    for part in counted(expression):
        nfa = build(part.language, spelling)
        bounds = _bounds(nfa, part, spelling) if part.bounded and nfa.states else None
        fields += 0 if bounds is None else bounds.table.size
        if fields > MAX_FIELDS:
            raise GrammarLimitError("", "counts of characters", MAX_FIELDS)
        if part.bounded and nfa.states and bounds is None:
            length = Repeat(ANY_STRING.body, part.minimum, part.maximum)
            nfa = build(Both((part.language, length)), spelling)
        elif bounds is not None and not bounds.minimum and bounds.maximum is None:
            bounds = None
        found.append((nfa, bounds))
    return tuple(found)


def length_bound(nfa: Nfa, maximum: int) -> Bounds | None:
    """Return the bounds of at most `maximum` ASCII bytes; None if no string is longer anyway."""
    bounds = _bounds(nfa, Counted(ANY_STRING, 0, maximum), Spelling.TEXT)
    return None if bounds is None or bounds.maximum is None else bounds


def _bounds(nfa: Nfa, part: Counted, spelling: Spelling) -> Bounds | None:
    """Return the bounds of an automaton but those that always hold; None for too large a table."""
    graph = _Graph(nfa, _ESCAPES[spelling])
    nearest, farthest = graph.nearest(), graph.farthest()
    most = farthest[nfa.starts]
    minimum = 0 if nearest[nfa.starts].min() >= part.minimum else part.minimum
    maximum = part.maximum
    if maximum is not None and most.min() >= 0 and most.max() <= maximum:
        maximum = None
    if nfa.states * (1 if maximum is None else minimum + 1) > MAX_FIELDS:
        return None
    count(nfa.states * (1 if maximum is None else minimum + 1) // _FIELDS)
    table = farthest[:, None] if maximum is None else graph.beyond(minimum)
    return Bounds(minimum, maximum, graph.phases == paths.BETWEEN, table)
