"""Errors of grammars say what was expected and what came, for a reader who has not seen the code."""

from __future__ import annotations

import re

import pytest

from decoding.errors import GrammarError, GrammarLimitError
from decoding.grammar.ebnf.gbnf import parse_gbnf
from decoding.grammar.ebnf.larklike import parse_larklike
from decoding.grammar.regular.regex import parse_full


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a{3,2}", "a repetition must have minimum <= maximum, got {3,2}"),
        ("[z-a]", "a range of characters must ascend, got U+007A-U+0061"),
        ("(?~a)", "unknown kind of group '(?~a'"),
        ("a(b", "this group is not closed by )"),
        ("a(?#b", "this comment is not closed by )"),
    ],
)
def test_regexes(pattern: str, message: str) -> None:
    with pytest.raises(GrammarError, match=re.escape(message)):
        parse_full(pattern)


def test_ebnf() -> None:
    with pytest.raises(GrammarError, match=r"minimum <= maximum, got \{3,2\}"):
        parse_gbnf('root ::= "a"{3,2}', "root")
    with pytest.raises(GrammarError, match=r'to a later one, got "z".."a"'):
        parse_larklike('start: "z".."a"', "start")


def test_limits_say_that_they_are_limits() -> None:
    error = GrammarLimitError("/a", "states of something", 1_000)
    assert str(error) == "/a: more than 1,000 states of something, the limit"
