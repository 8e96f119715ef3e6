r"""Compiles assertions of a regex (`^`, `$`, `\b`, look-arounds) into expressions without them.

The pattern is read from its end, with the language of everything that follows up to the end of the
text. In that language a look-ahead is an intersection, and `$` leaves the empty string. What `^`
and `\b` need to know of the text before them is one of three contexts (`Rest`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from decoding.errors import GrammarUnsupportedError
from decoding.grammar.regular import codepoints, operations
from decoding.grammar.regular.expressions import (
    ANY_STRING,
    EMPTY_STRING,
    NOTHING,
    Expression,
)

MOST_COPIES = 16
"""A part that contains an assertion is repeated at most so often."""

_NOT_WORD = codepoints.complement(codepoints.WORD)


@dataclass(frozen=True, slots=True)
class Start:
    """The beginning of the text."""


@dataclass(frozen=True, slots=True)
class End:
    """The end of the text."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """A position between a word character and another one, or not, if `negative`."""

    negative: bool


@dataclass(frozen=True, slots=True)
class Look:
    """A look-around: the body matches, or does not, ahead of this position or behind it."""

    body: Node
    ahead: bool
    negative: bool
    offset: int


@dataclass(frozen=True, slots=True)
class Joined:
    """A sequence in which an assertion occurs."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Options in which an assertion occurs."""

    options: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    """A repetition in whose body an assertion occurs."""

    body: Node
    minimum: int
    maximum: int | None
    offset: int


Asserting: TypeAlias = Start | End | Boundary | Look | Joined | Either | Repeated
Node: TypeAlias = Expression | Asserting

_ASSERTIONS = (Start, End, Boundary, Look, Joined, Either, Repeated)


class Rest(NamedTuple):
    """The language of the rest of the text, by what precedes the position."""

    start: Expression
    after_word: Expression
    after_other: Expression


def joined(parts: list[Node]) -> Node:
    """Return the sequence of the parts; a plain expression where no part asserts anything."""
    plain = [part for part in parts if not isinstance(part, _ASSERTIONS)]
    if len(plain) == len(parts):
        return operations.sequence(plain)
    return parts[0] if len(parts) == 1 else Joined(tuple(parts))


def either(options: list[Node]) -> Node:
    """Return the union of the options; a plain expression where no option asserts anything."""
    plain = [option for option in options if not isinstance(option, _ASSERTIONS)]
    if len(plain) == len(options):
        return operations.choice(plain)
    return options[0] if len(options) == 1 else Either(tuple(options))


def repeated(body: Node, minimum: int, maximum: int | None, offset: int) -> Node:
    """Return a repetition of the body."""
    if isinstance(body, _ASSERTIONS):
        return Repeated(body, minimum, maximum, offset)
    return operations.repeat(body, minimum, maximum)


def resolve_full(pattern: Node) -> Expression:
    """Return the assertion-free expression of the texts that the pattern matches as a whole.

    Raises `GrammarUnsupportedError` where assertions cannot be taken apart.
    """
    if not isinstance(pattern, _ASSERTIONS):
        return pattern
    return _resolve(_behind(pattern, searching=False), _same(EMPTY_STRING)).start


def resolve_search(pattern: Node) -> Expression:
    """Return the texts in which the pattern matches anywhere; raises as `resolve_full`."""
    if not isinstance(pattern, _ASSERTIONS):
        return operations.after_anything(operations.before_anything(pattern))
    rest = _resolve(_behind(pattern, searching=True), _same(ANY_STRING))
    if rest.start == rest.after_word == rest.after_other:
        return operations.after_anything(rest.start)
    return _after(ANY_STRING, rest).start


def _same(rest: Expression) -> Rest:
    return Rest(rest, rest, rest)


def _map(rest: Rest, function: Callable[[Expression], Expression]) -> Rest:
    if rest.start is rest.after_word is rest.after_other:
        return _same(function(rest.start))
    return Rest(*map(function, rest))


def _united(rests: Iterable[Rest]) -> Rest:
    found = list(rests)
    if all(rest.start is rest.after_word is rest.after_other for rest in found):
        return _same(operations.choice([rest.start for rest in found]))
    return Rest(*(operations.choice(options) for options in zip(*found, strict=True)))


