r"""Compiles atomic groups and possessive quantifiers into patterns with look-aheads.

Both keep only the first match that a backtracking search finds. Which match is the first depends on
the order of the search, unless at most one match begins at any position: that holds for a language
in which no member is a prefix of another. So `[a-z]++x` is `[a-z]+(?![a-z])x`, and `(?>a|ab)` is
`a|(?!a)ab`.
"""

from __future__ import annotations

from decoding.errors import GrammarUnsupportedError
from decoding.grammar.regular import operations
from decoding.grammar.regular.assertions import Asserting, Look, Node, either, joined, repeated
from decoding.grammar.regular.escapes import where
from decoding.grammar.regular.expressions import (
    ANY_CHARACTER,
    ANY_STRING,
    EMPTY_STRING,
    Both,
    Expression,
    Repeat,
    Sequence,
)
from decoding.grammar.regular.questions import is_empty

_REASON = (
    "it keeps the first match that a backtracking search finds, and here several matches may begin"
    " at one position, so that the result depends on the order of the search; write an ordinary"
    " group (?:...) or quantifier, or a look-ahead for what must not follow: [a-z]+(?![a-z])"
)


def possessive(body: Node, minimum: int, maximum: int | None, offset: int) -> Node:
    """Return a possessive repetition: it matches as often as possible and gives nothing back.

    Raises `GrammarUnsupportedError` where several matches of the body may begin at one position.
    """
    if isinstance(body, Asserting) or not _is_unambiguous(body):
        raise GrammarUnsupportedError(where(offset), "a possessive quantifier", _REASON)
    if maximum is not None and minimum >= maximum:
        return repeated(body, minimum, maximum, offset)
    most = None if maximum is None else maximum - 1
    stopped = joined([
        repeated(body, minimum, most, offset), Look(body, ahead=True, negative=True, offset=offset)
    ])  # fmt: skip
    if maximum is None:
        return stopped
    return either([repeated(body, maximum, maximum, offset), stopped])


def atomic(options: list[Node], offset: int, *, is_lazy: bool) -> Node:
    """Return an atomic group: the match of its first alternative that matches, and no other.

    is_lazy: whether a quantifier in them is lazy.
    Raises `GrammarUnsupportedError` where the first match depends on the order of a search.
    """
    found: list[Node] = []
    earlier: list[Node] = []
    for option in options:
        if isinstance(option, Asserting):
            raise GrammarUnsupportedError(where(offset), "an atomic group", _REASON)
        found.append(joined([*earlier, _first_match(option, offset, is_lazy=is_lazy)]))
        earlier.append(Look(option, ahead=True, negative=True, offset=offset))
    return either(found)


def _first_match(option: Expression, offset: int, *, is_lazy: bool) -> Node:
    if _is_unambiguous(option):
        return option
    *first, last = option.parts if isinstance(option, Sequence) and option.parts else (option,)
    if isinstance(last, Repeat) and not is_lazy and all(map(_is_unambiguous, first)):
        return joined([*first, possessive(last.body, last.minimum, last.maximum, offset)])
    raise GrammarUnsupportedError(where(offset), "an atomic group", _REASON)


def _is_unambiguous(language: Expression) -> bool:
    """Whether no member of a language is a prefix of another one."""
    if language == EMPTY_STRING:
        return True
    longer = operations.sequence((language, ANY_CHARACTER, ANY_STRING))
    return is_empty(Both((language, longer)))
