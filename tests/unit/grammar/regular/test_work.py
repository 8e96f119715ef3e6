"""Steps of work do not depend on what is remembered; sets of lengths."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from decoding.errors import GrammarLimitError
from decoding.grammar.regular import codepoints, string_sets
from decoding.grammar.regular.counted import has_length
from decoding.grammar.regular.expressions import (
    Choice,
    Expression,
    Sequence,
    Words,
    length_bounds,
)
from decoding.grammar.regular.nfa_builder import build_over
from decoding.grammar.regular.operations import has_logic, nodes
from decoding.grammar.regular.questions import is_disjoint
from decoding.grammar.regular.regex import parse_full, parse_search
from decoding.grammar.regular.subsets import Subsets, combined, logic, symbolic
from decoding.grammar.regular.symbols import Symbols, alphabet_of
from decoding.grammar.regular.work import (
    ATTEMPT_STEPS,
    STEPS_A_SECOND,
    Work,
    attempt,
    count,
    counting,
    remembered,
)
from decoding.request_grammar import Grammar


def test_an_answer_that_is_remembered_counts_again() -> None:
    left, right = parse_search("^work(a|b)*c$"), parse_search("^work(b|c)*a$")
    taken = []
    for _ in range(2):
        work = Work()
        with counting(work):
            assert is_disjoint(left, right)
        taken.append(work.steps)
    assert taken[0] == taken[1] > 0


def test_a_compilation_counts_an_answer_once() -> None:
    @remembered(1)
    def costly(number: int, *, more: int = 0) -> int:
        count(100)
        return number + more

    work = Work()
    with counting(work):
        # More answers than are remembered for all compilations: those of this one stay.
        for number in (1, 2, 1, 2):
            assert costly(number) == number
        assert work.steps == 202
        assert costly(1, more=1) == 2
        assert work.steps == 302
    assert not work.answers


def test_the_limit_holds_whether_an_answer_is_remembered() -> None:
    @remembered(8)
    def costly(number: int) -> int:
        count(number)
        return number

    for _ in range(2):
        with counting(Work(0.001)), pytest.raises(GrammarLimitError, match="seconds of work"):
            costly(300)
        with counting(Work(0.001)):
            assert costly(100) == 100
        assert costly(300) == 300  # outside of a compilation nothing is counted


@pytest.mark.parametrize(
    "pattern",
    [
        "(?:(?<=(?:a|b){1,60})c)*",
        pytest.param("((?=(a|b|c|d){1,5}x)[a-z])*", marks=pytest.mark.slow),
        pytest.param("(?:(?!a.{9}b).)*", marks=pytest.mark.slow),
    ],
)
def test_look_arounds_count(pattern: str) -> None:
    work = Work()
    with counting(work):
        parse_full(pattern)
    assert work.steps > 1_000
    less = counting(Work(work.steps / STEPS_A_SECOND / 2))
    with less, pytest.raises(GrammarLimitError, match="seconds of work"):
        parse_full(pattern)


def test_an_export_is_bounded() -> None:
    with pytest.raises(GrammarLimitError, match="seconds of work"):
        Grammar("regex", "((?=(a|b|c|d){1,9}x)[a-z])*").to_gbnf()


def test_sets_of_numbers() -> None:
    some = codepoints.union([(5, 6), (1, 2), (3, 3), (9, 99)])
    assert some == ((1, 3), (5, 6), (9, 99))
    assert codepoints.gaps(some, 0, 99) == ((0, 0), (4, 4), (7, 8))
    assert codepoints.gaps(codepoints.gaps(some, 0, 99), 0, 99) == some
    assert codepoints.intersection(some, ((2, 5), (10, 99))) == ((2, 3), (5, 5), (10, 99))


def test_sets_of_lengths() -> None:
    some = string_sets.any_of(
        string_sets.lengths(low, high) for low, high in ((5, 6), (1, 2), (3, 3), (9, None))
    )
    assert set(options(some)) == {(1, 3), (5, 6), (9, None)}
    assert set(options(string_sets.complement(some))) == {(0, 0), (4, 4), (7, 8)}
    assert string_sets.complement(string_sets.complement(some)) == some
    met = string_sets.both(some, string_sets.any_of(map(string_sets.lengths, (2, 10), (5, None))))
    assert set(options(met)) == {(2, 3), (5, 5), (10, None)}


def options(language: Expression) -> Iterator[tuple[int, int | None]]:
    """The bounds on lengths of the options of a language."""
    assert isinstance(language, Choice)
    for option in language.options:
        bounds = length_bounds(option)
        assert bounds is not None
        yield bounds


def test_lengths_are_met_without_automata() -> None:
    even = string_sets.any_of(string_sets.lengths(2 * n, 2 * n) for n in range(500))
    odd = string_sets.any_of(string_sets.lengths(2 * n + 1, 2 * n + 1) for n in range(500))
    work = Work(0.05)
    with counting(work):
        assert string_sets.both(even, odd) == Choice(())
        assert string_sets.complement(string_sets.either(even, odd)) == string_sets.lengths(
            1000, None
        )


def test_parts_that_occur_many_times_are_visited_once() -> None:
    expression: Sequence | Words = Words(("a", "b"))
    for _ in range(60):
        expression = Sequence((expression, expression))
    assert len(list(nodes([expression]))) < 200
    assert not has_logic(expression)


def spend(steps: int) -> None:
    """Count steps without end."""
    while True:
        count(steps)


def test_the_first_of_two_ways_leaves_steps_for_the_second() -> None:
    work = Work(5.0)
    with counting(work):
        with pytest.raises(GrammarLimitError), attempt():
            spend(1_000)
        assert ATTEMPT_STEPS < work.steps < work.most / 2
        with attempt(has_other_way=False):
            count(2 * ATTEMPT_STEPS)
        assert work.steps > 3 * ATTEMPT_STEPS


def test_what_an_attempt_takes_is_never_more_than_what_is_left() -> None:
    work = Work(0.001)
    with counting(work), pytest.raises(GrammarLimitError), attempt():
        spend(1)
    assert work.steps < 1_000
    with pytest.raises(GrammarLimitError), attempt():  # also outside of a compilation
        spend(1_000)


@pytest.mark.slow
def test_automata_have_no_limit_of_work_of_their_own() -> None:
    # 16,384 sets of states, of 9 moves a symbol.
    letters = "abcdefghijklmnopqrstuvwxyz"
    body = "".join(f"{letter}|" for letter in letters)[:-1]
    expression = parse_full(f"({body})*a({body}){{13}}")
    alphabet = alphabet_of([expression, *map(parse_full, letters)])
    nfa = build_over(Symbols(alphabet, logic), expression)
    work = Work(5.0)
    with counting(work):
        found = combined([(Subsets(nfa, len(alphabet.classes)), False)])
    assert found.states == 1 << 14
    assert work.steps > 1 << 14


def test_lengths_of_strings_are_counted() -> None:
    letters = parse_full("(ab|c)*")
    nfa, _ = symbolic(letters)
    work = Work(5.0)
    with counting(work):
        assert has_length(nfa, 50_000, 50_001)
    assert work.steps > 2_000
    with counting(Work(0.001)), pytest.raises(GrammarLimitError):
        has_length(nfa, 50_000, 50_001)
