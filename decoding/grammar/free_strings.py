r"""The automaton of all JSON strings in all their spellings, as rows of edges.

States 0 to 7 are those of `Loose`; the others read escapes: \" and its kind, \uXXXX, and a pair of
surrogate escapes, which is one character. Half a pair is no character.
"""

from __future__ import annotations

from typing import TypeAlias

Edges: TypeAlias = tuple[tuple[int, int, int], ...]
"""(lowest byte, highest byte, target)."""

(
    ESCAPE, FIRST, AFTER_D, THREE, TWO, ONE, HIGH_TWO, HIGH_ONE, LOW, LOW_U, LOW_D, LOW_C,
) = range(8, 20)  # fmt: skip

UTF8: tuple[Edges, ...] = (
    (
        (0x00, 0x7F, 0), (0xC2, 0xDF, 1), (0xE0, 0xE0, 4), (0xE1, 0xEC, 2), (0xED, 0xED, 5),
        (0xEE, 0xEF, 2), (0xF0, 0xF0, 6), (0xF1, 0xF3, 3), (0xF4, 0xF4, 7),
    ),
    ((0x80, 0xBF, 0),),
    ((0x80, 0xBF, 1),),
    ((0x80, 0xBF, 2),),
    ((0xA0, 0xBF, 1),),
    ((0x80, 0x9F, 1),),
    ((0x90, 0xBF, 2),),
    ((0x80, 0x8F, 2),),
)  # fmt: skip
"""UTF-8, without overlong forms, surrogates and what lies beyond U+10FFFF."""


def _letters(first: str, last: str, target: int) -> Edges:
    """A range of letters in either case."""
    return tuple(
        (ord(a), ord(b), target) for a, b in ((first, last), (first.lower(), last.lower()))
    )


def _digits(target: int) -> Edges:
    return ((0x30, 0x39, target), *_letters("A", "F", target))


FREE: tuple[Edges, ...] = (
    ((0x20, 0x21, 0), (0x23, 0x5B, 0), (0x5C, 0x5C, ESCAPE), (0x5D, 0x7F, 0), *UTF8[0][1:]),
    *UTF8[1:],
    (*((ord(letter), ord(letter), 0) for letter in '"\\/bfnrt'), (ord("u"), ord("u"), FIRST)),
    (
        (0x30, 0x39, THREE), *_letters("A", "C", THREE), *_letters("D", "D", AFTER_D),
        *_letters("E", "F", THREE),
    ),
    ((0x30, 0x37, TWO), (0x38, 0x39, HIGH_TWO), *_letters("A", "B", HIGH_TWO)),
    _digits(TWO),
    _digits(ONE),
    _digits(0),
    _digits(HIGH_ONE),
    _digits(LOW),
    ((ord("\\"), ord("\\"), LOW_U),),
    ((ord("u"), ord("u"), LOW_D),),
    _letters("D", "D", LOW_C),
    _letters("C", "F", TWO),
)  # fmt: skip
"""Inside the quotes of a JSON string."""
