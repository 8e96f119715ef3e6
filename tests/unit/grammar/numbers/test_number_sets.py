"""Sets of numbers against what each operation means, number by number."""

from fractions import Fraction
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from decoding.grammar.numbers import number_sets
from decoding.grammar.numbers.ranges import ANY_INTEGER, ANY_NUMBER, NumberRange

POINTS = [Fraction(n, 4) for n in range(-30, 31)] + [Fraction(1, 3), Fraction(100), Fraction(-101)]
bounds = st.none() | st.sampled_from([Fraction(n, 2) for n in range(-8, 9)])
steps = st.sampled_from([Fraction(1, 2), Fraction(1), Fraction(3, 2), Fraction(2), Fraction(3)])


@st.composite
def ranges(draw: st.DrawFn) -> NumberRange:
    low, high = draw(bounds), draw(bounds)
    return NumberRange(
        low,
        high,
        draw(st.booleans()) and low is not None,
        draw(st.booleans()) and high is not None,
        draw(st.none() | steps),
        tuple(draw(st.lists(steps, max_size=2))),
        frozenset(draw(st.lists(st.sampled_from(POINTS), max_size=2))),
    )


sets = st.lists(ranges(), max_size=3).map(
    lambda parts: number_sets.union(*(number_sets.normal(part) for part in parts))
)


@given(ranges())
def test_the_normal_form_has_the_same_members(part: NumberRange) -> None:
    kept = number_sets.normal(part)
    for point in POINTS:
        assert number_sets.contains(kept, point) == number_sets.contains((part,), point)


@given(sets, sets)
def test_the_operations_are_those_of_sets(
    one: number_sets.NumberSet, two: number_sets.NumberSet
) -> None:
    both, either = number_sets.intersection(one, two), number_sets.union(one, two)
    outside = number_sets.complement(one)
    for point in POINTS:
        left, right = number_sets.contains(one, point), number_sets.contains(two, point)
        assert number_sets.contains(both, point) == (left and right)
        assert number_sets.contains(either, point) == (left or right)
        assert number_sets.contains(outside, point) != left


@given(sets)
def test_what_is_empty_is_written_so(one: number_sets.NumberSet) -> None:
    assert number_sets.intersection(one, number_sets.complement(one)) == ()
    assert all(number_sets.count((part,), 1) for part in one)


def test_few_numbers_are_counted() -> None:
    some = number_sets.union(
        (NumberRange(Fraction(1), Fraction(3), step=Fraction(1)),),
        (number_sets.exactly(Fraction(3)), number_sets.exactly(Fraction(7))),
    )
    assert number_sets.count(some, 100) == 4
    assert number_sets.count(some, 2) == 2
    assert number_sets.count((ANY_NUMBER,), 9) == number_sets.count((ANY_INTEGER,), 9) == 9


def test_multiples_of_two_steps_are_those_of_their_least_common_multiple() -> None:
    for one, two in product([1, 2, 3, 4, 6], repeat=2):
        step = number_sets.common_multiple(Fraction(one, 6), Fraction(two, 10))
        assert (step / Fraction(one, 6)).denominator == (step / Fraction(two, 10)).denominator == 1
    assert number_sets.common_multiple(Fraction(1, 2), Fraction(1, 3)) == 1
    assert number_sets.common_multiple(Fraction(3, 2), Fraction(2)) == 6


def test_numbers_that_a_step_and_its_exclusions_leave_none_of() -> None:
    halves = NumberRange(step=Fraction(1, 2), not_steps=(Fraction(1, 4),))
    assert number_sets.normal(halves) == ()
    few = NumberRange(
        Fraction(2), Fraction(4), step=Fraction(1), not_steps=(Fraction(2), Fraction(3))
    )
    assert number_sets.normal(few) == ()
