r"""Compiles patterns with assertions anywhere in them into deterministic automata, by derivatives.

A pattern is matched from the beginning of the text by derivatives (Brzozowski 1964). What is left
to match is a *thread*: a list of nodes, one behind the other. A look-ahead must hold together with
what follows it. So the condition on the rest of the text is a Boolean formula over threads: a
disjunction of conjunctions of threads and of negated formulas. A look-behind is a set of threads
that start anew at every position; it holds where one of them has just ended. There are finitely
many formulas, and they are the states of an automaton.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from decoding.errors import GrammarLimitError, GrammarUnsupportedError
from decoding.grammar.regular import codepoints, operations
from decoding.grammar.regular.assertions import (
    Boundary,
    Either,
    End,
    Joined,
    Look,
    Node,
    Repeated,
    Start,
    resolve_full,
    resolve_search,
)
from decoding.grammar.regular.codepoints import Ranges
from decoding.grammar.regular.expressions import (
    ANY_STRING,
    NOTHING,
    Characters,
    Choice,
    Expression,
    Recognized,
    Repeat,
    Sequence,
    Words,
)
from decoding.grammar.regular.symbols import Alphabet
from decoding.grammar.regular.work import count
from decoding.grammar.regular.worklist import Limit, explore

MAX_STATES = 3_000
_OPENED, _COMPARED = 8, 16
"""Pairs of formulas' parts that take as long as a thread, and pairs that are a step of work."""

MAX_DEPTH = 150
"""Parts of a pattern that are looked at before a character is read."""

Thread: TypeAlias = "tuple[Node | str, Thread] | None"
"""A node and the thread behind it; `None` is the end of the pattern."""
Literal: TypeAlias = "tuple[bool, object]"
"""Whether it is negated, and a thread that reads a character next, or a formula."""
Formula: TypeAlias = "frozenset[frozenset[Literal]]"
_State: TypeAlias = "tuple[Formula, tuple[frozenset[Thread], ...], bool, bool]"
"""The formula, the threads of look-behinds, whether the last character is a word character, and
whether nothing has been read."""

TRUE: Formula = frozenset((frozenset(),))
FALSE: Formula = frozenset()
_AT_END = (False, "end")
_END = frozenset((frozenset((_AT_END,)),))
_REST = "rest"
"""A node that matches any rest of the text."""


def full_language(pattern: Node) -> Expression:
    """The texts that a pattern matches as a whole; derivatives are the fallback of `assertions`."""
    try:
        return resolve_full(pattern)
    except GrammarUnsupportedError:
        return recognized(pattern, searching=False)


def search_language(pattern: Node) -> Expression:
    """The texts in which a pattern matches anywhere; see `full_language`."""
    try:
        return resolve_search(pattern)
    except GrammarUnsupportedError:
        return recognized(pattern, searching=True)


def recognized(pattern: Node, *, searching: bool) -> Expression:
    """The texts that a pattern matches as a whole, or anywhere in them.

    Raises `GrammarLimitError` if the automaton has too many states.
    """
    return _Recognizer(pattern, searching=searching).expression()


@dataclass(frozen=True, slots=True)
class _Here:
    """The text before a position, as far as assertions depend on it.

    word: whether a word character is the last one. behind: for each look-behind, whether it holds.
    """

    start: bool
    word: bool
    behind: tuple[bool, ...]


