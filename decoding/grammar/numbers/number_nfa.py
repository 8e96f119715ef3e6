"""Builds a byte automaton of JSON texts, though not all, of the numbers in given ranges."""

from __future__ import annotations

from fractions import Fraction
from math import prod

from decoding.errors import GrammarLimitError
from decoding.grammar.numbers.digits import Decimals, decimals, digits_of, digits_of_integer, scan
from decoding.grammar.numbers.ranges import (
    EXACT_INTEGERS,
    NumberRange,
    is_member,
    number_of_float,
    within,
)
from decoding.grammar.regular import operations
from decoding.grammar.regular.build import encoder
from decoding.grammar.regular.expressions import Expression, Sequence, Words
from decoding.grammar.regular.nfa import Nfa, Spelling
from decoding.grammar.regular.nfa_builder import Builder, Point, united
from decoding.grammar.regular.regex import parse_full
from decoding.grammar.regular.work import remembered

DIGITS = 15
"""Decimal numbers of so many digits are different numbers in binary64."""
MAX_EXPONENT = 99
_LARGEST = Fraction(179769313486231) * 10**294
_LEAST_EXPONENT = -307
"""The ends of binary64, nearly, for bounds between which all numbers have longer exponents."""
_LONGEST = 400
"""Digits of a single number with a fraction that is spelled without an exponent."""

_FEW_REMAINDERS = 32

MAX_INTEGER_RANGES = 5_000
MAX_REAL_RANGES = 1_000
"""Ranges of more than one number whose automata are built: four seconds of work for each kind."""

_ANY = parse_full(r"(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?")
_ANY_INTEGER = parse_full(r"(0|[1-9][0-9]*)(\.0{1,15})?([eE]\+?[0-9]{1,2})?")
_ZEROS = parse_full(r"(\.0{1,15})?")
_ZERO = parse_full(r"0(\.0{1,15})?")
_MORE_ZEROS = parse_full("0{0,15}")
_MANTISSA = parse_full(r"[1-9](\.[0-9]{1,14})?")
_MINUS = Words(("-",))
_PLUS = parse_full(r"\+?")
_E = parse_full("[eE]")
_ZERO_DIGIT = ord("0")


@remembered(2048)
def number_nfa(ranges: tuple[NumberRange, ...]) -> Nfa:
    r"""Return a byte automaton of JSON texts, though not all, of the numbers in the ranges.

    Every text it accepts has an exact value in one of the ranges; not every text of a member is
    accepted. Without bounds and steps these are all numbers with an exponent of at most two digits,
    and of the integers those that have no fraction but zeros and no negative exponent. Within
    bounds: integers in plain form, also with a fraction of zeros, or one digit with an exponent;
    other numbers of at most 15 digits in plain form, or in scientific form with one digit, which is
    not zero, before the point. With so few digits, the binary64 number that a parser makes of the
    text is within the bounds too. Multiples of a step are in plain form only. A range of one number
    is spelled in plain form, with zeros at the end, or as Python writes the float. There are at
    most 15 trailing zeros, so that a model that repeats them comes to an end.

    Raises:
        GrammarLimitError: for steps with more than 5,000 remainders, or for too many ranges.
    """
    pieces = _pieces(ranges)
    _check_count(pieces)
    builder = Builder(encoder(Spelling.TEXT))
    following = Point(accepting=True)
    points: list[Point] = []
    single: set[Fraction] = set()
    for piece in pieces:
        if piece.low is not None and piece.low == piece.high:
            single.add(piece.low)
            continue
        for minus, low, low_open, high, high_open in _sides(piece):
            bounds = Decimals(low, high, low_open, high_open)
            points += [
                builder.run(_MINUS, point) if minus else point
                for point in _magnitudes(builder, following, piece, bounds)
            ]
    if single:
        points.append(builder.run(_singles(single), following))
    return builder.finish(united(points))


def _check_count(pieces: list[NumberRange]) -> None:
    """Raise `GrammarLimitError` for more ranges than automata are built for."""
    wide = [piece for piece in pieces if piece.low is None or piece.low != piece.high]
    whole = sum(piece.step is not None and piece.step.denominator == 1 for piece in wide)
    if whole > MAX_INTEGER_RANGES:
        raise GrammarLimitError("", "separate ranges of integers in a number", MAX_INTEGER_RANGES)
    if len(wide) - whole > MAX_REAL_RANGES:
        raise GrammarLimitError("", "separate ranges of fractions in a number", MAX_REAL_RANGES)


