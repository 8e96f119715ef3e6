"""How the logic of a schema (`allOf`, `anyOf`, `not`, ...) becomes unions of drafts.

Arrays and objects are treated alike. A literal's drafts are never more than the literal allows, and
never fewer without a restriction that says so; negation is therefore pushed down to the keywords
(De Morgan) instead of complementing drafts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import Any, Generic, Protocol

from decoding.errors import GrammarLimitError, GrammarSyntaxError, GrammarUnsupportedError
from decoding.grammar.schema.drafts import Draft, Found
from decoding.grammar.schema.locations import (
    NEVER,
    Conjunction,
    Literal,
    Location,
    Locations,
)
from decoding.grammar.schema.objects import dependent_schemas, having, lacking, negated
from decoding.grammar.schema.one_of import exactly_one
from decoding.grammar.schema.report import Remark, Report
from decoding.grammar.schema.solver import Steps

MOST = 512  # ways to break schemas that are followed
_FEW = 64  # ways to differ from several constants that are followed
_MERGED = 8_192  # pairs of drafts that are merged where not all ways need be followed
_COMPARED = 8  # drafts from which on it pays to compare them
_SUBSETS = 6  # branches whose every combination is tried where annotations count
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


class Kind(Protocol[Draft]):
    """Arrays or objects: what is particular about them."""

    name: str
    kind: int
    everything: Found[Draft]
    nothing: Found[Draft]

    def plain(self, location: Location, *, seen: bool) -> Found[Draft]:
        """What fulfils all keywords of a location but its logic."""

    def denied(self, location: Location) -> Found[Draft]:
        """What breaks a keyword of a location, its logic and its constants aside."""

    def denied_constants(self, location: Location) -> list[tuple[Draft, ...]] | None:
        """For each constant of a location, what differs from it."""

    def merge(self, one: Draft, other: Draft) -> Draft | None:
        """What is in both drafts."""

    def impossible(self, draft: Draft, depth: int) -> Steps[bool]:
        """Whether a draft surely has no member."""

    def rest(self, location: Location, draft: Draft) -> Draft | None:
        """A draft whose unevaluated parts fulfil the location's `unevaluated...`."""

    def has_seen(self, draft: Draft) -> bool:
        """Whether a draft speaks of any part."""

    def unseen(self, draft: Draft) -> Draft:
        """The draft, as if it spoke of no part."""

    def conditions(self, draft: Draft) -> frozenset[object]:
        """All that a draft asks for; drafts that ask for more have fewer members."""


