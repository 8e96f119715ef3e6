"""Translates the keywords of one schema for arrays, and their negations, to constraints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

from decoding.grammar.schema.constraints import (
    ANY_ARRAY,
    NO_ITEMS,
    ArrayConstraints,
    ContainsConstraint,
    Disjunction,
    EvaluatedItems,
    item_at,
    merge_arrays,
    with_implied_maximum,
)
from decoding.grammar.schema.locations import (
    EVERYTHING,
    NOTHING,
    Conjunction,
    Location,
    Locations,
)
from decoding.grammar.schema.object_keywords import negated
from decoding.grammar.schema.report import Remark, Report
from decoding.grammar.schema.scalar_sets import ARRAY, whole
from decoding.grammar.schema.solver import Steps

NO_ARRAYS: Disjunction[ArrayConstraints] = Disjunction(())
ALL_ARRAYS: Disjunction[ArrayConstraints] = Disjunction((ANY_ARRAY,))

_COPIED = 64  # items that are copied per step of work
_LOOKED_AT = 8  # required items that are examined for emptiness
_ITEMS = frozenset(("items", "prefixItems", "additionalItems"))


class ArrayKeywords:
    """`TypeKeywords` of arrays: translates array keywords and their negations to constraints."""

    name = "arrays"
    json_type = ARRAY
    python_type = list
    known = _ITEMS | {"minItems", "maxItems", "uniqueItems", "contains", "enum", "const"}
    everything: Disjunction[ArrayConstraints] = ALL_ARRAYS
    nothing: Disjunction[ArrayConstraints] = NO_ARRAYS

    def __init__(self, locations: Locations, report: Report) -> None:
        self.locations = locations
        self.report = report

    def violating(self, location: Location) -> Disjunction[ArrayConstraints]:
        """The arrays that violate a keyword, except constants and those that combine schemas."""
        restrictions: list[Remark] = []
        options = tuple(
            chain(
                self._violating_items(location, restrictions),
                self._violating_counts(location, restrictions),
            )
        )
        return Disjunction(options, tuple(restrictions))

    def items(self, location: Location) -> tuple[tuple[Conjunction, ...], Conjunction]:
        """The schemas of the first items one by one, and that of all other items."""
        schema, child = location.schema, self.locations.child
        first, rest = "prefixItems", "items"
        if isinstance(schema.get("items"), list):
            first, rest = "items", "additionalItems"
        return (
            tuple(child(location, first, index) for index in range(len(schema.get(first, ())))),
            child(location, rest) if rest in schema else EVERYTHING,
        )

    def merge(self, one: ArrayConstraints, other: ArrayConstraints) -> ArrayConstraints | None:
        """The conjunction of two constraints; `None` where it is plainly unsatisfiable."""
        return merge_arrays(one, other)

    def impossible(self, option: ArrayConstraints, depth: int) -> Steps[bool]:
        """Whether it is proved, `depth` levels down, that a required item has no valid value."""
        for index in range(min(option.minimum, len(option.prefix) + 1, _LOOKED_AT)):
            node = item_at(option, index)
            if len(node) > 1 or node == NOTHING:
                empty: bool = yield ("empty", node, depth)
                if empty:
                    return True
        for counted in option.contains:
            if counted.minimum and not option.prefix:
                empty = yield ("empty", counted.node | option.rest, depth)
                if empty:
                    return True
        return False

    def close_unevaluated(
        self, location: Location, option: ArrayConstraints
    ) -> ArrayConstraints | None:
        """Apply `unevaluatedItems` to the items that are not evaluated yet."""
        node = self.locations.child(location, "unevaluatedItems")
        if option.evaluated.all or not node:
            return replace(option, evaluated=EvaluatedItems(all=True))
        if option.evaluated.nodes:
            node = self.locations.any_of((*option.evaluated.nodes, node), location)
        unevaluated = ArrayConstraints((EVERYTHING,) * option.evaluated.count, node)
        return merge_arrays(
            replace(option, evaluated=EvaluatedItems(all=True)), with_implied_maximum(unevaluated)
        )

    def conditions(self, location: Location, *, evaluated: bool) -> ArrayConstraints | None:
        """The arrays that satisfy all keywords but constants and those that combine schemas."""
        schema, pointer = location.schema, location.pointer
        prefix, rest = self.items(location)
        minimum = whole(schema, "minItems", pointer) if "minItems" in schema else 0
        maximum = whole(schema, "maxItems", pointer) if "maxItems" in schema else None
        contains: tuple[ContainsConstraint, ...] = ()
        if "contains" in schema:
            contained, low, high = self._contained(location)
            if high is not None and high < low:
                return None
            if low or high is not None:
                contains = (ContainsConstraint(contained, low, high, pointer),)
            minimum = max(minimum, low)
        items = NO_ITEMS
        if evaluated:
            evaluating = location.scope.dialect.contains_evaluates and "contains" in schema
            first, others = "prefixItems", "items"
            if isinstance(schema.get("items"), list):
                first, others = "items", "additionalItems"
            items = EvaluatedItems(
                len(schema.get(first, ())),
                (self.locations.child(location, "contains"),) if evaluating else (),
                others in schema,
            )
        unique = schema.get("uniqueItems") is True and (maximum is None or maximum > 1)
        option = with_implied_maximum(
            ArrayConstraints(
                prefix,
                rest,
                minimum,
                maximum,
                contains,
                (pointer,) if unique else (),
                items,
            )
        )
        if option.maximum is not None and option.maximum < option.minimum:
            return None
        return option

    def _contained(self, location: Location) -> tuple[Conjunction, int, int | None]:
        schema, pointer = location.schema, location.pointer
        low = whole(schema, "minContains", pointer) if "minContains" in schema else 1
        high = whole(schema, "maxContains", pointer) if "maxContains" in schema else None
        return self.locations.child(location, "contains"), low, high

    def _violating_items(
        self, location: Location, restrictions: list[Remark]
    ) -> Iterator[ArrayConstraints]:
        if _ITEMS.isdisjoint(location.keys):
            return
        prefix, rest = self.items(location)
        for index, node in enumerate(prefix):
            if node:
                yield at_index(index, negated(node))
        if not rest:
            return
        if rest == NOTHING:
            yield ArrayConstraints(minimum=len(prefix) + 1)
        elif prefix:
            sentence = (
                "an array that must violate `items` does so at the first item after `prefixItems`"
                f" (index {len(prefix)}); arrays that do so only at later items are left out"
            )
            restrictions.append(Remark(location.pointer, "items", sentence))
            yield at_index(len(prefix), negated(rest))
        else:
            counted = ContainsConstraint(negated(rest), 1, None, location.pointer)
            yield ArrayConstraints(minimum=1, contains=(counted,))

    def _violating_counts(
        self, location: Location, restrictions: list[Remark]
    ) -> Iterator[ArrayConstraints]:
        schema, pointer = location.schema, location.pointer
        if "minItems" in schema:
            least = whole(schema, "minItems", pointer)
            if least:
                yield ArrayConstraints(maximum=least - 1)
        if "maxItems" in schema:
            yield ArrayConstraints(minimum=whole(schema, "maxItems", pointer) + 1)
        if "contains" in schema:
            node, low, high = self._contained(location)
            if low == 1:
                yield with_implied_maximum(ArrayConstraints(rest=negated(node)))
            elif low:
                yield ArrayConstraints(contains=(ContainsConstraint(node, 0, low - 1, pointer),))
            if high is not None:
                counted = ContainsConstraint(node, high + 1, None, pointer)
                yield ArrayConstraints(minimum=high + 1, contains=(counted,))
        if schema.get("uniqueItems") is True:
            sentence = (
                "arrays that violate only `uniqueItems` are left out: that two items are equal"
                " cannot be expressed"
            )
            restrictions.append(Remark(pointer, "uniqueItems", sentence))

    def constant(self, value: list[Any], location: Location) -> ArrayConstraints:
        """The arrays that equal one in `enum` or `const`."""
        items = tuple(self.locations.constant(item, location) for item in value)
        return ArrayConstraints(items, NOTHING, len(value), len(value))

    def other_than(self, value: list[Any], location: Location) -> Iterator[ArrayConstraints]:
        """The arrays that differ from one in `enum` or `const`."""
        # Item by item: an array of all items up to it.
        self.report.count(len(value) ** 2 // _COPIED)
        if value:
            yield ArrayConstraints(maximum=len(value) - 1)
        for index, item in enumerate(value):
            yield at_index(index, negated(self.locations.constant(item, location)))
        yield ArrayConstraints(minimum=len(value) + 1)


def at_index(index: int, node: Conjunction) -> ArrayConstraints:
    """The constraint that an item exists at an index and is valid under the schemas `node`."""
    return ArrayConstraints((EVERYTHING,) * index + (node,), minimum=index + 1)
