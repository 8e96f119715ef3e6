"""Texts of numbers against exact arithmetic."""

from __future__ import annotations

import json
import random
from fractions import Fraction

import pytest
from counted_work import at_most_calls
from nfa_oracle import runs
from profiles import spread

from decoding.errors import GrammarLimitError
from decoding.grammar.numbers.number_nfa import number_nfa
from decoding.grammar.numbers.ranges import ANY_INTEGER, ANY_NUMBER, NumberRange
from decoding.grammar.regular.nfa import Nfa
from decoding.grammar.regular.nfa_builder import trimmed

RANGES = [
    ANY_NUMBER,
    ANY_INTEGER,
    NumberRange(low=Fraction(5), high=Fraction(17), step=Fraction(1)),
    NumberRange(low=Fraction(-12), step=Fraction(1)),
    NumberRange(low=Fraction(1, 2)),
    NumberRange(low=Fraction(0), low_open=True, high=Fraction(3, 2)),
    NumberRange(low=Fraction(-5, 4), high=Fraction(10), high_open=True),
    NumberRange(step=Fraction(3)),
    NumberRange(step=Fraction(1, 4), low=Fraction(0)),
    NumberRange(step=Fraction(1), excluded=frozenset({Fraction(7)})),
    NumberRange(low=Fraction(12), high=Fraction(12)),
    NumberRange(step=Fraction(1), not_steps=(Fraction(2),)),
    NumberRange(low=Fraction(0), high=Fraction(1)),
    NumberRange(low=Fraction(-1), high=Fraction(0), high_open=True),
    NumberRange(low=Fraction(-7, 3), high=Fraction(123, 1000)),
    NumberRange(low=Fraction(3, 10**5), high=Fraction(10) ** 30),
    NumberRange(low=Fraction(-(2**63)), high=Fraction(2**63 - 1), step=Fraction(1)),
    NumberRange(low=Fraction(10), high=Fraction(99), step=Fraction(7)),
    NumberRange(not_steps=(Fraction(1, 2),)),
    NumberRange(low=Fraction(1, 10), low_open=True, excluded=frozenset({Fraction(2), Fraction(5)})),
]
TEXTS = [
    "0", "-0", "00", "01", "1", "-1", "5", "4", "17", "18", "12", "12.0", "12.00", "0.5",
    "0.49", "1.5",
    "1.50", "-1.25", "-1.26", "9.999", "10", "1e2", "5e2", "5E+2", "1.5e-7", "1e400", "0.25",
    "0.75",
    "0.3", "7", "7.0", "-12", "-13", "3", "-3", "6.0", "-", "1.", ".5", "1e", "+1", "100",
    "1.5e0", "0.0",
]  # fmt: skip


def is_member(piece: NumberRange, value: Fraction) -> bool:
    if piece.low is not None and (value < piece.low or (piece.low_open and value == piece.low)):
        return False
    if piece.high is not None and (value > piece.high or (piece.high_open and value == piece.high)):
        return False
    if piece.step is not None and value % piece.step:
        return False
    return value not in piece.excluded and all(value % step for step in piece.not_steps)


@pytest.mark.parametrize("number", spread(range(len(RANGES)), 7))
def test_every_text_is_of_a_member_and_plain_members_have_theirs(number: int) -> None:
    piece = RANGES[number]
    nfa = number_nfa((piece,))
    rng = random.Random(number)
    texts = TEXTS + [str(rng.randint(-200, 200)) for _ in range(100)]
    texts += [f"{rng.randint(-30, 30) / 8}" for _ in range(60)]
    for text in texts:
        try:
            json.loads(text)
            value = Fraction(text)
        except ValueError:
            assert not runs(nfa, text.encode()), text
            continue
        taken = runs(nfa, text.encode())
        assert not taken or is_member(piece, value), text
        plain = "e" not in text.lower() and len(text) < 8
        if plain and is_member(piece, value):
            assert taken, text


def walks(nfa: Nfa, rng: random.Random, count: int) -> set[str]:
    """Return texts that an automaton accepts."""
    moves: dict[int, list[tuple[int, int, int]]] = {}
    for source, low, high, target in nfa.edges.tolist():
        moves.setdefault(source, []).append((low, high, target))
    accepting = set(nfa.accepts.tolist())
    found = set()
    for _ in range(count):
        state, text = rng.choice(nfa.starts.tolist()), ""
        while len(text) < 60 and state in moves and not (state in accepting and rng.random() < 0.2):
            low, high, state = rng.choice(moves[state])
            text += chr(rng.randint(low, high))
        if state in accepting:
            found.add(text)
    return found


@pytest.mark.parametrize("number", range(len(RANGES)))
def test_every_text_that_is_accepted_is_of_a_member(number: int) -> None:
    piece = RANGES[number]
    texts = walks(number_nfa((piece,)), random.Random(number), 400)
    assert texts
    for text in texts:
        json.loads(text)
        assert is_member(piece, Fraction(text)), text
        near = float(text)
        if piece.low is not None and piece.step is None:
            low = float(piece.low)
            assert near > low or (near == low and not piece.low_open), text


@pytest.mark.parametrize("number", range(len(RANGES)))
def test_every_state_leads_from_a_start_to_an_end(number: int) -> None:
    nfa = number_nfa((RANGES[number],))
    assert trimmed(nfa).states == nfa.states
    assert (nfa.edges[1:, 0] >= nfa.edges[:-1, 0]).all()


def test_a_union_is_both() -> None:
    nfa = number_nfa((RANGES[2], RANGES[10], RANGES[5]))
    assert runs(nfa, b"17")
    assert runs(nfa, b"1.25")
    assert not runs(nfa, b"18")


@pytest.mark.parametrize(
    ("step", "most", "what"),
    [
        (Fraction(1), 5_000, "separate ranges of integers in a number"),
        (None, 1_000, "separate ranges of fractions in a number"),
    ],
)
def test_too_many_ranges_are_refused_before_work_begins(
    step: Fraction | None, most: int, what: str
) -> None:
    ranges = [
        NumberRange(low=Fraction(4 * n), high=Fraction(4 * n + 1), step=step)
        for n in range(most + 1)
    ]
    with pytest.raises(GrammarLimitError, match=what), at_most_calls(2_000_000):
        number_nfa(tuple(ranges))
    singles = tuple(NumberRange(low=Fraction(n), high=Fraction(n)) for n in range(most + 1))
    assert runs(number_nfa(singles), str(most).encode())  # these are words, and cost little
