"""Sets of JSON scalars, with exact set operations, and the sets that single keywords allow."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from itertools import accumulate
from math import inf
from operator import itemgetter, or_
from typing import Any, TypeAlias

from decoding.bounded_repr import shown
from decoding.errors import (
    GrammarError,
    GrammarLimitError,
    GrammarSyntaxError,
    GrammarUnsupportedError,
)
from decoding.grammar.numbers import number_sets
from decoding.grammar.numbers.digits import MAX_DIGITS
from decoding.grammar.numbers.number_sets import ALL_NUMBERS, NO_NUMBERS, NumberSet
from decoding.grammar.numbers.ranges import (
    ANY_INTEGER,
    PLAIN_INTEGER,
    NumberRange,
    number_of_float,
)
from decoding.grammar.regular import string_sets
from decoding.grammar.regular.expressions import ANY_STRING, NOTHING, Expression
from decoding.grammar.regular.formats import format_expression, left_out, possible_expression
from decoding.grammar.regular.regex import parse_search
from decoding.grammar.regular.work import count as count_work
from decoding.grammar.schema.keyword_types import is_finite
from decoding.grammar.schema.locations import Location
from decoding.grammar.schema.report import PATTERN_STEPS, Remark, Report
from decoding.typing import Anything

NULL, BOOLEAN, STRING, NUMBER, ARRAY, OBJECT = (1 << index for index in range(6))
EVERY_TYPE = 63
_TYPES = {
    "null": NULL,
    "boolean": BOOLEAN,
    "string": STRING,
    "number": NUMBER,
    "integer": NUMBER,
    "array": ARRAY,
    "object": OBJECT,
}
_TYPES_OF_VALUES = {
    type(None): NULL,
    bool: BOOLEAN,
    str: STRING,
    int: NUMBER,
    float: NUMBER,
    list: ARRAY,
    dict: OBJECT,
}
MOST_COUNTED = 1 << 30
"""Characters, items and keys are counted up to this."""
_TOO_LARGE = 10**MAX_DIGITS
_FEW_PAIRS = 256  # pairs of number ranges that are intersected without looking for overlaps
_FEW_PARTS = 16  # number ranges that are complemented one by one
_POINT_STEPS = 5
"""Steps of work that a number of an enumeration costs until its automaton is made."""
_PAIR_STEPS = 5  # cost of intersecting two number ranges, in steps of work
NUMERIC = ("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_TEXTUAL = frozenset(("minLength", "maxLength", "pattern", "format"))


@dataclass(frozen=True, slots=True)
class Scalars:
    """A set of scalars: null, booleans, strings and numbers.

    strings: the strings that are members for certain. possible: all strings that may be members,
        where readers differ on some; else `None`.
    """

    null: bool
    true: bool
    false: bool
    strings: Expression
    numbers: NumberSet
    possible: Expression | None = None


ALL_SCALARS = Scalars(null=True, true=True, false=True, strings=ANY_STRING, numbers=ALL_NUMBERS)
NO_SCALARS = Scalars(null=False, true=False, false=False, strings=NOTHING, numbers=NO_NUMBERS)


Count: TypeAlias = Callable[[int], None]
"""Takes the steps of work that an operation is about to do; raises where they are too many."""


def uncounted(_: int) -> None:
    """A `Count` that ignores the steps of work, so that no limit applies."""


def meet(left: Scalars, right: Scalars, count: Count = uncounted) -> Scalars:
    """The scalars in both sets."""
    if left is ALL_SCALARS or right is NO_SCALARS:
        return right
    if right is ALL_SCALARS or left is NO_SCALARS or left is right:
        return left
    return Scalars(
        left.null and right.null,
        left.true and right.true,
        left.false and right.false,
        string_sets.both(left.strings, right.strings),
        common_numbers(left.numbers, right.numbers, count),
        _of_possible(string_sets.both, left, right),
    )


def common_numbers(left: NumberSet, right: NumberSet, count: Count) -> NumberSet:
    """The numbers in both sets. Of many ranges, only those that overlap are intersected."""
    divisions = (_most_steps(left) + _most_steps(right)) ** 2
    if len(left) * len(right) <= _FEW_PAIRS or ALL_NUMBERS in (left, right) or left == right:
        count(divisions * len(left) * len(right))
        return number_sets.intersection(left, right)
    count(len(left) + len(right))
    ordered = sorted(enumerate(right), key=lambda pair: _lowest(pair[1]))
    lows = [_lowest(part) for _, part in ordered]
    highs = list(accumulate((_highest(part) for _, part in ordered), max))
    found: list[NumberSet] = []
    for part in left:
        first = bisect_left(highs, _lowest(part))
        behind = bisect_right(lows, _highest(part))
        count((_PAIR_STEPS + divisions) * max(behind - first, 0))
        found += [
            number_sets.intersection((part,), (other,))
            for _, other in sorted(ordered[first:behind], key=itemgetter(0))
        ]
    return number_sets.union(*found)


def _most_steps(numbers: NumberSet) -> int:
    """Steps of which a range has no multiple, each of which is divided by all others."""
    return max((len(part.not_steps) for part in numbers), default=0)


def _lowest(part: NumberRange) -> Fraction | float:
    return -inf if part.low is None else part.low


def _highest(part: NumberRange) -> Fraction | float:
    return inf if part.high is None else part.high


def _other_numbers(numbers: NumberSet, count: Count) -> NumberSet:
    """The numbers outside of a set. Many ranges are complemented in halves."""
    if len(numbers) <= _FEW_PARTS:
        return number_sets.complement(numbers)
    half = len(numbers) // 2
    left, right = (_other_numbers(some, count) for some in (numbers[:half], numbers[half:]))
    return common_numbers(left, right, count)


def join(left: Scalars, right: Scalars) -> Scalars:
    """The scalars in either set."""
    if left is NO_SCALARS or right is ALL_SCALARS or left is right:
        return right
    if right is NO_SCALARS or left is ALL_SCALARS:
        return left
    return Scalars(
        left.null or right.null,
        left.true or right.true,
        left.false or right.false,
        string_sets.either(left.strings, right.strings),
        number_sets.union(left.numbers, right.numbers),
        _of_possible(string_sets.either, left, right),
    )


def _of_possible(
    combined: Callable[[Expression, Expression], Expression], left: Scalars, right: Scalars
) -> Expression | None:
    if left.possible is None and right.possible is None:
        return None
    return combined(possible_strings(left), possible_strings(right))


def possible_strings(scalars: Scalars) -> Expression:
    """All strings that may be members."""
    return scalars.strings if scalars.possible is None else scalars.possible


def invert(scalars: Scalars, count: Count = uncounted) -> Scalars:
    """The scalars outside of the set."""
    if scalars is ALL_SCALARS:
        return NO_SCALARS
    if scalars is NO_SCALARS:
        return ALL_SCALARS
    return Scalars(
        not scalars.null,
        not scalars.true,
        not scalars.false,
        string_sets.complement(possible_strings(scalars)),
        _other_numbers(scalars.numbers, count),
        None if scalars.possible is None else string_sets.complement(scalars.strings),
    )


def are_empty(scalars: Scalars) -> bool:
    """Whether it is certain that the set has no member."""
    return scalars is NO_SCALARS or (
        not (scalars.null or scalars.true or scalars.false or scalars.numbers)
        and string_sets.is_empty(possible_strings(scalars))
    )


def types_of(location: Location) -> int:
    """The JSON types that `type`, `enum` and `const` of a schema allow, as a bit set."""
    if location.types >= 0:
        return location.types
    declared = location.schema.get("type")
    types = EVERY_TYPE if declared is None else 0
    for name in [declared] if isinstance(declared, str) else declared or ():
        types |= _TYPES[name]
    for keyword in ("enum", "const"):
        if keyword in location.schema:
            values = location.schema[keyword]
            types &= reduce(or_, map(type_of, values if keyword == "enum" else [values]), 0)
    location.types = types
    return types


def type_of(value: object) -> int:
    """The JSON type of one value, as a bit."""
    known = _TYPES_OF_VALUES.get(type(value))
    if known is None and isinstance(value, Mapping):
        return OBJECT
    return known or (NUMBER if is_number(value) else EVERY_TYPE)


def plain_scalars(location: Location, report: Report) -> Scalars:
    """The scalars that satisfy all keywords of a schema, except those that combine schemas."""
    schema = location.schema
    types_of(location)  # checks what it reads
    result = _of_types(location)
    for keyword in ("enum", "const"):
        if keyword in schema:
            values = schema[keyword] if keyword == "enum" else [schema[keyword]]
            report.check_surrogates(location.pointer, keyword, values)
            result = meet(result, of_values(values, f"{location.pointer}/{keyword}"))
    if schema.get("x-spelling") == "digits" and schema.get("type") == "integer":
        result = replace(result, numbers=tuple(replace(n, plain=True) for n in result.numbers))
    if result.numbers and not location.keys.isdisjoint(NUMERIC):
        numbers = number_sets.intersection(result.numbers, _numbers(location))
        result = replace(result, numbers=numbers)
    if result.strings != NOTHING and not _TEXTUAL.isdisjoint(location.keys):
        result = meet(result, _strings(location, report))
    return result


_BY_TYPE = {
    "null": replace(NO_SCALARS, null=True),
    "boolean": replace(NO_SCALARS, true=True, false=True),
    "string": replace(NO_SCALARS, strings=ANY_STRING),
    "number": replace(NO_SCALARS, numbers=ALL_NUMBERS),
    "integer": replace(NO_SCALARS, numbers=(ANY_INTEGER,)),
    "array": NO_SCALARS,
    "object": NO_SCALARS,
}
_BY_TYPE_OF_DRAFT4 = {**_BY_TYPE, "integer": replace(NO_SCALARS, numbers=(PLAIN_INTEGER,))}


def _of_types(location: Location) -> Scalars:
    declared = location.schema.get("type")
    if declared is None:
        return ALL_SCALARS
    by_type = _BY_TYPE_OF_DRAFT4 if location.scope.dialect.plain_integers else _BY_TYPE
    if isinstance(declared, str):
        return by_type[declared]
    result = NO_SCALARS
    for name in declared:
        result = join(result, by_type[name])
    return result


def of_values(values: list[Any], where: str) -> Scalars:
    """The scalars among the values of `enum` or `const`."""
    numbers = [value for value in values if is_number(value)]
    count_work(_POINT_STEPS * len(numbers))
    points = [exact(value, where) for value in numbers]
    return Scalars(
        null=None in values,
        true=any(value is True for value in values),
        false=any(value is False for value in values),
        strings=string_sets.words(value for value in values if isinstance(value, str)),
        numbers=number_sets.union(tuple(number_sets.exactly(point) for point in points)),
    )


def is_number(value: object) -> bool:
    """Whether a JSON value is a number; `true` and `false` are none."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def exact(value: Anything, where: str) -> Fraction:
    """The exact number that a schema's text denotes: 0.1 is one tenth."""
    if isinstance(value, int) and abs(value) >= _TOO_LARGE:
        raise GrammarLimitError(where, "digits of a number", MAX_DIGITS)
    if not is_finite(value):
        raise GrammarSyntaxError(where, f"must be a number, not {shown(value)}")
    if isinstance(value, Decimal) and abs(value.adjusted()) >= MAX_DIGITS:
        raise GrammarLimitError(where, "digits of a number", MAX_DIGITS)
    return number_of_float(value) if isinstance(value, float) else Fraction(value)