class Logic(Generic[Draft]):
    """The drafts of one kind, by literal."""

    def __init__(self, kind: Kind[Draft], locations: Locations, report: Report) -> None:
        self.kind, self.locations, self.report = kind, locations, report

    def found(self, literal: Literal) -> Found[Draft] | Steps[Found[Draft]]:
        """The drafts of a literal."""
        location = self.locations.of(literal)
        if literal & 1:
            return self._broken(location)
        if location.logic:
            return self._kept(location, seen=False)
        return self.kind.plain(location, seen=False)

    def found_seen(self, literal: Literal) -> Found[Draft] | Steps[Found[Draft]]:
        """The drafts of a literal, with what they have seen."""
        location = self.locations.of(literal)
        if literal & 1:
            return self.found(literal)
        if location.logic:
            return self._kept(location, seen=True)
        return self.kind.plain(location, seen=True)

    def of(self, conjunction: Conjunction, *, seen: bool = False) -> Steps[Found[Draft]]:
        """The drafts of at most one literal."""
        if not conjunction:
            return self.kind.everything
        (literal,) = conjunction
        if literal == NEVER:
            return self.kind.nothing
        name = f"seen {self.kind.name}" if seen else self.kind.name
        result: Found[Draft] = yield (name, literal)
        return result

    def product(
        self, one: Found[Draft], other: Found[Draft], where: str, most: int | None = None
    ) -> Steps[Found[Draft]]:
        """What is in both unions; at most so many of its drafts, where that is said."""
        if one is self.kind.everything:
            return other
        if other is self.kind.everything:
            return one
        lefts, rights = one.drafts, other.drafts
        if most is not None and len(lefts) * len(rights) > _MERGED:
            lefts, rights = lefts[:most], rights[: max(1, _MERGED // min(most, len(lefts)))]
        drafts: dict[Draft, None] = {}
        several = len(lefts) * len(rights) > 1
        for left in lefts:
            for right in rights:
                merged = self.kind.merge(left, right)
                if merged is None:
                    continue
                if several and (yield from self.kind.impossible(merged, 0)):
                    continue
                drafts[merged] = None
            self.check(0 if most is not None else len(drafts), where, len(rights))
        kept = self.without_special(tuple(drafts))
        restrictions = joined(one, other)
        cut = len(lefts) < len(one.drafts) or len(rights) < len(other.drafts)
        if most is not None and (cut or len(kept) > most):
            kept = kept[:most]
            sentence = (
                f"values that are not of a schema are looked for in {len(kept)} ways; others, which"
                " break several of its keywords at once, are left out"
            )
            restrictions = (*restrictions, Remark(where, "not", sentence))
        return Found(kept, restrictions)

    def without_special(self, drafts: tuple[Draft, ...]) -> tuple[Draft, ...]:
        """The drafts, except those that only add conditions to another one."""
        if len(drafts) < _COMPARED or any(map(self.kind.has_seen, drafts)):
            return drafts
        sets = sorted(((self.kind.conditions(draft), draft) for draft in drafts), key=_by_size)
        # A set that is part of another one is found by its rarest condition.
        times = Counter(condition for conditions, _ in sets for condition in conditions)
        by_rarest: dict[object, list[frozenset[object]]] = {}
        kept: list[Draft] = []
        for conditions, draft in sets:
            fewer = [one for condition in conditions for one in by_rarest.get(condition, ())]
            self.report.count(2)  # whatever their order, which differs from run to run
            if any(one <= conditions for one in fewer):
                continue
            kept.append(draft)
            if not conditions:
                break
            by_rarest.setdefault(min(conditions, key=times.__getitem__), []).append(conditions)
        return tuple(kept)

    def union(self, *parts: Found[Draft]) -> Found[Draft]:
        """What is in any of these."""
        drafts = tuple(dict.fromkeys(draft for part in parts for draft in part.drafts))
        if self.kind.everything.drafts[0] in drafts and not any(map(self.kind.has_seen, drafts)):
            return self.kind.everything
        return Found(self.without_special(drafts), joined(*parts))

    def check(self, count: int, where: str, steps: int = 1) -> None:
        """Raise where there are too many drafts, or too much work with some more steps."""
        if count > self.report.limits.shapes:
            raise GrammarLimitError(where, "alternatives", self.report.limits.shapes)
        self.report.count(steps, where)

    def branches(self, location: Location, keyword: str) -> list[Conjunction]:
        """The schemas of a keyword that is a list of them."""
        value = location.schema[keyword]
        if not isinstance(value, list):
            raise GrammarSyntaxError(f"{location.pointer}/{keyword}", "a list of schemas")
        return [self.locations.child(location, keyword, index) for index in range(len(value))]

    def _kept(self, location: Location, *, seen: bool) -> Steps[Found[Draft]]:
        keyword = f"unevaluated{'Items' if self.kind.name == 'arrays' else 'Properties'}"
        own = keyword in location.schema
        asked, seen = seen, seen or own
        result = self.kind.plain(location, seen=seen)
        if not result.drafts:
            return result
        for part in self._parts(location, seen=seen):
            found = yield from part
            result = yield from self.product(result, found, location.pointer)
            if not result.drafts:
                return result
        if own:
            closed = (self.kind.rest(location, draft) for draft in result.drafts)
            drafts = tuple(draft for draft in closed if draft is not None)
            if not asked:  # what is seen below a negation must not be seen outside of it
                drafts = tuple(map(self.kind.unseen, drafts))
            result = Found(drafts, result.restrictions)
        return result

    def _parts(self, location: Location, *, seen: bool) -> Iterator[Steps[Found[Draft]]]:
        schema, child = location.schema, self.locations.child
        for keyword in _REFERENCES:
            if keyword in schema:
                yield self.of(self.locations.target(location, keyword), seen=seen)
        for branch in self.branches(location, "allOf") if "allOf" in schema else ():
            yield self.of(branch, seen=seen)
        if self.kind.name == "objects":
            for name, node in dependent_schemas(location, self.locations):
                yield self._depending(name, node, location, seen=seen)
        if "if" in schema:
            yield self._conditional(location, seen=seen)
        if "anyOf" in schema:
            yield self._any_of(location, seen=seen)
        if "oneOf" in schema:
            yield exactly_one(self, location, self.branches(location, "oneOf"), seen=seen)
        if "not" in schema:
            yield self.of(negated(child(location, "not")))

    def _depending(
        self, name: str, node: Conjunction, location: Location, *, seen: bool
    ) -> Steps[Found[Draft]]:
        found = yield from self.of(node, seen=seen)
        if found is self.kind.everything:
            return found
        with_name: Any = Found((having(name),))
        without: Any = Found((lacking(name),))
        present = yield from self.product(with_name, found, location.pointer)
        return self.union(without, present)

    def _conditional(self, location: Location, *, seen: bool) -> Steps[Found[Draft]]:
        schema, child = location.schema, self.locations.child
        condition = child(location, "if")
        if "then" not in schema and "else" not in schema and not seen:
            return self.kind.everything
        met = yield from self.of(condition, seen=seen)
        if "then" in schema:
            then = yield from self.of(child(location, "then"), seen=seen)
            met = yield from self.product(met, then, location.pointer)
        if "else" not in schema and "then" not in schema:
            return self.union(met, self.kind.everything)
        unmet = yield from self.of(negated(condition))
        if "else" in schema:
            otherwise = yield from self.of(child(location, "else"), seen=seen)
            unmet = yield from self.product(unmet, otherwise, location.pointer)
        return self.union(met, unmet)

    def _any_of(self, location: Location, *, seen: bool) -> Steps[Found[Draft]]:
        parts: list[Found[Draft]] = []
        for branch in self.branches(location, "anyOf"):
            parts.append((yield from self.of(branch, seen=seen)))  # noqa: PERF401 -- it yields
        if not seen:
            return self.union(*parts)
        # Every branch that a value fulfils counts for what is unevaluated, so they are combined.
        speaking = [part for part in parts if any(map(self.kind.has_seen, part.drafts))]
        restrictions: tuple[Remark, ...] = ()
        most = len(speaking)
        if most > _SUBSETS:
            most = 1
            sentence = (
                "values are left out that fulfil `unevaluatedItems` or `unevaluatedProperties` only"
                " because several branches evaluate their parts"
            )
            restrictions = (Remark(location.pointer, "anyOf", sentence),)
        combined: list[Found[Draft]] = []
        for size in range(2, most + 1):
            for chosen in combinations(speaking, size):
                together = chosen[0]
                for part in chosen[1:]:
                    together = yield from self.product(together, part, location.pointer)
                combined.append(together)
        drafts = tuple(
            dict.fromkeys(draft for part in (*parts, *combined) for draft in part.drafts)
        )
        self.check(len(drafts), location.pointer)
        return Found(drafts, joined(*parts) + restrictions)

    def _broken(self, location: Location) -> Steps[Found[Draft]]:
        """What breaks any keyword of a location."""
        result = self.kind.denied(location)
        if result is self.kind.everything:
            return result
        constants = self.kind.denied_constants(location)
        if constants is not None:
            others = self.kind.everything
            for drafts in constants:
                others = yield from self.product(others, Found(drafts), location.pointer, _FEW)
            result = self.union(result, others)
        left_out: list[tuple[str, str]] = [
            (one.keyword, one.sentence) for one in result.restrictions
        ]
        for keyword, part in self._broken_parts(location):
            if self.kind.everything.drafts[0] in result.drafts:
                return self.kind.everything
            try:
                result = self.union(result, (yield from part))
            except GrammarUnsupportedError as problem:
                left_out.append((keyword, str(problem)))
                sentence = (
                    f"where this schema must not hold, it is not by `{keyword}` alone: {problem}"
                )
                remark = Remark(location.pointer, keyword, sentence)
                result = Found(result.drafts, (*result.restrictions, remark))
        for keyword in ("unevaluatedItems", "unevaluatedProperties"):
            if keyword in location.schema and (self.kind.name == "arrays") == ("Items" in keyword):
                left_out.append((keyword, "which parts are evaluated is not known there"))
                sentence = f"where this schema must not hold, it is not by `{keyword}` alone"
                remark = Remark(location.pointer, keyword, sentence)
                result = Found(result.drafts, (*result.restrictions, remark))
        self.check(len(result.drafts), location.pointer)
        if left_out and not result.drafts:
            keyword, reason = left_out[0]
            self.report.unsupported(
                location.pointer,
                keyword,
                f"where it must not hold, as under `not`, `oneOf` or `if`: {reason}",
            )
            return self.kind.everything
        return result

    def _broken_parts(self, location: Location) -> Iterator[tuple[str, Steps[Found[Draft]]]]:
        schema, child = location.schema, self.locations.child
        for keyword in _REFERENCES:
            if keyword in schema:
                yield keyword, self.of(negated(self.locations.target(location, keyword)))
        for branch in self.branches(location, "allOf") if "allOf" in schema else ():
            yield "allOf", self.of(negated(branch))
        if self.kind.name == "objects":
            for name, node in dependent_schemas(location, self.locations):
                yield "dependentSchemas", self._not_depending(name, node, location)
        if "if" in schema:
            yield "if", self._not_conditional(location)
        if "anyOf" in schema:
            yield "anyOf", self._none_of(location, self.branches(location, "anyOf"))
        if "oneOf" in schema:
            branches = self.branches(location, "oneOf")
            yield "oneOf", self._none_of(location, branches)
            for one, other in combinations(branches, 2):
                yield "oneOf", self._two_of(location, one, other)
        if "not" in schema:
            yield "not", self.of(child(location, "not"))

    def _none_of(self, location: Location, branches: list[Conjunction]) -> Steps[Found[Draft]]:
        result = self.kind.everything
        for branch in branches:
            found = yield from self.of(negated(branch))
            result = yield from self.product(result, found, location.pointer, MOST)
        return result

    def _two_of(
        self, location: Location, one: Conjunction, other: Conjunction
    ) -> Steps[Found[Draft]]:
        left = yield from self.of(one)
        right = yield from self.of(other)
        return (yield from self.product(left, right, location.pointer))

    def _not_depending(
        self, name: str, node: Conjunction, location: Location
    ) -> Steps[Found[Draft]]:
        found = yield from self.of(negated(node))
        with_name: Any = Found((having(name),))
        return (yield from self.product(with_name, found, location.pointer))

    def _not_conditional(self, location: Location) -> Steps[Found[Draft]]:
        schema, child = location.schema, self.locations.child
        condition = child(location, "if")
        result = self.kind.nothing
        for keyword, when in (("then", condition), ("else", negated(condition))):
            if keyword in schema:
                one = yield from self.of(when)
                other = yield from self.of(negated(child(location, keyword)))
                met = yield from self.product(one, other, location.pointer)
                result = self.union(result, met)
        return result


def _by_size(pair: tuple[frozenset[object], object]) -> int:
    return len(pair[0])


def joined(*parts: Found[Any]) -> tuple[Remark, ...]:
    """All restrictions of these."""
    if not any(part.restrictions for part in parts):
        return ()
    return tuple(dict.fromkeys(remark for part in parts for remark in part.restrictions))
