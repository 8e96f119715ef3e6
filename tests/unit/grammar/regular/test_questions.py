"""Questions about languages, against all short strings; hostile expressions end."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from counted_work import at_most_calls
from profiles import spread

from decoding.errors import GrammarLimitError
from decoding.grammar.regular.build import build
from decoding.grammar.regular.expressions import (
    ANY_CHARACTER,
    ANY_STRING,
    NOTHING,
    Both,
    Characters,
    Choice,
    Expression,
    Not,
    Repeat,
    Sequence,
    Words,
)
from decoding.grammar.regular.nfa import Spelling
from decoding.grammar.regular.questions import (
    accepts,
    is_disjoint,
    is_empty,
    is_subset,
    lengths,
    members,
)
from decoding.grammar.regular.regex import parse_full, parse_search

LETTERS = "abc"
TEXTS = ["".join(t) for size in range(6) for t in itertools.product(LETTERS, repeat=size)]
INSIDE = Repeat(Characters(((97, 99),)), 0, 5)

LANGUAGES: list[Expression] = [
    *(
        parse_full(p)
        for p in ("a*", "[ab]{1,3}", "(ab|c)+", "a(bc)?", "", "(a|b)*a(a|b)", "c{2,}b")
    ),
    *(parse_search(p) for p in ("b", "^a|c$", "^(?!a)", r"\bab\b")),
    Words(("", "a", "abc", "ca")),
    Words(("bb", "x")),
    NOTHING,
    Not(Words(("a", "b"))),
    Both((parse_full("[ab]*"), Not(parse_full(".*bb.*")))),
    Sequence((Words(("a", "ab")), Both((parse_full("b*"), parse_full("(bb)*"))))),
]


def of(expression: Expression) -> set[str]:
    return {text for text in TEXTS if accepts(expression, text)}


@pytest.mark.parametrize("number", range(len(LANGUAGES)))
def test_one_language(number: int) -> None:
    expression = LANGUAGES[number]
    found = of(expression)
    short = Both((expression, INSIDE))
    assert of(Not(expression)) == set(TEXTS) - found
    assert is_empty(short) == (not found)
    assert members(short, 400) == tuple(sorted(found))
    if found:
        assert members(short, len(found) - 1) is None
        sizes = {len(text) for text in found}
        assert lengths(short) == (min(sizes), max(sizes))
        least, most = lengths(expression)
        assert least <= min(sizes)
        assert most is None or max(sizes) <= most
    assert is_subset(short, expression)
    assert is_subset(expression, ANY_STRING)
    assert is_empty(Both((expression, Not(expression))))
    assert is_empty(Not(Choice((expression, Not(expression)))))


@pytest.mark.parametrize(
    ("one", "other"), spread(list(itertools.combinations(range(len(LANGUAGES)), 2)), 30)
)
def test_two_languages(one: int, other: int) -> None:
    left, right = Both((LANGUAGES[one], INSIDE)), Both((LANGUAGES[other], INSIDE))
    a, b = of(left), of(right)
    assert is_disjoint(left, right) == a.isdisjoint(b)
    assert is_subset(left, right) == (a <= b)
    assert is_subset(right, left) == (b <= a)
    assert is_empty(Both((left, right))) == a.isdisjoint(b)
    if is_disjoint(LANGUAGES[one], LANGUAGES[other]):
        assert a.isdisjoint(b)


@pytest.mark.slow
def test_formulas_of_languages() -> None:
    rng = random.Random(5)
    every = set(TEXTS)
    formulas = [(language, of(language)) for language in LANGUAGES]
    for _ in range(30):
        kind, count = rng.choice((Both, Choice, Not)), rng.randint(2, 4)
        chosen = rng.sample(formulas, count)
        expressions, texts = zip(*chosen, strict=True)
        if kind is Not:
            formulas.append((Not(expressions[0]), every - texts[0]))
        elif kind is Both:
            formulas.append((Both(expressions), set.intersection(*texts)))
        else:
            formulas.append((Choice(expressions), set.union(*texts)))
        formula, found = formulas[-1]
        short = Both((formula, INSIDE))
        assert members(short, 400) == tuple(sorted(found)), formula
        assert is_empty(short) == (not found)
        assert is_empty(Both((Not(formula), INSIDE))) == (found == every)


def test_a_character_that_no_expression_names_is_one_too() -> None:
    assert accepts(Not(Words(("a",))), "\N{GRINNING FACE}")
    assert not accepts(ANY_STRING, "\ud800")
    assert not is_subset(ANY_STRING, parse_full(r"[\0-\uffff]*"))
    assert is_subset(ANY_STRING, parse_full(r"[\0-\uffff\u{10000}-\u{10ffff}]*"))
    assert members(Characters(((0xD7FE, 0xD7FF), (0xE000, 0xE000))), 3) == (
        "\ud7fe",
        "\ud7ff",
        "\ue000",
    )


def test_lengths_without_and_with_a_bound() -> None:
    assert lengths(parse_full("a{2,5}b?")) == (2, 6)
    assert lengths(parse_full("a+")) == (1, None)
    assert lengths(Repeat(ANY_CHARACTER, 0, 20_000)) == (0, 20_000)
    assert lengths(Both((parse_full("a{2,}"), parse_full(".{0,7}")))) == (2, 7)
    assert lengths(Both((parse_full("(aa)*"), parse_full(".{3,7}")))) == (4, 6)
    assert members(parse_full("a+"), 10) is None
    assert members(ANY_CHARACTER, 1_000) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "pattern",
    [
        "(a|b)*a(a|b){200}",
        "((((a*)*)*)*)*",
        "(a?){5000}",
        "(((a{100}){100}){100}){100}",
        "(" * 80 + "a|b" + ")*c|d" * 80,
        "[a-z]{0,20000}",
        "^(?!(a|b)*a(a|b){30}$)[ab]*$",
    ],
)
def test_hostile_patterns_end(pattern: str) -> None:
    ended: Any = None
    with at_most_calls(5_000_000):
        try:
            ended = build(parse_search(pattern), Spelling.JSON)
        except GrammarLimitError as error:
            ended = error
    # Either outcome is right.
    assert ended.limit >= 50_000 if isinstance(ended, GrammarLimitError) else ended.states


@pytest.mark.slow
def test_intersections_of_what_has_no_small_deterministic_form() -> None:
    hostile = parse_full("(a|b)*a(a|b){60}")
    assert not is_disjoint(hostile, parse_full("[ab]{61,70}"))
    assert is_disjoint(hostile, parse_full("[ab]{0,60}"))
    nfa = build(Both((hostile, parse_full("[ab]{61}"))), Spelling.TEXT)
    assert nfa.states == 62


def test_negations_in_one_another_are_counted() -> None:
    expression: Expression = Words(("a",))
    for _ in range(60):
        expression = Not(expression)
    assert accepts(expression, "a")
    for _ in range(10):
        expression = Not(expression)
    with pytest.raises(GrammarLimitError):
        build(expression, Spelling.TEXT)