def whole(schema: Mapping[str, Any], keyword: str, pointer: str) -> int:
    """The value of a keyword that must be a whole number ≥ 0, such as `minItems`.

    No text is as long as `MOST_COUNTED`: a greatest number above it counts as that, and a least
    one is refused.
    """
    value = schema[keyword]
    if value > MOST_COUNTED and not keyword.startswith("max"):
        raise GrammarLimitError(f"{pointer}/{keyword}", "characters, items or keys", MOST_COUNTED)
    return min(int(value), MOST_COUNTED)


def _numbers(location: Location) -> NumberSet:
    schema, pointer = location.schema, location.pointer
    numbers = ALL_NUMBERS
    for keyword in NUMERIC:
        where = f"{pointer}/{keyword}"
        if keyword not in location.keys:
            continue
        if location.scope.dialect.boolean_bounds and keyword.startswith("exclusive"):
            continue  # draft 4: a property of the bound beside it
        value = exact(schema[keyword], where)
        if keyword == "multipleOf":
            part = NumberRange(step=value)
        elif keyword in ("minimum", "exclusiveMinimum"):
            is_open = keyword != "minimum" or schema.get("exclusiveMinimum") is True
            part = NumberRange(low=value, low_open=is_open)
        else:
            is_open = keyword != "maximum" or schema.get("exclusiveMaximum") is True
            part = NumberRange(high=value, high_open=is_open)
        numbers = number_sets.intersection(numbers, number_sets.normal(part))
    return numbers