def _after(part: Expression, rest: Rest) -> Rest:
    """Return the concatenation of a part without assertions and the rest, by context."""
    if rest.start == rest.after_word == rest.after_other:
        if rest.start == ANY_STRING:
            return _same(operations.before_anything(part))
        return _same(operations.sequence((part, rest.start)))
    if rest.after_word == rest.after_other:
        nonempty = operations.ending_in(part, codepoints.EVERY)
        moved = [operations.sequence((nonempty, rest.after_word))]
    else:
        moved = [
            operations.sequence((operations.ending_in(part, ranges), following))
            for ranges, following in (
                (codepoints.WORD, rest.after_word),
                (_NOT_WORD, rest.after_other),
            )
        ]
    if not operations.nullable(part):
        return _same(operations.choice(moved))
    return Rest(*(operations.choice((*moved, here)) for here in rest))


def _boundary(node: Boundary, rest: Rest) -> Rest:
    def word_next(following: Expression) -> Expression:
        return operations.beginning_in(following, codepoints.WORD)

    def other_next(following: Expression) -> Expression:
        found = operations.beginning_in(following, _NOT_WORD)
        return operations.choice((EMPTY_STRING, found)) if operations.nullable(following) else found

    outside, inside = (other_next, word_next) if node.negative else (word_next, other_next)
    return Rest(outside(rest.start), inside(rest.after_word), outside(rest.after_other))


def _look_ahead(node: Look, rest: Rest) -> Rest:
    seen = _resolve(node.body, _same(ANY_STRING))
    if node.negative:
        seen = _map(seen, operations.negation)
    if all(len(set(found)) == 1 for found in (seen, rest)):
        return _same(operations.both((seen.start, rest.start)))
    return Rest(*(operations.both(pair) for pair in zip(seen, rest, strict=True)))


def _unsupported(node: Look | Repeated, reason: str) -> GrammarUnsupportedError:
    name = "a look-around"
    if isinstance(node, Look):
        name = "a look-ahead" if node.ahead else "a look-behind"
    return GrammarUnsupportedError(f"offset {node.offset}", name, reason)


def _resolve_repeated(node: Repeated, rest: Rest) -> Rest:
    if node.maximum is None or node.maximum > MOST_COPIES:
        raise _unsupported(node, "it stands in a group that is repeated without a small bound")
    following = rest
    for copy in range(node.maximum, 0, -1):
        following = _resolve(node.body, following)
        if copy > node.minimum:
            following = _united((following, rest))
    return following


def _resolve(node: Node, rest: Rest) -> Rest:
    """Return the concatenation of a node and the rest, by context.

    The parser bounds the nesting, so recursion is harmless here.
    """
    match node:
        case Start():
            return Rest(rest.start, NOTHING, NOTHING)
        case End():
            return _map(rest, lambda r: EMPTY_STRING if operations.nullable(r) else NOTHING)
        case Boundary():
            return _boundary(node, rest)
        case Look():
            if not node.ahead:
                raise _unsupported(node, "the text before it is not known")
            return _look_ahead(node, rest)
        case Joined(parts):
            for part in reversed(parts):
                rest = _resolve(part, rest)
            return rest
        case Either(options):
            return _united([_resolve(option, rest) for option in options])
        case Repeated():
            return _resolve_repeated(node, rest)
        case _:
            return _after(node, rest)


def _behind(node: Node, *, searching: bool) -> Node:
    """Return a pattern without those look-behinds before which only plain parts of it stand."""
    if isinstance(node, Either):
        return Either(tuple(_behind(option, searching=searching) for option in node.options))
    parts = node.parts if isinstance(node, Joined) else (node,)
    for index, part in enumerate(parts):
        if isinstance(part, Look) and not part.ahead:
            if _looks_forward(Joined(parts[:index])) or isinstance(part.body, _ASSERTIONS):
                raise _unsupported(part, "there are other assertions in it or before it")
            resolve = resolve_before if searching else resolve_full
            seen = operations.sequence((ANY_STRING, part.body))
            if part.negative:
                seen = operations.negation(seen)
            before = operations.both((resolve(joined(list(parts[:index]))), seen))
            rest = joined([Start(), before, *parts[index + 1 :]])
            return _behind(rest, searching=searching)
    return node


def resolve_before(pattern: Node) -> Expression:
    """Return the texts at whose end the pattern matches."""
    return _after(ANY_STRING, _resolve(pattern, _same(EMPTY_STRING))).start


def _looks_forward(node: Node) -> bool:
    """Whether a pattern's match depends on the text behind it."""
    match node:
        case Joined(parts) | Either(options=parts):
            return any(_looks_forward(part) for part in parts)
        case Repeated(body=body):
            return _looks_forward(body)
        case End() | Boundary() | Look():
            return True
        case _:
            return False
