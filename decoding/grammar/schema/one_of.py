"""Computes `oneOf` of arrays or objects: each branch without the other branches' values.

Where two branches provably have no value in common, a branch is kept as it is. Otherwise the
negation of the other branch is added to it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from math import inf
from typing import Protocol

from decoding.errors import GrammarUnsupportedError
from decoding.grammar.schema.constraints import Constraints, Disjunction
from decoding.grammar.schema.locations import Conjunction, Location
from decoding.grammar.schema.object_keywords import negated
from decoding.grammar.schema.report import Remark, Report
from decoding.grammar.schema.solver import Steps
from decoding.grammar.schema.type_keywords import TypeKeywords

_DEPTH = 3  # levels below the branches that are searched for a contradiction
_PAIRS = 256  # pairs of constraints that are compared for one pair of branches
_PAIR_STEPS = 4  # cost of merging two constraints, in steps of work
_MOST = 32  # alternatives that one branch may become when the others are excluded


class BranchLogic(Protocol[Constraints]):
    """Protocol: the operations of `ConstraintLogic` that `exactly_one` uses."""

    keywords: TypeKeywords[Constraints]
    report: Report

    def of(
        self, conjunction: Conjunction, *, evaluated: bool = False
    ) -> Steps[Disjunction[Constraints]]:
        """The arrays or objects of a schema."""

    def product(
        self,
        one: Disjunction[Constraints],
        other: Disjunction[Constraints],
        where: str,
        most: int | None = None,
    ) -> Steps[Disjunction[Constraints]]:
        """The values in both disjunctions."""

    def union(self, *parts: Disjunction[Constraints]) -> Disjunction[Constraints]:
        """The values in any of the disjunctions."""


def exactly_one(
    logic: BranchLogic[Constraints],
    location: Location,
    branches: list[Conjunction],
    *,
    evaluated: bool,
) -> Steps[Disjunction[Constraints]]:
    """Generator for `Solver`: the values valid under exactly one branch of a `oneOf`."""
    founds: list[Disjunction[Constraints]] = []
    for branch in branches:
        founds.append((yield from logic.of(branch, evaluated=evaluated)))  # noqa: PERF401 -- it yields
    live = [index for index, found in enumerate(founds) if found.options or found.restrictions]
    meeting: dict[int, list[int]] = {index: [] for index in live}
    for one, other in _of_common_sizes(founds, live, logic.report):
        if not (yield from _exclude_each_other(logic, founds[one], founds[other])):
            meeting[one].append(other)
            meeting[other].append(one)
    parts: list[Disjunction[Constraints]] = []
    for index in live:
        result = founds[index]
        for other in sorted(meeting[index]):
            if not result.options:
                break
            if not (yield from _is_outside(logic, result, founds[other])):
                where = f"{location.pointer}/oneOf"
                result = yield from _without(logic, result, branches[other], where, (index, other))
        parts.append(result)
    union = logic.union(*parts) if parts else logic.keywords.nothing
    lost = [remark for part in parts for remark in part.restrictions]
    if not union.options and lost:
        logic.report.unsupported(location.pointer, "oneOf", lost[0].sentence)
        return logic.keywords.everything
    return union


def _of_common_sizes(
    founds: list[Disjunction[Constraints]], live: list[int], report: Report
) -> Iterator[tuple[int, int]]:
    """The pairs of branches, in order of their numbers, that may have values of the same size."""
    ordered = sorted((_sizes(founds[index]), index) for index in live)
    behind: list[list[int]] = [[] for _ in founds]
    starts = [lowest for (lowest, _), _ in ordered]
    for place, ((_, highest), index) in enumerate(ordered):
        meeting = ordered[place + 1 : bisect_right(starts, highest)]
        report.count(1 + len(meeting))
        for _, other in meeting:
            behind[min(index, other)].append(max(index, other))
    for index, others in enumerate(behind):
        for other in sorted(others):
            yield index, other


def _sizes(found: Disjunction[Constraints]) -> tuple[int, float]:
    """The least and the greatest number of items or keys that a disjunction allows."""
    if found.restrictions:
        return 0, inf
    return (
        min(option.minimum for option in found.options),
        max(inf if option.maximum is None else option.maximum for option in found.options),
    )


def _exclude_each_other(
    logic: BranchLogic[Constraints], one: Disjunction[Constraints], other: Disjunction[Constraints]
) -> Steps[bool]:
    """Whether it is proved that no value is valid under both schemas."""
    if one.restrictions:
        return False
    return (yield from _is_outside(logic, one, other))


def _is_outside(
    logic: BranchLogic[Constraints], one: Disjunction[Constraints], other: Disjunction[Constraints]
) -> Steps[bool]:
    """Whether it is proved that no value of the first disjunction is in the second."""
    if other.restrictions or len(one.options) * len(other.options) > _PAIRS:
        return False
    for left in one.options:
        for right in other.options:
            logic.report.count(_PAIR_STEPS)
            merged = logic.keywords.merge(left, right)
            if merged is not None and not (yield from logic.keywords.impossible(merged, _DEPTH)):
                return False
    return True


def _without(
    logic: BranchLogic[Constraints],
    found: Disjunction[Constraints],
    other: Conjunction,
    where: str,
    numbers: tuple[int, int],
) -> Steps[Disjunction[Constraints]]:
    """The values of one branch that are not valid under another branch."""
    index, excluded = numbers
    try:
        outside = yield from logic.of(negated(other))
    except GrammarUnsupportedError as problem:
        sentence = (
            f"values of branch {index} are left out: some may be of branch {excluded} too, and what"
            f" is outside of that branch cannot be asked for ({problem}); write `anyOf` if both may"
            " hold, or give the branches a property whose `const` tells them disjoint"
        )
        return Disjunction((), (*found.restrictions, Remark(where, "oneOf", sentence)))
    return (yield from logic.product(found, outside, where, _MOST))