def _strings(location: Location, report: Report) -> Scalars:
    schema, pointer = location.schema, location.pointer
    low = whole(schema, "minLength", pointer) if "minLength" in schema else 0
    high = whole(schema, "maxLength", pointer) if "maxLength" in schema else None
    found = _with_strings(string_sets.lengths(low, high))
    if "format" in schema:
        found = meet(found, _format(location, report))
    if "pattern" in schema:
        language = pattern(schema["pattern"], pointer, "pattern", report)
        if language is not None:
            found = meet(found, _with_strings(language))
    return found


def _with_strings(strings: Expression, possible: Expression | None = None) -> Scalars:
    """All scalars that are no strings, and some strings."""
    return replace(ALL_SCALARS, strings=strings, possible=possible)


def pattern(text: str, pointer: str, keyword: str, report: Report) -> Expression | None:
    """The strings in which a pattern matches somewhere; `None` where the keyword is dropped."""
    where = f"{pointer}/{keyword}"
    report.count(PATTERN_STEPS + len(text), where)
    try:
        return parse_search(text)
    except GrammarUnsupportedError as problem:
        report.unsupported(pointer, keyword, f"{shown(text)}: {problem}")
    except GrammarError as problem:
        raise GrammarSyntaxError(where, f"{shown(text)}: {problem}") from problem
    return None