def _step(step: Fraction) -> Fraction:
    """Return the step whose multiples are the decimal multiples of this one."""
    rest = step.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return step * rest


def _pieces(ranges: tuple[NumberRange, ...]) -> list[NumberRange]:
    """Return ranges of decimal numbers without excluded numbers, none of them plainly empty."""
    found: list[NumberRange] = []
    for whole in ranges:
        steps = tuple(_step(step) for step in whole.not_steps)
        step = None if whole.step is None else _step(whole.step)
        low, low_open = whole.low, whole.low_open
        cuts = sorted(v for v in whole.excluded if within(whole, v))
        for cut in (*cuts, None):
            high = whole.high if cut is None else cut
            high_open = whole.high_open if cut is None else True
            piece = NumberRange(low, high, low_open, high_open, step, steps)
            found.append(piece)
            low, low_open = cut, True
    return [piece for piece in map(_tidy, found) if piece is not None]


def _tidy(piece: NumberRange) -> NumberRange | None:
    """Return a range with bounds of few digits, or None if it is empty."""
    low, high, low_open, high_open = piece.low, piece.high, piece.low_open, piece.high_open
    if low is not None and low == high:
        return piece if is_member(piece, low) and decimals(low) is not None else None
    if piece.step is not None:
        if low is not None:
            low = _on_grid(low, piece.step, up=True, strict=low_open)
        if high is not None:
            high = _on_grid(high, piece.step, up=False, strict=high_open)
        low_open = high_open = False
    else:
        if low is not None:
            low, low_open = _fewer_digits(low, up=True, strict=low_open)
        if high is not None:
            high, high_open = _fewer_digits(high, up=False, strict=high_open)
    if low is not None and high is not None:
        if low > high or (low == high and (low_open or high_open)):
            return None
        if low == high:
            return _tidy(NumberRange(low, high, step=piece.step, not_steps=piece.not_steps))
    return NumberRange(low, high, low_open, high_open, piece.step, piece.not_steps)


