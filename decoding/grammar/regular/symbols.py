"""Divides characters into classes that expressions tell apart, an automaton's alphabet.

An alphabet divides the characters into the fewest classes that some expressions can tell apart;
its symbols are the indices of the classes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable

from decoding.errors import GrammarLimitError
from decoding.grammar.regular import codepoints, operations
from decoding.grammar.regular.codepoints import EVERY, Ranges
from decoding.grammar.regular.expressions import (
    Both,
    Characters,
    Expression,
    Not,
    Recognized,
    Words,
)
from decoding.grammar.regular.nfa import Nfa
from decoding.grammar.regular.spelling import EXIT, Spelled
from decoding.grammar.regular.word_tree import WordTree, word_tree

MAX_LOGIC = 64


class Alphabet:
    """A partition of all characters into classes.

    classes: the sets of characters; a symbol is an index of this list.
    """

    def __init__(self, sets: Iterable[Ranges]) -> None:
        self.classes = codepoints.partition(sets)
        pairs = sorted(
            (low, high, index) for index, ranges in enumerate(self.classes) for low, high in ranges
        )
        self._starts = [low for low, _, _ in pairs]
        self._ends = [high for _, high, _ in pairs]
        self._indices = [index for _, _, index in pairs]

    def symbol(self, code_point: int) -> int:
        """Return the class of a character, or -1 for a surrogate."""
        position = bisect_right(self._starts, code_point) - 1
        return self._indices[position] if code_point <= self._ends[position] else -1

    def symbols(self, ranges: Ranges) -> list[int]:
        """Return the classes of which a set is the union, sorted."""
        if ranges == EVERY:
            return list(range(len(self.classes)))
        found: set[int] = set()
        for low, high in ranges:
            first = bisect_right(self._starts, low) - 1
            last = bisect_right(self._starts, high)
            found.update(self._indices[first:last])
        return sorted(found)


def alphabet_of(expressions: Iterable[Expression]) -> Alphabet:
    """Return the alphabet that some expressions need."""
    sets: set[Ranges] = set()
    letters: set[str] = set()
    for node in operations.nodes(expressions):
        if isinstance(node, Characters):
            sets.add(node.ranges)
        elif isinstance(node, Words):
            letters.update(*node.words)
        elif isinstance(node, Recognized):
            sets.update(node.classes)
    singles = (((ord(c), ord(c)),) for c in letters if not "\ud800" <= c <= "\udfff")
    return Alphabet((*sets, *singles))


class Symbols:
    """The `nfa_builder.Encoder` of an alphabet of character classes."""

    universal = ()

    def __init__(
        self, alphabet: Alphabet, decide: Callable[[Both | Not | Recognized, Symbols], Nfa]
    ) -> None:
        self.alphabet = alphabet
        self.decide = decide

    def characters(self, ranges: Ranges) -> Spelled:
        """Return the classes of a set as intervals of symbols."""
        intervals = codepoints.union((s, s) for s in self.alphabet.symbols(ranges))
        return (tuple((low, high, EXIT) for low, high in intervals),)

    def word_tree(self, words: tuple[str, ...]) -> WordTree:
        """Return the words as symbols."""
        symbol = self.alphabet.symbol
        table = {c: symbol(c) for c in {ord(c) for word in words for c in word}}
        spelled = [
            word.translate(table) for word in words if -1 not in map(table.get, map(ord, word))
        ]
        return word_tree(spelled)

    def logic(self, expression: Both | Not | Recognized) -> Nfa:
        """Return the automaton of an expression with logic."""
        return self.decide(expression, self)


def check_logic(expression: Expression) -> None:
    """Raise `GrammarLimitError` unless `Both` and `Not` nest at most `MAX_LOGIC` deep."""

    def depth(node: Expression, below: list[int]) -> int:
        return max(below, default=0) + isinstance(node, Both | Not)

    if operations.fold(expression, depth) > MAX_LOGIC:
        raise GrammarLimitError("", "levels of nested intersections and complements", MAX_LOGIC)
