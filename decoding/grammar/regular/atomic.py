r"""Atomic groups and possessive quantifiers, expressed without the order of a search.

Both keep the first match that a search finds, and nothing else. That is a matter of the order of
alternatives, unless there is only one match at any position: a language of which no member begins
another one has that property. So `[a-z]++x` is `[a-z]+(?![a-z])x`, and `(?>a|ab)` is `a|(?!a)ab`.
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
    "it keeps the first match that a search finds, and here several may begin at one place, so"
    " which is the first depends on the order of the search; write an ordinary group (?:...) or"
    " quantifier, or look ahead for what must not follow, as in [a-z]+(?![a-z])"
)


def possessive(body: Node, minimum: int, maximum: int | None, offset: int) -> Node:
    """Return a repetition that goes on as long as it can.

    Raises `GrammarUnsupportedError` where several matches of the body may begin at one place.
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
    """Return a pattern that matches like the first matching alternative, without going back.

    is_lazy: whether a quantifier in them is lazy.
    Raises `GrammarUnsupportedError` where which match is the first depends on more than that.
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
    """Whether no member of a language begins another one."""
    if language == EMPTY_STRING:
        return True
    longer = operations.sequence((language, ANY_CHARACTER, ANY_STRING))
    return is_empty(Both((language, longer)))
