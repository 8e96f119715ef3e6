"""Regular expressions over Unicode strings: a syntax tree of immutable, hashable nodes.

An expression denotes a set of strings, whatever bytes they are spelled in
(`decoding.grammar.regular.nfa`). Expressions are compared and hashed by structure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

MAX_CODE_POINT = 0x10FFFF


class _Hashed:
    """Keeps the hash of an expression, which is a key of many tables and has many parts."""

    __slots__ = ("_hash",)
    _hash: int

    def __hash__(self) -> int:
        try:
            known = self._hash
        except AttributeError:
            known = hash((type(self), *[getattr(self, name) for name in self.__slots__]))
            object.__setattr__(self, "_hash", known)
        return known


@dataclass(frozen=True, slots=True)
class Characters(_Hashed):
    """One character out of a set: inclusive ranges of code points, sorted, disjoint, not adjacent.

    Surrogates (U+D800 to U+DFFF) are in no set.
    """

    ranges: tuple[tuple[int, int], ...]

    __hash__ = _Hashed.__hash__


@dataclass(frozen=True, slots=True)
class Words(_Hashed):
    """The language of finitely many words, sorted and distinct."""

    words: tuple[str, ...]

    __hash__ = _Hashed.__hash__


@dataclass(frozen=True, slots=True)
class Sequence(_Hashed):
    """The parts one after the other; no part at all is the empty string."""

    parts: tuple[Expression, ...]

    __hash__ = _Hashed.__hash__


@dataclass(frozen=True, slots=True)
class Choice(_Hashed):
    """Any of the options; no option at all is the empty language."""

    options: tuple[Expression, ...]

    __hash__ = _Hashed.__hash__


@dataclass(frozen=True, slots=True)
class Repeat(_Hashed):
    """The body `minimum` to `maximum` times; `None` is no bound."""

    body: Expression
    minimum: int
    maximum: int | None

    __hash__ = _Hashed.__hash__


@dataclass(frozen=True, slots=True)
class Both(_Hashed):
    """The strings that are in every part."""

    parts: tuple[Expression, ...]

    __hash__ = _Hashed.__hash__


@dataclass(frozen=True, slots=True)
class Not(_Hashed):
    """The strings that are not in the body."""

    body: Expression

    __hash__ = _Hashed.__hash__


@dataclass(frozen=True, slots=True)
class Recognized(_Hashed):
    """The strings that a deterministic automaton over character classes accepts; at least one.

    classes: a partition of all characters.
    rows: by state, the next state for each class; state 0 is the start. accepting: by state.
    """

    classes: tuple[tuple[tuple[int, int], ...], ...]
    rows: tuple[tuple[int, ...], ...]
    accepting: tuple[bool, ...]

    __hash__ = _Hashed.__hash__


Expression: TypeAlias = Characters | Words | Sequence | Choice | Repeat | Both | Not | Recognized

ANY_CHARACTER = Characters(((0, 0xD7FF), (0xE000, MAX_CODE_POINT)))
ANY_STRING = Repeat(ANY_CHARACTER, 0, None)
EMPTY_STRING = Sequence(())
NOTHING = Choice(())


def length_bounds(expression: Expression) -> tuple[int, int | None] | None:
    """The bounds on characters of an expression that has no other condition; else `None`."""
    if isinstance(expression, Repeat) and expression.body == ANY_CHARACTER:
        return expression.minimum, expression.maximum
    return None


def least(one: int | None, other: int | None) -> int | None:
    """The smaller of two upper bounds; `None` is no bound."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def is_spelled(text: str) -> bool:
    """Whether a string has no lone surrogate, which UTF-8 cannot write.

    JSON could escape it, but few readers accept that.
    """
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
