"""`oneOf`: exactly one branch, by proof that branches exclude each other or else by negation."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from decoding.errors import GrammarUnsupportedError
from decoding.grammar.schema.drafts import Draft, Found
from decoding.grammar.schema.locations import Conjunction, Location
from decoding.grammar.schema.report import Remark
from decoding.grammar.schema.solver import Steps

if TYPE_CHECKING:
    from decoding.grammar.schema.logic import Logic

_DEPTH = 3  # how deep below the branches a contradiction is looked for
_PAIRS = 256  # pairs of drafts that are looked at for one pair of branches
_MOST = 32  # drafts a branch may become by excluding the others


def exactly_one(
    logic: Logic[Draft], location: Location, branches: list[Conjunction], *, seen: bool
) -> Steps[Found[Draft]]:
    """The values of one branch that no other branch has."""
    founds: list[Found[Draft]] = []
    for branch in branches:
        founds.append((yield from logic.of(branch, seen=seen)))  # noqa: PERF401 -- it yields
    live = [index for index, found in enumerate(founds) if found.drafts or found.restrictions]
    apart: set[tuple[int, int]] = set()
    for one, other in combinations(live, 2):
        if (yield from _exclude_each_other(logic, founds[one], founds[other])):
            apart.update(((one, other), (other, one)))
    parts: list[Found[Draft]] = []
    for index in live:
        result = founds[index]
        for other in live:
            if other == index or (index, other) in apart or not result.drafts:
                continue
            if not (yield from _is_outside(logic, result, founds[other])):
                where = f"{location.pointer}/oneOf"
                result = yield from _without(logic, result, branches[other], where, (index, other))
        parts.append(result)
    union = logic.union(*parts) if parts else logic.kind.nothing
    lost = [remark for part in parts for remark in part.restrictions]
    if not union.drafts and lost:
        logic.report.unsupported(location.pointer, "oneOf", lost[0].sentence)
        return logic.kind.everything
    return union


def _exclude_each_other(logic: Logic[Draft], one: Found[Draft], other: Found[Draft]) -> Steps[bool]:
    """Whether surely no value is one of both schemas."""
    if one.restrictions:
        return False
    return (yield from _is_outside(logic, one, other))


def _is_outside(logic: Logic[Draft], one: Found[Draft], other: Found[Draft]) -> Steps[bool]:
    """Whether surely no value of the first is one of the other's schema."""
    if other.restrictions or len(one.drafts) * len(other.drafts) > _PAIRS:
        return False
    for left in one.drafts:
        for right in other.drafts:
            merged = logic.kind.merge(left, right)
            if merged is not None and not (yield from logic.kind.impossible(merged, _DEPTH)):
                return False
    return True


def _without(
    logic: Logic[Draft],
    found: Found[Draft],
    other: Conjunction,
    where: str,
    numbers: tuple[int, int],
) -> Steps[Found[Draft]]:
    """The values of one branch that are outside of another."""
    from decoding.grammar.schema.objects import negated

    index, excluded = numbers
    try:
        outside = yield from logic.of(negated(other))
    except GrammarUnsupportedError as problem:
        sentence = (
            f"values of branch {index} are left out: some may be of branch {excluded} too, and what"
            f" is outside of that branch cannot be asked for ({problem}); write `anyOf` if both may"
            " hold, or give the branches a property whose `const` tells them apart"
        )
        return Found((), (*found.restrictions, Remark(where, "oneOf", sentence)))
    return (yield from logic.product(found, outside, where, _MOST))