def _format(location: Location, report: Report) -> Scalars:
    name, pointer = location.schema["format"], location.pointer
    if report.formats == "annotation" or not isinstance(name, str):
        return ALL_SCALARS
    language, lost = format_expression(name), left_out(name)
    if lost is not None:
        sentence = (
            f"of the strings with format {shown(name)}, {lost} are not produced; where the format"
            " is negated, no string is produced that some reader accepts as this format"
        )
        report.restrictions[Remark(pointer, "format", sentence)] = None
    if language is not None and name not in location.scope.dialect.formats:
        # In this draft the format is an annotation, so its negation excludes no string.
        sentence = (
            f"format {shown(name)} is enforced, though the draft in `$schema` has no such format"
        )
        report.restrictions[Remark(pointer, "format", sentence)] = None
        return _with_strings(language, ANY_STRING)
    if language is not None:
        return _with_strings(language, possible_expression(name))
    if report.formats == "strict":
        reason = (
            f"{shown(name)} is not a known format, and formats='strict' requires known formats; use"
            " `pattern`, or formats='known'"
        )
        report.unsupported(pointer, "format", reason)
    else:
        sentence = f"format {shown(name)} is not known: it is read as an annotation"
        report.notes[Remark(pointer, "format", sentence)] = None
    return ALL_SCALARS
