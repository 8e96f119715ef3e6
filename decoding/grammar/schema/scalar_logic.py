"""Computes `allOf`, `anyOf`, `oneOf`, `not`, `if` of scalars by exact set operations."""

from __future__ import annotations

from functools import partial, reduce

from decoding.grammar.numbers import number_sets
from decoding.grammar.regular import string_sets
from decoding.grammar.schema.locations import (
    NEVER,
    Conjunction,
    Literal,
    Location,
    Locations,
)
from decoding.grammar.schema.report import Report
from decoding.grammar.schema.scalar_sets import (
    ALL_SCALARS,
    NO_SCALARS,
    Scalars,
    are_empty,
    common_numbers,
    invert,
    join,
    meet,
    plain_scalars,
    possible_strings,
)
from decoding.grammar.schema.solver import Steps

_MANY = 8  # branches that are met at once
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


class ScalarLogic:
    """Computes which scalars are valid under a schema, or under its negation."""

    def __init__(self, locations: Locations, report: Report) -> None:
        self._locations, self._report = locations, report
        self._incomplete: set[int] = set()  # numbers of locations of which a keyword was dropped

    def found(self, literal: Literal) -> Scalars | Steps[Scalars]:
        """The set of scalars that are valid under a schema, or under its negation."""
        location = self._locations.of(literal)
        if literal & 1:
            return self._inverted(literal)
        before = len(self._report.dropped)
        plain = plain_scalars(location, self._report)
        if len(self._report.dropped) > before:
            self._incomplete.add(location.number)
        return self._satisfying(location, plain) if location.logic else plain

    def _inverted(self, literal: Literal) -> Steps[Scalars]:
        scalars: Scalars = yield ("scalars", literal ^ 1)
        # With a dropped keyword the set is too large, and its complement would be too small.
        return (
            ALL_SCALARS if literal >> 1 in self._incomplete else invert(scalars, self._report.count)
        )

    def _of(self, conjunction: Conjunction, location: Location) -> Steps[Scalars]:
        if not conjunction:
            return ALL_SCALARS
        (literal,) = conjunction
        if literal == NEVER:
            return NO_SCALARS
        scalars: Scalars = yield ("scalars", literal)
        if literal >> 1 in self._incomplete:
            self._incomplete.add(location.number)
        return scalars

    def _satisfying(self, location: Location, plain: Scalars) -> Steps[Scalars]:
        schema, result = location.schema, plain
        for keyword in _REFERENCES:
            if keyword in schema:
                target = self._locations.target(location, keyword)
                result = self._meet(result, (yield from self._of(target, location)))
        for keyword in ("allOf", "anyOf", "oneOf"):
            if keyword in schema and result is not NO_SCALARS:
                found = []
                for index in range(len(schema[keyword])):
                    branch = self._locations.child(location, keyword, index)
                    found.append((yield from self._of(branch, location)))
                result = self._meet(result, self._combined(keyword, found))
        if "not" in schema:
            negated = yield from self._of(self._locations.child(location, "not"), location)
            if location.number not in self._incomplete:
                result = self._meet(result, invert(negated, self._report.count))
        if "if" in schema:
            result = self._meet(result, (yield from self._conditional(location)))
        return result

    def _conditional(self, location: Location) -> Steps[Scalars]:
        schema = location.schema
        condition = yield from self._of(self._locations.child(location, "if"), location)
        met, unmet = condition, invert(condition, self._report.count)
        if "then" in schema:
            then = yield from self._of(self._locations.child(location, "then"), location)
            met = self._meet(met, then)
        if "else" in schema:
            otherwise = yield from self._of(self._locations.child(location, "else"), location)
            unmet = self._meet(unmet, otherwise)
        return join(met, unmet) if "then" in schema or "else" in schema else ALL_SCALARS

    def _meet(self, left: Scalars, right: Scalars) -> Scalars:
        return meet(left, right, self._report.count)

    def _combined(self, keyword: str, found: list[Scalars]) -> Scalars:
        """The scalars of `allOf`, `anyOf` or `oneOf`, from those of the branches."""
        if keyword == "anyOf":
            return _any(found)
        return self._all(found) if keyword == "allOf" else self._one(found)

    def _all(self, found: list[Scalars]) -> Scalars:
        """The scalars that every branch has."""
        if len(found) < _MANY:
            return reduce(self._meet, found, ALL_SCALARS)
        # All at once, for many conditions on strings would be compared again at each step.
        found = [scalars for scalars in found if scalars is not ALL_SCALARS]
        is_certain = all(scalars.possible is None for scalars in found)
        common = partial(common_numbers, count=self._report.count)
        return Scalars(
            all(scalars.null for scalars in found),
            all(scalars.true for scalars in found),
            all(scalars.false for scalars in found),
            string_sets.all_of(scalars.strings for scalars in found),
            reduce(common, (scalars.numbers for scalars in found), number_sets.ALL_NUMBERS),
            None if is_certain else string_sets.all_of(map(possible_strings, found)),
        )

    def _one(self, found: list[Scalars]) -> Scalars:
        """The scalars that exactly one branch has."""
        if not found:
            return NO_SCALARS
        # Neighbours are joined first, so that the sets to compare stay as small as possible.
        counted = [(scalars, NO_SCALARS) for scalars in found]
        while len(counted) > 1:
            pairs = zip(counted[::2], counted[1::2], strict=False)
            counted = [self._counted(*pair) for pair in pairs] + counted[len(counted) & ~1 :]
        once, twice = counted[0]
        return self._meet(once, invert(twice, self._report.count))

    def _counted(
        self, left: tuple[Scalars, Scalars], right: tuple[Scalars, Scalars]
    ) -> tuple[Scalars, Scalars]:
        """The scalars in any branch of two groups, and those in several, from each group's."""
        shared = self._meet(left[0], right[0])
        twice = join(left[1], right[1])
        if not are_empty(shared):
            twice = join(twice, shared)
        return join(left[0], right[0]), twice


def _any(found: list[Scalars]) -> Scalars:
    # All at once, for there may be many of them.
    is_certain = all(scalars.possible is None for scalars in found)
    return Scalars(
        any(scalars.null for scalars in found),
        any(scalars.true for scalars in found),
        any(scalars.false for scalars in found),
        string_sets.any_of(scalars.strings for scalars in found),
        number_sets.union(*(scalars.numbers for scalars in found)),
        None if is_certain else string_sets.any_of(map(possible_strings, found)),
    )
