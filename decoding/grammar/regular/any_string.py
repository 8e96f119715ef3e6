r"""`ANY_STRING`: the automaton of all JSON strings with all escapes, byte edges by state.

States 0 to 7 are those of `UniversalState`. The others read escapes: \" and its kind, \uXXXX, and
a pair of surrogate escapes, which is one character. Half a pair is no character.
"""

from __future__ import annotations

from typing import TypeAlias

from decoding.grammar.regular.nfa import Spelling
from decoding.grammar.regular.spelling import universal_nfa

Edges: TypeAlias = tuple[tuple[int, int, int], ...]
"""(lowest byte, highest byte, target)."""

(
    ESCAPE, FIRST, AFTER_D, THREE, TWO, ONE, HIGH_TWO, HIGH_ONE, LOW, LOW_U, LOW_D, LOW_C,
) = range(8, 20)  # fmt: skip


def _letters(first: str, last: str, target: int) -> Edges:
    """Edges over a range of letters in either case."""
    return tuple(
        (ord(a), ord(b), target) for a, b in ((first, last), (first.lower(), last.lower()))
    )


def _digits(target: int) -> Edges:
    return ((0x30, 0x39, target), *_letters("A", "F", target))


def _bare() -> tuple[Edges, ...]:
    """The edges of states 0 to 7, which read no escape."""
    rows = universal_nfa(Spelling.JSON).edges.tolist()
    return tuple(
        tuple((low, high, target) for source, low, high, target in rows if source == state)
        for state in range(ESCAPE)
    )


ANY_STRING: tuple[Edges, ...] = (
    *_bare(),
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
"""By state, the edges of the automaton between the quotes of a JSON string."""
