"""Random patterns against Python's own engine, on random texts, in both spellings."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from profiles import amount

from decoding.errors import GrammarLimitError, GrammarUnsupportedError
from decoding.grammar.regular.build import build
from decoding.grammar.regular.expressions import Both, Choice, Expression, Not
from decoding.grammar.regular.nfa import Nfa, Spelling
from decoding.grammar.regular.questions import (
    accepts,
    is_disjoint,
    is_empty,
    is_subset,
    lengths,
    members,
)
from decoding.grammar.regular.regex import parse_full, parse_search

LETTERS = 'ab-"/\né'
TEXTS = st.lists(st.text(LETTERS, max_size=6), min_size=8, max_size=8)
ATOMS = ["a", "b", "-", "é", '"', r"\n", ".", "[ab]", "[^a]", r"\w", r"\W", "x", "/", r"\x61"]
QUANTIFIERS = ["", "", "", "*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "{0,40}"]
# Python knows \B as never true in an empty text: a quirk, gone in its version 3.14.
ASSERTIONS = ["^", "$", r"\b"]


def sequences(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(parts, max_size=4).map("".join)


def alternatives(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(sequences(parts), min_size=1, max_size=3).map("|".join)


def quantified(atoms: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(atoms, st.sampled_from(QUANTIFIERS)).map("".join)


def grouped(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    opening = st.sampled_from(["(", "(?:"])
    return quantified(st.tuples(opening, alternatives(parts)).map(lambda g: "".join(g) + ")"))


def looking(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    opening = st.sampled_from(["(?=", "(?!"])
    return st.tuples(opening, alternatives(parts)).map(lambda g: "".join(g) + ")")


PLAIN = st.recursive(quantified(st.sampled_from(ATOMS)), grouped, max_leaves=6)
SMALL = st.recursive(
    st.tuples(st.sampled_from(ATOMS), st.sampled_from(["", "", "*", "+", "?", "{2}"])).map("".join),
    lambda parts: alternatives(parts).map("({})*".format),
    max_leaves=4,
)
ASSERTING = st.recursive(
    quantified(st.sampled_from(ATOMS)) | st.sampled_from(ASSERTIONS),
    lambda parts: grouped(parts) | looking(parts),
    max_leaves=6,
)
SETTINGS = settings(
    max_examples=amount(check=12, full=150),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def theirs(pattern: str) -> re.Pattern[str]:
    """Python's reading of a pattern of ECMA-262."""
    same = pattern.replace("$", r"\Z").replace(".", r"[^\n\r\u2028\u2029]")
    return re.compile(same, re.ASCII)


class Runner:
    """What an automaton accepts."""

    def __init__(self, nfa: Nfa) -> None:
        self.moves: dict[int, list[tuple[int, int, int]]] = {}
        for source, low, high, target in nfa.edges.tolist():
            self.moves.setdefault(source, []).append((low, high, target))
        self.starts, self.accepts = set(nfa.starts.tolist()), set(nfa.accepts.tolist())

    def __call__(self, data: bytes) -> bool:
        states = self.starts
        for byte in data:
            states = {
                t for s in states for low, high, t in self.moves.get(s, ()) if low <= byte <= high
            }
        return not states.isdisjoint(self.accepts)


def agree(expression: Expression, match: Any, texts: list[str]) -> None:
    as_text = Runner(build(expression, Spelling.TEXT))
    as_json = Runner(build(expression, Spelling.JSON))
    for text in texts:
        expected = match(text) is not None
        assert accepts(expression, text) == expected, text
        assert as_text(text.encode()) == expected, text
        assert as_json(json.dumps(text, ensure_ascii=False)[1:-1].encode()) == expected, text


@SETTINGS
@given(alternatives(PLAIN), TEXTS)
def test_whole_texts_are_those_of_python(pattern: str, texts: list[str]) -> None:
    agree(parse_full(pattern), theirs(pattern).fullmatch, texts)


@SETTINGS
@given(alternatives(ASSERTING), TEXTS)
def test_searches_find_what_python_finds(pattern: str, texts: list[str]) -> None:
    try:
        expression = parse_search(pattern)
        build(expression, Spelling.TEXT)
    except (GrammarUnsupportedError, GrammarLimitError):
        assume(False)  # a refusal is right, and says nothing more
    agree(expression, theirs(pattern).search, texts)


@settings(SETTINGS, max_examples=SETTINGS.max_examples // 2)
@given(alternatives(SMALL), alternatives(SMALL), TEXTS)
def test_the_laws_of_sets_hold(one: str, other: str, texts: list[str]) -> None:
    a, b = parse_full(one), parse_full(other)
    only_a = Both((a, Not(b)))
    assert is_disjoint(only_a, b)
    assert is_empty(Both((only_a, b)))
    assert is_subset(a, b) == is_empty(only_a)
    assert is_disjoint(a, b) == is_empty(Both((a, b)))
    assert is_subset(Not(Choice((a, b))), Not(a))
    for text in texts:
        in_a, in_b = accepts(a, text), accepts(b, text)
        assert accepts(only_a, text) == (in_a and not in_b)
        assert accepts(Not(Both((a, b))), text) == (not (in_a and in_b))
        least, most = lengths(a)
        assert not in_a or (least <= len(text) and (most is None or len(text) <= most))
    found = members(Both((only_a, parse_full("[ab]{0,3}"))), 20)
    assert found is None or all(accepts(a, text) and not accepts(b, text) for text in found)
