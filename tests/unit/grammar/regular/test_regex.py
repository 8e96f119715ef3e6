"""Patterns against Python's own engine, in both spellings."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from nfa_oracle import runs

from decoding.errors import GrammarError, GrammarSyntaxError, GrammarUnsupportedError
from decoding.grammar.regular.build import build
from decoding.grammar.regular.expressions import Both, Not
from decoding.grammar.regular.nfa import Spelling
from decoding.grammar.regular.questions import accepts, is_disjoint, is_empty, is_subset
from decoding.grammar.regular.regex import parse_full, parse_search

ALPHABET = 'ab"\n1é'
TEXTS = ["".join(word) for size in range(5) for word in itertools.product(ALPHABET, repeat=size)]

PATTERNS = [
    "a*", "a+b?", "(a|b)*", "[^a]", "a{2,3}", "(?:ab){1,2}", "^a$|^b$", "b+", "^[^a]$", "a$b",
    "(^|1)b",
    "^(?!a)[ab]+$", "^(?=a)..$", "a.b", r"\d", r"\w+", r"\s", "é", '"', "^$", "", "a|", "(?i)A",
    "^a|b$",
    "(a|ab)(b|1)", "a{0}", "[a-b]{2}", "a*?b", "(?P<n>a)", "^(?:a|b(?!1)).*$", r"^\w+(?<!b)$",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_search_finds_what_python_finds(pattern: str) -> None:
    # Python's $ also matches before a last line end, and its \d \w know more than ASCII.
    theirs = re.compile(pattern.replace("$", r"\Z"), re.ASCII)
    ours = parse_search(pattern)
    for text in TEXTS:
        assert accepts(ours, text) == (theirs.search(text) is not None), text


@pytest.mark.parametrize("pattern", [p for p in PATTERNS if "$" not in p and "^" not in p])
def test_a_full_match_is_pythons(pattern: str) -> None:
    theirs, ours = re.compile(pattern, re.ASCII), parse_full(pattern)
    for text in TEXTS[:800]:
        assert accepts(ours, text) == (theirs.fullmatch(text) is not None), text


@pytest.mark.parametrize("pattern", ["[^a]{1,3}", "(a|\n)*é", '"', "^(?!a).*$", "[a-z/]+"])
def test_both_spellings_mean_the_language(pattern: str) -> None:
    expression = parse_full(pattern)
    text_nfa, json_nfa = build(expression, Spelling.TEXT), build(expression, Spelling.JSON)
    for text in TEXTS[:300]:
        expected = accepts(expression, text)
        assert runs(text_nfa, text.encode()) == expected
        spelled = json.dumps(text, ensure_ascii=False)[1:-1]
        assert runs(json_nfa, spelled.encode()) == expected
    assert runs(build(parse_full("[/]"), Spelling.JSON), b"\\/")
    assert runs(build(parse_full("\\n"), Spelling.JSON), b"\\u000A")
    assert not runs(build(parse_full("a"), Spelling.JSON), b"\\u0061")


def test_questions_about_languages() -> None:
    a, words = parse_full("a+"), parse_full("[ab]+")
    assert is_subset(a, words)
    assert not is_subset(words, a)
    assert is_disjoint(a, parse_full("b+"))
    assert is_empty(Both((a, Not(words))))
    assert not is_empty(Both((words, Not(a))))
    for text in TEXTS[:200]:
        assert accepts(Not(a), text) != accepts(a, text)


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        ("(a", GrammarSyntaxError),
        ("a{3,2}", GrammarSyntaxError),
        ("[b-a]", GrammarSyntaxError),
        ("*a", GrammarSyntaxError),
        (r"(a)\1", GrammarUnsupportedError),
        ("(" * 400 + ")" * 400, GrammarError),
    ],
)
def test_what_cannot_be_used_says_where(pattern: str, error: type[GrammarError]) -> None:
    with pytest.raises(error) as caught:
        parse_full(pattern)
    assert "offset" in caught.value.where or caught.value.where == ""


def test_long_repetitions_stay_cheap() -> None:
    nfa = build(parse_full("[a-z]{0,20000}"), Spelling.JSON)
    assert nfa.states == 20_001
