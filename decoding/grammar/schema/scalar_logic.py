"""How the logic of a schema becomes a set of scalars: a boolean algebra, so nothing is lost."""

from __future__ import annotations

from decoding.errors import GrammarSyntaxError
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
from decoding.grammar.schema.scalars import (
    ALL_SCALARS,
    NO_SCALARS,
    Scalars,
    are_empty,
    invert,
    join,
    meet,
    plain_scalars,
)
from decoding.grammar.schema.solver import Steps

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


class ScalarLogic:
    """The scalars of literals."""

    def __init__(self, locations: Locations, report: Report) -> None:
        self._locations, self._report = locations, report
        self._universal: set[int] = set()  # locations where a keyword has been dropped

    def found(self, literal: Literal) -> Scalars | Steps[Scalars]:
        """The scalars of a literal."""
        location = self._locations.of(literal)
        if literal & 1:
            return self._inverted(literal)
        before = len(self._report.dropped)
        plain = plain_scalars(location, self._report)
        if len(self._report.dropped) > before:
            self._universal.add(location.number)
        return self._kept(location, plain) if location.logic else plain

    def _inverted(self, literal: Literal) -> Steps[Scalars]:
        scalars: Scalars = yield ("scalars", literal ^ 1)
        # What drops a condition is too large; its complement would be too small for "ignore".
        return ALL_SCALARS if literal >> 1 in self._universal else invert(scalars)

    def _of(self, conjunction: Conjunction, location: Location) -> Steps[Scalars]:
        if not conjunction:
            return ALL_SCALARS
        (literal,) = conjunction
        if literal == NEVER:
            return NO_SCALARS
        scalars: Scalars = yield ("scalars", literal)
        if literal >> 1 in self._universal:
            self._universal.add(location.number)
        return scalars

    def _kept(self, location: Location, plain: Scalars) -> Steps[Scalars]:
        schema, result = location.schema, plain
        for keyword in _REFERENCES:
            if keyword in schema:
                target = self._locations.target(location, keyword)
                result = meet(result, (yield from self._of(target, location)))
        for keyword in ("allOf", "anyOf", "oneOf"):
            if keyword in schema and result is not NO_SCALARS:
                branches = schema[keyword]
                if not isinstance(branches, list):
                    raise GrammarSyntaxError(f"{location.pointer}/{keyword}", "a list of schemas")
                found = []
                for index in range(len(branches)):
                    branch = self._locations.child(location, keyword, index)
                    found.append((yield from self._of(branch, location)))
                result = meet(result, _COMBINED[keyword](found))
        if "not" in schema:
            denied = yield from self._of(self._locations.child(location, "not"), location)
            if location.number not in self._universal:
                result = meet(result, invert(denied))
        if "if" in schema:
            result = meet(result, (yield from self._conditional(location)))
        return result

    def _conditional(self, location: Location) -> Steps[Scalars]:
        schema = location.schema
        condition = yield from self._of(self._locations.child(location, "if"), location)
        met, unmet = condition, invert(condition)
        if "then" in schema:
            then = yield from self._of(self._locations.child(location, "then"), location)
            met = meet(met, then)
        if "else" in schema:
            otherwise = yield from self._of(self._locations.child(location, "else"), location)
            unmet = meet(unmet, otherwise)
        return join(met, unmet) if "then" in schema or "else" in schema else ALL_SCALARS


def _all(found: list[Scalars]) -> Scalars:
    result = ALL_SCALARS
    for scalars in found:
        result = meet(result, scalars)
    return result


def _any(found: list[Scalars]) -> Scalars:
    certain = [scalars for scalars in found if scalars.possible is None]
    # All at once, for there may be many of them.
    result = Scalars(
        any(scalars.null for scalars in certain),
        any(scalars.true for scalars in certain),
        any(scalars.false for scalars in certain),
        string_sets.any_of(scalars.strings for scalars in certain),
        number_sets.union(*(scalars.numbers for scalars in certain)),
    )
    for scalars in found:
        if scalars.possible is not None:
            result = join(result, scalars)
    return result


def _one(found: list[Scalars]) -> Scalars:
    if not found:
        return NO_SCALARS
    # In halves of halves: one by one, what is known would be looked through for each further set.
    counted = [(scalars, NO_SCALARS) for scalars in found]
    while len(counted) > 1:
        pairs = zip(counted[::2], counted[1::2], strict=False)
        counted = [_counted(*pair) for pair in pairs] + counted[len(counted) & ~1 :]
    once, twice = counted[0]
    return meet(once, invert(twice))


def _counted(
    left: tuple[Scalars, Scalars], right: tuple[Scalars, Scalars]
) -> tuple[Scalars, Scalars]:
    """What is in any set of two groups, and what is in several; of what is so of each group."""
    shared = meet(left[0], right[0])
    twice = join(left[1], right[1])
    if not are_empty(shared):
        twice = join(twice, shared)
    return join(left[0], right[0]), twice


_COMBINED = {"allOf": _all, "anyOf": _any, "oneOf": _one}