@dataclass
class _Recognizer:
    pattern: Node
    searching: bool = field(kw_only=True)
    pairs: int = 0
    depth: int = 0

    @cached_property
    def looks(self) -> list[Look]:
        """The look-behinds of the pattern, those inside others first."""
        return list(dict.fromkeys(_behinds(self.pattern)))

    @cached_property
    def alphabet(self) -> Alphabet:
        """The characters that the pattern tells apart."""
        return Alphabet((*_sets(self.pattern), codepoints.WORD))

    def expression(self) -> Expression:
        """The language of the pattern."""
        classes = self.alphabet.classes
        words = [codepoints.intersection(ranges, codepoints.WORD) == ranges for ranges in classes]
        thread: Thread = (self.pattern, (_REST, None) if self.searching else None)
        if self.searching:
            thread = (ANY_STRING, thread)
        first = _Here(start=True, word=False, behind=())
        behind, here = self._behind([frozenset() for _ in self.looks], first)
        start: _State = (self._open(thread, here), behind, False, True)

        def moves(state: _State) -> Iterator[tuple[int, _State]]:
            for symbol, word in enumerate(words):
                yield symbol, self._after(state, symbol, word=word)

        states, rows = explore([start], moves, Limit("states of a pattern", MAX_STATES))
        accepting = tuple(_ends(formula) for formula, *_ in states)
        if not any(accepting):
            return NOTHING
        targets = tuple(tuple(target for _, target in row) for row in rows)
        return Recognized(tuple(classes), targets, accepting)

    def _after(self, state: _State, symbol: int, *, word: bool) -> _State:
        """The state after one more character."""
        formula, behind, *_ = state
        moved = [
            frozenset(rest for thread in threads for rest in self._read(thread, symbol))
            for threads in behind
        ]
        known, here = self._behind(moved, _Here(start=False, word=word, behind=()))
        return self._derived(formula, symbol, here), known, word, False

    def _behind(
        self, moved: list[frozenset[Thread]], here: _Here
    ) -> tuple[tuple[frozenset[Thread], ...], _Here]:
        """The threads of the look-behinds at a position, and which of these hold there."""
        known: list[frozenset[Thread]] = []
        holds: tuple[bool, ...] = ()
        for look, threads in zip(self.looks, moved, strict=True):
            here = _Here(here.start, here.word, holds)
            opened: Formula = FALSE
            self._count(_OPENED * len(threads))
            for thread in (*threads, (look.body, None)):
                opened = self._or(opened, self._open(thread, here))
            reading = [item for option in opened for _, item in option if item != "end"]
            known.append(frozenset(reading))  # type: ignore[arg-type]  # they are threads
            holds = (*holds, (_ends(opened) != look.negative))
        return tuple(known), _Here(here.start, here.word, holds)

    def _read(self, thread: Thread, symbol: int) -> Iterator[Thread]:
        """The rest of a thread that reads a character, if it reads this one."""
        if thread is not None:
            node, rest = thread
            if isinstance(node, Characters) and symbol in self._symbols(node.ranges):
                yield rest

    def _symbols(self, ranges: Ranges) -> frozenset[int]:
        known = self._known_symbols.get(ranges)
        if known is None:
            known = self._known_symbols[ranges] = frozenset(self.alphabet.symbols(ranges))
        return known

    @cached_property
    def _known_symbols(self) -> dict[Ranges, frozenset[int]]:
        return {}

    def _derived(self, formula: Formula, symbol: int, here: _Here) -> Formula:
        """The derivative of a formula by a character."""
        found: Formula = FALSE
        for option in formula:
            both: Formula = TRUE
            for negative, item in option:
                if isinstance(item, frozenset):
                    one = self._derived(item, symbol, here)
                elif item == "end":
                    one = FALSE
                else:
                    one = FALSE
                    for rest in self._read(item, symbol):  # type: ignore[arg-type]  # a thread
                        one = self._or(one, self._open(rest, here))
                both = self._and(both, _not(one) if negative else one)
                if both == FALSE:
                    break
            found = self._or(found, both)
        return found

    def _open(self, thread: Thread, here: _Here, seen: frozenset[Thread] = frozenset()) -> Formula:
        """A thread as a formula over threads that each read a character next."""
        self._count(_OPENED)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise GrammarLimitError("", "parts in a row that may read nothing", MAX_DEPTH)
        found = self._opened(thread, here, seen)
        self.depth -= 1
        return found

    def _opened(  # noqa: C901, PLR0912 -- a case for each kind of node
        self, thread: Thread, here: _Here, seen: frozenset[Thread]
    ) -> Formula:
        if thread is None:
            return _END
        node, rest = thread
        match node:
            case str():
                return TRUE
            case Characters():
                return frozenset((frozenset(((False, thread),)),))
            case Start():
                return self._open(rest, here, seen) if here.start else FALSE
            case End():
                return self._and(_END, self._open(rest, here, seen))
            case Boundary():
                ahead: Formula = frozenset((frozenset(((False, _WORD_NEXT),)),))
                holds = _not(ahead) if here.word != node.negative else ahead
                return self._and(holds, self._open(rest, here, seen))
            case Look(ahead=True):
                seen_ahead = self._open((node.body, (_REST, None)), here)
                holds = _not(seen_ahead) if node.negative else seen_ahead
                return FALSE if holds == FALSE else self._and(holds, self._open(rest, here, seen))
            case Look():
                return (
                    self._open(rest, here, seen) if here.behind[self.looks.index(node)] else FALSE
                )
            case Joined(parts) | Sequence(parts):
                for part in reversed(parts):
                    rest = (part, rest)
                return self._open(rest, here, seen)
            case Either(options) | Choice(options):
                return self._either(options, rest, here, seen)
            case Words(words):
                return self._either(map(_letters, words), rest, here, seen)
            case Repeated() | Repeat():
                return self._repeated(node, rest, here, seen)
        raise TypeError(node)

    def _count(self, pairs: int) -> None:
        """Count pairs of parts that are compared, and what takes as long, as steps of work."""
        steps, self.pairs = divmod(self.pairs + pairs, _COMPARED)
        if steps:
            count(steps)

    def _or(self, one: Formula, other: Formula) -> Formula:
        if not one or not other or one == TRUE:
            return one or other
        if other == TRUE:
            return TRUE
        options = one | other
        self._count(len(options))
        if len({len(option) for option in options}) == 1:
            return options
        self._count(len(options) ** 2)
        # A conjunction that contains another one is absorbed by it.
        return frozenset(a for a in options if not any(b < a for b in options))

    def _and(self, one: Formula, other: Formula) -> Formula:
        if TRUE in (one, other):
            return other if one == TRUE else one
        self._count(len(one) * len(other))
        found: Formula = frozenset(
            option for option in (a | b for a in one for b in other)
            if not any((not negative, item) in option for negative, item in option)
        )  # fmt: skip
        if len({len(option) for option in found}) < 2:
            return found
        self._count(len(found) ** 2)
        return frozenset(a for a in found if not any(b < a for b in found))

    def _either(
        self, options: Iterable[Node], rest: Thread, here: _Here, seen: frozenset[Thread]
    ) -> Formula:
        found: Formula = FALSE
        for option in options:
            found = self._or(found, self._open((option, rest), here, seen))
        return found

    def _repeated(
        self, node: Repeated | Repeat, rest: Thread, here: _Here, seen: frozenset[Thread]
    ) -> Formula:
        if node.maximum == 0:
            return self._open(rest, here, seen)
        thread: Thread = (node, rest)
        if thread in seen:
            return FALSE  # an iteration that reads nothing leads to nothing new
        fewer = None if node.maximum is None else node.maximum - 1
        least = max(node.minimum - 1, 0)
        left: Node = (
            Repeat(node.body, least, fewer)
            if isinstance(node, Repeat)
            else Repeated(node.body, least, fewer, node.offset)
        )
        if node.maximum is None and not node.minimum:
            seen = seen | {thread}
        once = self._open((node.body, (left, rest)), here, seen)
        return once if node.minimum else self._or(self._open(rest, here, seen), once)


