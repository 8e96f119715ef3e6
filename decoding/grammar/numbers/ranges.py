"""`NumberRange`: an exact interval of numbers with steps, excluded numbers and a spelling."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class NumberRange:
    """The numbers between two bounds that are, and are not, multiples of some steps.

    low, high: `None` is no bound; `low_open` and `high_open` exclude the bound itself.
    step: every member is a multiple of it (1: the integers); `None` is no condition.
    not_steps: no member is a multiple of any of these.
    excluded: these are no members.
    plain: True keeps the texts without a fraction and an exponent, which only integers have; False
        keeps all other texts; `None` is no condition. In draft 4 of JSON Schema 4.0 is no integer.
    """

    low: Fraction | None = None
    high: Fraction | None = None
    low_open: bool = False
    high_open: bool = False
    step: Fraction | None = None
    not_steps: tuple[Fraction, ...] = ()
    excluded: frozenset[Fraction] = frozenset()
    plain: bool | None = None


EXACT_INTEGERS = 2**53
"""Below it, every integer is a binary64 number."""


def number_of_float(value: float) -> Fraction:
    """The number that a finite float of a schema stands for.

    Below 2⁵³ it is the number that its shortest text denotes: 0.1 is one tenth. From there on it is
    the float's own value, with which readers that keep integers exact compare them.
    """
    return Fraction(str(value)) if abs(value) < EXACT_INTEGERS else Fraction(value)


ANY_NUMBER = NumberRange()
ANY_INTEGER = NumberRange(step=Fraction(1))
PLAIN_INTEGER = NumberRange(step=Fraction(1), plain=True)


def within(part: NumberRange, value: Fraction) -> bool:
    """Whether a number lies between the bounds of a range."""
    if part.low is not None and (value < part.low or (part.low_open and value == part.low)):
        return False
    return part.high is None or not (value > part.high or (part.high_open and value == part.high))


def is_member(part: NumberRange, value: Fraction) -> bool:
    """Whether a number is in a range, in some spelling."""
    if not within(part, value) or value in part.excluded:
        return False
    steps = part.not_steps
    return (part.step is None or value % part.step == 0) and all(value % step for step in steps)
