"""Computes `allOf`, `anyOf`, `oneOf`, `not`, `if` of arrays or objects as disjunctions.

Each schema, and each negated schema, becomes a disjunction of constraints: its disjunctive normal
form. A disjunction never has values that the schema does not have. Where it has fewer, it carries a
restriction that says so. Negation is pushed down to the single keywords by De Morgan's laws.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain, combinations
from typing import Any, Generic

from decoding.errors import GrammarLimitError, GrammarUnsupportedError
from decoding.grammar.schema.constraints import Constraints, Disjunction, without_evaluated
from decoding.grammar.schema.locations import (
    NEVER,
    Conjunction,
    Literal,
    Location,
    Locations,
)
from decoding.grammar.schema.object_keywords import (
    constants,
    dependent_schemas,
    having,
    lacking,
    negated,
)
from decoding.grammar.schema.one_of import exactly_one
from decoding.grammar.schema.report import Remark, Report
from decoding.grammar.schema.scalar_sets import types_of
from decoding.grammar.schema.solver import Steps
from decoding.grammar.schema.type_keywords import TypeKeywords

MOST = 512  # alternatives that are kept of the negation of several schemas
_FEW = 64  # alternatives that are kept of values other than several constants
_MERGED = 8_192  # pairs of constraints that are merged where the number of alternatives is cut
_SUBSUMED_STEPS = 2  # cost of each alternative that may be subsumed, in steps of work
_COMPARED = 8  # number of alternatives from which on subsumed ones are dropped
_SUBSETS = 6  # branches of which every combination is tried where evaluation matters
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


class ConstraintLogic(Generic[Constraints]):
    """Computes the disjunctions of arrays, or of objects, for schemas and negated schemas."""

    def __init__(
        self, keywords: TypeKeywords[Constraints], locations: Locations, report: Report
    ) -> None:
        self.keywords, self.locations, self.report = keywords, locations, report

    def found(self, literal: Literal) -> Disjunction[Constraints] | Steps[Disjunction[Constraints]]:
        """The disjunction of a literal: of a schema, or of the negation of a schema."""
        location = self.locations.of(literal)
        if literal & 1:
            return self._violating(location)
        if location.logic:
            return self._satisfying(location, evaluated=False)
        return self._plain(location, evaluated=False)

    def found_evaluated(
        self, literal: Literal
    ) -> Disjunction[Constraints] | Steps[Disjunction[Constraints]]:
        """The disjunction of a literal, which also records evaluated properties or items."""
        location = self.locations.of(literal)
        if literal & 1:
            return self.found(literal)
        if location.logic:
            return self._satisfying(location, evaluated=True)
        return self._plain(location, evaluated=True)

    def of(
        self, conjunction: Conjunction, *, evaluated: bool = False
    ) -> Steps[Disjunction[Constraints]]:
        """The disjunction of a conjunction of at most one literal."""
        if not conjunction:
            return self.keywords.everything
        (literal,) = conjunction
        if literal == NEVER:
            return self.keywords.nothing
        name = f"evaluated {self.keywords.name}" if evaluated else self.keywords.name
        result: Disjunction[Constraints] = yield (name, literal)
        return result

    def product(
        self,
        one: Disjunction[Constraints],
        other: Disjunction[Constraints],
        where: str,
        most: int | None = None,
    ) -> Steps[Disjunction[Constraints]]:
        """The conjunction of two disjunctions, in disjunctive normal form.

        most: keep so many alternatives at most, and report a restriction where some are dropped.
        """
        if one is self.keywords.everything:
            return other
        if other is self.keywords.everything:
            return one
        lefts, rights = one.options, other.options
        if most is not None and len(lefts) * len(rights) > _MERGED:
            lefts, rights = lefts[:most], rights[: max(1, _MERGED // min(most, len(lefts)))]
        options: dict[Constraints, None] = {}
        several = len(lefts) * len(rights) > 1
        for left in lefts:
            for right in rights:
                merged = self.keywords.merge(left, right)
                if merged is None:
                    continue
                if several and (yield from self.keywords.impossible(merged, 0)):
                    continue
                options[merged] = None
            self.check(0 if most is not None else len(options), where, len(rights))
        kept = self.without_subsumed(tuple(options))
        restrictions = joined(one, other)
        cut = len(lefts) < len(one.options) or len(rights) < len(other.options)
        if most is not None and (cut or len(kept) > most):
            kept = kept[:most]
            sentence = (
                f"of the values that violate a schema, {len(kept)} alternatives are kept; values"
                " that only violate several of its keywords at once are left out"
            )
            restrictions = (*restrictions, Remark(where, "not", sentence))
        return Disjunction(kept, restrictions)

    def without_subsumed(self, options: tuple[Constraints, ...]) -> tuple[Constraints, ...]:
        """The alternatives without those that are subsumed: another one has fewer conditions."""
        if len(options) < _COMPARED or any(one.has_evaluated for one in options):
            return options
        pairs = ((option.conditions, option) for option in options)
        sets = sorted(pairs, key=lambda pair: len(pair[0]))
        # A subset of a set is looked up by its rarest condition.
        times = Counter(condition for conditions, _ in sets for condition in conditions)
        by_rarest: dict[object, list[frozenset[object]]] = {}
        kept: list[Constraints] = []
        for conditions, option in sets:
            fewer = [one for condition in conditions for one in by_rarest.get(condition, ())]
            # Whatever is compared: that differs from run to run, as the order of sets does.
            self.report.count(_SUBSUMED_STEPS + len(conditions) // _COMPARED)
            if any(one <= conditions for one in fewer):
                continue
            kept.append(option)
            if not conditions:
                break
            by_rarest.setdefault(min(conditions, key=times.__getitem__), []).append(conditions)
        return tuple(kept)

    def union(self, *parts: Disjunction[Constraints]) -> Disjunction[Constraints]:
        """The disjunction of several disjunctions."""
        options = tuple(dict.fromkeys(option for part in parts for option in part.options))
        self.report.count(1 + len(options) // _COMPARED)
        if self.keywords.everything.options[0] in options and not any(
            one.has_evaluated for one in options
        ):
            return self.keywords.everything
        return Disjunction(self.without_subsumed(options), joined(*parts))

    def check(self, count: int, where: str, steps: int = 1) -> None:
        """Count steps of work; raise `GrammarLimitError` for too many alternatives or steps."""
        if count > self.report.limits.shapes:
            raise GrammarLimitError(where, "alternatives of one schema", self.report.limits.shapes)
        self.report.count(steps, where)

    def branches(self, location: Location, keyword: str) -> list[Conjunction]:
        """The schemas of `allOf`, `anyOf` or `oneOf`."""
        count = len(location.schema[keyword])
        return [self.locations.child(location, keyword, index) for index in range(count)]

    def _plain(self, location: Location, *, evaluated: bool) -> Disjunction[Constraints]:
        """The values that satisfy all keywords of a schema, except those that combine schemas."""
        keywords = self.keywords
        if not types_of(location) & keywords.json_type:
            return keywords.nothing
        if keywords.known.isdisjoint(location.keys):
            return keywords.everything
        option = keywords.conditions(location, evaluated=evaluated)
        values = self._constants(location)
        if option is None or values is None:
            return keywords.nothing if option is None else Disjunction((option,))
        keyword = "const" if "const" in location.schema else "enum"
        parts = (value if isinstance(value, list) else value.values() for value in values)
        self.report.foresee_constants(chain.from_iterable(parts), f"{location.pointer}/{keyword}")
        merged = (keywords.merge(keywords.constant(value, location), option) for value in values)
        return Disjunction(tuple(one for one in merged if one is not None))

    def _constants(self, location: Location) -> list[Any] | None:
        """The values of `enum` or `const` of the type; `None` without either."""
        if "enum" not in location.schema and "const" not in location.schema:
            return None
        values = constants(location.schema)
        return [value for value in values if isinstance(value, self.keywords.python_type)]

    def _satisfying(
        self, location: Location, *, evaluated: bool
    ) -> Steps[Disjunction[Constraints]]:
        keyword = f"unevaluated{'Items' if self.keywords.name == 'arrays' else 'Properties'}"
        own = keyword in location.schema
        asked, evaluated = evaluated, evaluated or own
        result = self._plain(location, evaluated=evaluated)
        if not result.options:
            return result
        for part in self._parts(location, evaluated=evaluated):
            found = yield from part
            result = yield from self.product(result, found, location.pointer)
            if not result.options:
                return result
        if own:
            closed = (
                self.keywords.close_unevaluated(location, option) for option in result.options
            )
            options = tuple(option for option in closed if option is not None)
            if not asked:  # annotations do not leave a subschema that is not asked for them
                options = tuple(map(without_evaluated, options))
            result = Disjunction(options, result.restrictions)
        return result

    def _parts(
        self, location: Location, *, evaluated: bool
    ) -> Iterator[Steps[Disjunction[Constraints]]]:
        schema, child = location.schema, self.locations.child
        for keyword in _REFERENCES:
            if keyword in schema:
                yield self.of(self.locations.target(location, keyword), evaluated=evaluated)
        for branch in self.branches(location, "allOf") if "allOf" in schema else ():
            yield self.of(branch, evaluated=evaluated)
        if self.keywords.name == "objects":
            for name, node in dependent_schemas(location, self.locations):
                yield self._depending(name, node, location, evaluated=evaluated)
        if "if" in schema:
            yield self._conditional(location, evaluated=evaluated)
        if "anyOf" in schema:
            yield self._any_of(location, evaluated=evaluated)
        if "oneOf" in schema:
            yield exactly_one(self, location, self.branches(location, "oneOf"), evaluated=evaluated)
        if "not" in schema:
            yield self.of(negated(child(location, "not")))

    def _depending(
        self, name: str, node: Conjunction, location: Location, *, evaluated: bool
    ) -> Steps[Disjunction[Constraints]]:
        found = yield from self.of(node, evaluated=evaluated)
        if found is self.keywords.everything:
            return found
        with_name: Any = Disjunction((having(name),))
        without: Any = Disjunction((lacking(name),))
        present = yield from self.product(with_name, found, location.pointer)
        return self.union(without, present)

    def _conditional(
        self, location: Location, *, evaluated: bool
    ) -> Steps[Disjunction[Constraints]]:
        schema, child = location.schema, self.locations.child
        condition = child(location, "if")
        if "then" not in schema and "else" not in schema and not evaluated:
            return self.keywords.everything
        met = yield from self.of(condition, evaluated=evaluated)
        if "then" in schema:
            then = yield from self.of(child(location, "then"), evaluated=evaluated)
            met = yield from self.product(met, then, location.pointer)
        if "else" not in schema and "then" not in schema:
            return self.union(met, self.keywords.everything)
        unmet = yield from self.of(negated(condition))
        if "else" in schema:
            otherwise = yield from self.of(child(location, "else"), evaluated=evaluated)
            unmet = yield from self.product(unmet, otherwise, location.pointer)
        return self.union(met, unmet)

    def _any_of(self, location: Location, *, evaluated: bool) -> Steps[Disjunction[Constraints]]:
        parts: list[Disjunction[Constraints]] = []
        for branch in self.branches(location, "anyOf"):
            parts.append((yield from self.of(branch, evaluated=evaluated)))  # noqa: PERF401 -- it yields
        if not evaluated:
            return self.union(*parts)
        # Every branch that a value satisfies evaluates parts of it, so branches are combined.
        evaluating = [part for part in parts if any(one.has_evaluated for one in part.options)]
        restrictions: tuple[Remark, ...] = ()
        most = len(evaluating)
        if most > _SUBSETS:
            most = 1
            sentence = (
                "values are left out that satisfy `unevaluatedItems` or `unevaluatedProperties`"
                " only because several branches together evaluate their items or properties"
            )
            restrictions = (Remark(location.pointer, "anyOf", sentence),)
        combined: list[Disjunction[Constraints]] = []
        for size in range(2, most + 1):
            for chosen in combinations(evaluating, size):
                together = chosen[0]
                for part in chosen[1:]:
                    together = yield from self.product(together, part, location.pointer)
                combined.append(together)
        options = tuple(
            dict.fromkeys(option for part in (*parts, *combined) for option in part.options)
        )
        self.check(len(options), location.pointer)
        return Disjunction(options, joined(*parts) + restrictions)

    def _violating(self, location: Location) -> Steps[Disjunction[Constraints]]:
        """The values that violate any keyword of a schema."""
        keywords = self.keywords
        if not types_of(location) & keywords.json_type:
            return keywords.everything
        result = keywords.nothing
        if not keywords.known.isdisjoint(location.keys):
            result = keywords.violating(location)
        values = self._constants(location)
        if values is not None:
            others = keywords.everything
            for value in values:
                differing = Disjunction(tuple(keywords.other_than(value, location)))
                others = yield from self.product(others, differing, location.pointer, _FEW)
            result = self.union(result, others)
        left_out: list[tuple[str, str]] = [
            (one.keyword, one.sentence) for one in result.restrictions
        ]
        for keyword, part in self._violating_parts(location):
            if self.keywords.everything.options[0] in result.options:
                return self.keywords.everything
            try:
                result = self.union(result, (yield from part))
            except GrammarUnsupportedError as problem:
                left_out.append((keyword, str(problem)))
                sentence = f"negated, it leaves out values that violate only `{keyword}`: {problem}"
                remark = Remark(location.pointer, keyword, sentence)
                result = Disjunction(result.options, (*result.restrictions, remark))
        for keyword in ("unevaluatedItems", "unevaluatedProperties"):
            if keyword in location.schema and (self.keywords.name == "arrays") == (
                "Items" in keyword
            ):
                reason = "under a negation it is not known which items or properties are evaluated"
                left_out.append((keyword, reason))
                sentence = f"negated, it leaves out values that violate only `{keyword}`"
                remark = Remark(location.pointer, keyword, sentence)
                result = Disjunction(result.options, (*result.restrictions, remark))
        self.check(len(result.options), location.pointer)
        if left_out and not result.options:
            keyword, reason = left_out[0]
            self.report.unsupported(
                location.pointer,
                keyword,
                f"its negation, which `not`, `oneOf` or `if` needs, cannot be expressed: {reason}",
            )
            return self.keywords.everything
        return result

    def _violating_parts(
        self, location: Location
    ) -> Iterator[tuple[str, Steps[Disjunction[Constraints]]]]:
        schema, child = location.schema, self.locations.child
        for keyword in _REFERENCES:
            if keyword in schema:
                yield keyword, self.of(negated(self.locations.target(location, keyword)))
        for branch in self.branches(location, "allOf") if "allOf" in schema else ():
            yield "allOf", self.of(negated(branch))
        if self.keywords.name == "objects":
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

    def _none_of(
        self, location: Location, branches: list[Conjunction]
    ) -> Steps[Disjunction[Constraints]]:
        result = self.keywords.everything
        for branch in branches:
            found = yield from self.of(negated(branch))
            result = yield from self.product(result, found, location.pointer, MOST)
        return result

    def _two_of(
        self, location: Location, one: Conjunction, other: Conjunction
    ) -> Steps[Disjunction[Constraints]]:
        left = yield from self.of(one)
        right = yield from self.of(other)
        return (yield from self.product(left, right, location.pointer))

    def _not_depending(
        self, name: str, node: Conjunction, location: Location
    ) -> Steps[Disjunction[Constraints]]:
        found = yield from self.of(negated(node))
        with_name: Any = Disjunction((having(name),))
        return (yield from self.product(with_name, found, location.pointer))

    def _not_conditional(self, location: Location) -> Steps[Disjunction[Constraints]]:
        schema, child = location.schema, self.locations.child
        condition = child(location, "if")
        result = self.keywords.nothing
        for keyword, when in (("then", condition), ("else", negated(condition))):
            if keyword in schema:
                one = yield from self.of(when)
                other = yield from self.of(negated(child(location, keyword)))
                met = yield from self.product(one, other, location.pointer)
                result = self.union(result, met)
        return result


def joined(*parts: Disjunction[Any]) -> tuple[Remark, ...]:
    """The restrictions of several disjunctions, each once."""
    if not any(part.restrictions for part in parts):
        return ()
    return tuple(dict.fromkeys(remark for part in parts for remark in part.restrictions))