_WORD_NEXT: Thread = (Characters(codepoints.WORD), (_REST, None))


def _letters(word: str) -> Node:
    return Sequence(tuple(operations.one_of(((ord(c), ord(c)),)) for c in word))


def _not(formula: Formula) -> Formula:
    if formula in (TRUE, FALSE):
        return FALSE if formula == TRUE else TRUE
    if len(formula) == 1:
        (option,) = formula
        if len(option) == 1:
            ((negative, item),) = option
            if negative and isinstance(item, frozenset):
                return item
            return frozenset((frozenset(((not negative, item),)),))
    return frozenset((frozenset(((True, formula),)),))


def _ends(formula: Formula) -> bool:
    """Whether a formula holds at the end of a text."""
    return any(
        all(
            (_ends(item) if isinstance(item, frozenset) else item == "end") != negative
            for negative, item in option
        )
        for option in formula
    )


def _inside(node: Node) -> tuple[Node, ...]:
    match node:
        case Joined(parts):
            return parts
        case Either(options):
            return options
        case Repeated(body=body) | Look(body=body):
            return (body,)
        case Start() | End() | Boundary():
            return ()
    return operations.children(node)


def _behinds(node: Node) -> Iterator[Look]:
    """The look-behinds in a node, inner ones before outer ones."""
    for part in _inside(node):
        yield from _behinds(part)
    if isinstance(node, Look) and not node.ahead:
        yield node


def _sets(node: Node) -> Iterator[Ranges]:
    """The sets of characters in a node."""
    stack = [node]
    while stack:
        one = stack.pop()
        if isinstance(one, Characters):
            yield one.ranges
        elif isinstance(one, Words):
            yield from (((ord(c), ord(c)),) for c in set("".join(one.words)))
        stack.extend(_inside(one))