def _on_grid(value: Fraction, step: Fraction, *, up: bool, strict: bool) -> Fraction:
    """Return the nearest multiple of a step above or below a bound."""
    count = -(-value // step) if up else value // step
    found = count * step
    if strict and found == value:
        found += step if up else -step
    return found


def _fewer_digits(value: Fraction, *, up: bool, strict: bool) -> tuple[Fraction, bool]:
    """Return an equivalent bound of at most 15 digits, for exact numbers and for floats."""
    if value == 0:
        return value, strict
    unit = Fraction(10) ** (_exponent_of(abs(value)) - DIGITS + 1)
    if value % unit == 0:
        return value, strict or _is_read_beyond(value, up=up)
    found = _on_grid(value, unit, up=up, strict=False)
    if strict and float(found) == float(value):
        found += unit if up else -unit
    return found, False


def _is_read_beyond(value: Fraction, *, up: bool) -> bool:
    """Whether a large bound is read, as a float, as a number on the bound's other side."""
    near = _float(value) if abs(value) >= EXACT_INTEGERS else None
    return near is not None and (near < value if up else near > value)


def _exponent_of(value: Fraction) -> int:
    """Return the exponent of a positive number in scientific form."""
    exponent = len(digits_of_integer(value.numerator)) - len(digits_of_integer(value.denominator))
    return exponent if value >= Fraction(10) ** exponent else exponent - 1


def _sides(piece: NumberRange) -> list[tuple[bool, Fraction, bool, Fraction | None, bool]]:
    """Return the bounds of the magnitudes: (minus, low, low_open, high, high_open)."""
    zero = Fraction(0)
    low, high = piece.low, piece.high
    found: list[tuple[bool, Fraction, bool, Fraction | None, bool]] = []
    if high is None or high > 0 or (high == 0 and not piece.high_open):
        positive = low is not None and low >= 0
        least = low if positive and low is not None else zero
        found.append((False, least, positive and piece.low_open, high, piece.high_open))
    if low is None or low < 0 or (low == 0 and not piece.low_open):
        negative = high is not None and high <= 0
        least = -high if negative and high is not None else zero
        most = None if low is None else -low
        found.append((True, least, negative and piece.high_open, most, piece.low_open))
    return found


def _magnitudes(
    builder: Builder, following: Point, piece: NumberRange, bounds: Decimals
) -> list[Point]:
    """Return the points before the magnitudes on one side of zero."""
    step = piece.step
    if bounds.high == 0:
        return [] if piece.not_steps else [builder.run(_ZERO, following)]
    free = bounds.high is None and bounds.low == 0 and not bounds.low_open
    if step is None and not piece.not_steps:
        if free:
            return [builder.run(_ANY, following)]
        return _reals(builder, following, bounds)
    if step == 1 and not piece.not_steps and free:
        return [builder.run(_ANY_INTEGER, following)]
    steps = tuple((each, False) for each in piece.not_steps)
    whole = step is not None and step.denominator == 1
    if step is not None and step != 1:
        steps = ((step, True), *steps)
    if not whole:
        spec = Decimals(bounds.low, bounds.high, bounds.low_open, bounds.high_open, steps, DIGITS)
        return [builder.embed(scan(spec), 1, 1, following)]
    zeros = builder.run(_ZEROS, following)
    points = [
        builder.embed(scan(spec), 1, 1, zeros if has_zeros else following)
        for spec, has_zeros in _integers(bounds, steps)
    ]
    if not steps:
        points.append(builder.run(_round_integers(bounds.low, bounds.high), following))
    return points


def _integers(
    bounds: Decimals, steps: tuple[tuple[Fraction, bool], ...]
) -> list[tuple[Decimals, bool]]:
    """Return the digits of integers; and whether zeros may follow them, where floats are exact."""
    low, high, limit = bounds.low, bounds.high, Fraction(10**DIGITS)
    if low < limit and (high < limit if high is not None else not steps):
        return [(Decimals(low, high, steps=steps, has_fraction=False), True)]
    many = prod(step.numerator for step, _ in steps) > _FEW_REMAINDERS
    if low >= limit or (many and high is None):
        return [(Decimals(low, high, steps=steps, has_fraction=False), False)]
    return [
        (Decimals(low, limit - 1, steps=steps, has_fraction=False), True),
        (Decimals(limit, high, steps=steps, has_fraction=False), False),
    ]


def _reals(builder: Builder, following: Point, bounds: Decimals) -> list[Point]:
    low, high = bounds.low, bounds.high
    plain_high = None if high is not None and high >= 10**DIGITS else high
    points: list[Point] = []
    if low < 10**DIGITS:
        spec = Decimals(low, plain_high, bounds.low_open, bounds.high_open, (), DIGITS)
        points.append(builder.embed(scan(spec), 1, 1, following))
    free: list[int] = []
    first, last = -MAX_EXPONENT, MAX_EXPONENT
    if low and _exponent_of(low) >= MAX_EXPONENT:
        high = _LARGEST if high is None else min(high, _LARGEST)
        last = _exponent_of(high)
    if high is not None and _exponent_of(high) <= -MAX_EXPONENT:
        first = _LEAST_EXPONENT
    first = max(first, _exponent_of(low)) if low else first
    last = last if high is None else min(last, _exponent_of(high))
    for exponent in range(first, last + 1):
        if (not low or exponent > first) and (high is None or exponent < last):
            free.append(exponent)
            continue
        unit = Fraction(10) ** exponent
        if 10 * unit <= low or (high is not None and high < unit):
            continue
        if (
            low <= unit
            and (high is None or 10 * unit <= high)
            and not (low == unit and bounds.low_open)
        ):
            free.append(exponent)
            continue
        spec = Decimals(
            low / unit if low >= unit else Fraction(1),
            high / unit if high is not None and high < 10 * unit else None,
            low >= unit and bounds.low_open,
            bounds.high_open,
            (),
            DIGITS,
            mantissa=True,
        )
        after = builder.run(_exponent(exponent, exponent), following)
        points.append(builder.embed(scan(spec), 1, 1, after))
    if free:
        points.append(builder.run(Sequence((_MANTISSA, _exponent(free[0], free[-1]))), following))
    return points


def _digit(low: int, high: int) -> Expression:
    return operations.one_of(((_ZERO_DIGIT + low, _ZERO_DIGIT + high),))


def _counts(low: int, high: int) -> Expression:
    """Return the integers from `low` to `high`, of at most three digits, as text."""
    options: list[Expression] = []
    if high > MAX_EXPONENT:
        options.append(Words(tuple(map(str, range(max(low, MAX_EXPONENT + 1), high + 1)))))
        high = MAX_EXPONENT
        if low > high:
            return options[0]
    if low <= 9:
        options.append(_digit(low, min(high, 9)))
    full = range(-(-low // 10), (high + 1) // 10)  # the tens of which every number is meant
    for tens in {low // 10, high // 10}.difference(full):
        units = _digit(max(low - 10 * tens, 0), min(high - 10 * tens, 9))
        options.append(Sequence((_digit(tens, tens), units)))
    if full:
        options.append(Sequence((_digit(full[0], full[-1]), _digit(0, 9))))
    return operations.choice(options)


@remembered(1024)
def _exponent(low: int, high: int) -> Expression:
    """Return the exponents from `low` to `high`, with the letter E."""
    options: list[Expression] = []
    if high >= 0:
        options.append(Sequence((_PLUS, _counts(max(low, 0), high))))
    if low <= 0:
        options.append(Sequence((_MINUS, _counts(max(-high, 0), -low))))
    return Sequence((_E, operations.choice(options)))


def _round_integers(low: Fraction, high: Fraction | None) -> Expression:
    """Return the integers within bounds that are one digit with an exponent."""
    exponents_by_digits: dict[tuple[int, int], list[int]] = {}
    last_exponent = MAX_EXPONENT if high is None else min(MAX_EXPONENT, len(str(int(high))) - 1)
    least, most = int(low), None if high is None else int(high)
    for exponent in range(max(len(str(least)) - 1, 0), last_exponent + 1):
        unit = 10**exponent
        first = max(1, -(-least // unit))
        last = 9 if most is None else min(9, most // unit)
        # Of a text with an exponent, readers make a float.
        while first <= last and float(first * unit) < least:
            first += 1
        while first <= last and most is not None and float(last * unit) > most:
            last -= 1
        if first <= last:
            exponents_by_digits.setdefault((first, last), []).append(exponent)
    # The exponents of the same digits follow one another.
    return operations.choice(
        Sequence((_digit(*digits), _ZEROS, _E, _PLUS, _counts(exponents[0], exponents[-1])))
        for digits, exponents in exponents_by_digits.items()
    )


def _singles(values: set[Fraction]) -> Expression:
    """Return the texts of some single numbers."""
    exact: set[str] = set()
    whole: set[str] = set()
    broken: set[str] = set()
    for value in values:
        text = _plain_text(value)
        if value.denominator == 1:
            signed = {text, "-0"} if value == 0 else {text}
            (whole if _float(value) == value else exact).update(signed)
        elif text:
            broken.add(text)
        exact.update(_as_python(value))
    options: list[Expression] = []
    for words, ending in ((whole, _ZEROS), (broken, _MORE_ZEROS), (exact, None)):
        if words:
            spelled = Words(tuple(sorted(words)))
            options.append(spelled if ending is None else Sequence((spelled, ending)))
    return operations.choice(options)


def shortest_of_one(value: Fraction) -> int | None:
    """Return the length of the shortest text of a single number, without its sign.

    `None` if it has no text.
    """
    if decimals(value) is None:
        return None
    texts = (_plain_text(value), *_as_python(value))
    return min((len(text.removeprefix("-")) for text in texts if text), default=None)


def _plain_text(value: Fraction) -> str:
    """Return the text of a number without an exponent; `""` for a fraction of many digits."""
    before, after = digits_of(abs(value))
    if after and len(before) + len(after) > _LONGEST:
        return ""
    return f"{'-' * (value < 0)}{before}{'.' * bool(after)}{after}"


def _float(value: Fraction) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def _as_python(value: Fraction) -> set[str]:
    """Return Python's text of the float of this value, if that has an exponent."""
    near = _float(value)
    text = repr(near)
    return {text} if near is not None and "e" in text and number_of_float(near) == value else set()
