"""What the plain keywords of one schema say of arrays, and what their negations say."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from decoding.errors import GrammarSyntaxError
from decoding.grammar.schema.drafts import (
    ANY_ARRAY,
    NO_ITEMS,
    ArrayDraft,
    Counted,
    Found,
    SeenItems,
    closed_at,
    merge_arrays,
)
from decoding.grammar.schema.locations import (
    EVERYTHING,
    NOTHING,
    Conjunction,
    Location,
    Locations,
)
from decoding.grammar.schema.objects import constants, negated
from decoding.grammar.schema.report import Remark, Report
from decoding.grammar.schema.scalars import ARRAY, kinds_of, whole

NO_ARRAYS: Found[ArrayDraft] = Found(())
ALL_ARRAYS: Found[ArrayDraft] = Found((ANY_ARRAY,))

_ITEMS = frozenset(("items", "prefixItems", "additionalItems"))
_KEYWORDS = _ITEMS | {"minItems", "maxItems", "uniqueItems", "contains", "enum", "const"}


class Arrays:
    """How locations speak of arrays."""

    name = "arrays"
    kind = ARRAY

    def __init__(self, locations: Locations, report: Report) -> None:
        self.locations = locations
        self.report = report

    def plain(self, location: Location, *, seen: bool) -> Found[ArrayDraft]:
        """The arrays that fulfil all keywords of a location but its logic."""
        if not kinds_of(location) & ARRAY:
            return NO_ARRAYS
        if _KEYWORDS.isdisjoint(location.keys):
            return ALL_ARRAYS
        draft = self._conditions(location, seen=seen)
        if draft is None:
            return NO_ARRAYS
        if "const" not in location.schema and "enum" not in location.schema:
            return Found((draft,))
        merged = (merge_arrays(constant, draft) for constant in self._constants(location))
        return Found(tuple(one for one in merged if one is not None))

    def denied(self, location: Location) -> Found[ArrayDraft]:
        """The arrays that break a keyword of a location, its logic aside."""
        if not kinds_of(location) & ARRAY:
            return ALL_ARRAYS
        if _KEYWORDS.isdisjoint(location.keys):
            return NO_ARRAYS
        restrictions: list[Remark] = []
        drafts = tuple(
            chain(
                self._broken_items(location, restrictions),
                self._broken_counts(location, restrictions),
            )
        )
        return Found(drafts, tuple(restrictions))

    def denied_constants(self, location: Location) -> list[tuple[ArrayDraft, ...]] | None:
        """For each array among a location's `enum` or `const`, the arrays other than it."""
        schema = location.schema
        if "enum" not in schema and "const" not in schema:
            return None
        values = constants(schema)
        return [
            tuple(self._other_than(value, location)) for value in values if isinstance(value, list)
        ]

    def items(self, location: Location) -> tuple[tuple[Conjunction, ...], Conjunction]:
        """What a location says of items: of the first ones, and of all others."""
        schema, child = location.schema, self.locations.child
        first, rest = "prefixItems", "items"
        if isinstance(schema.get("items"), list):
            first, rest = "items", "additionalItems"
        prefix = schema.get(first, ())
        if not isinstance(prefix, list | tuple):
            raise GrammarSyntaxError(f"{location.pointer}/{first}", "a list of schemas")
        return (
            tuple(child(location, first, index) for index in range(len(prefix))),
            child(location, rest) if rest in schema else EVERYTHING,
        )

    def _conditions(self, location: Location, *, seen: bool) -> ArrayDraft | None:
        schema, pointer = location.schema, location.pointer
        prefix, rest = self.items(location)
        minimum = whole(schema, "minItems", pointer) if "minItems" in schema else 0
        maximum = whole(schema, "maxItems", pointer) if "maxItems" in schema else None
        contains: tuple[Counted, ...] = ()
        if "contains" in schema:
            contained, low, high = self._contained(location)
            if high is not None and high < low:
                return None
            if low or high is not None:
                contains = (Counted(contained, low, high, pointer),)
            minimum = max(minimum, low)
        items = NO_ITEMS
        if seen:
            evaluating = location.scope.dialect.contains_evaluates and "contains" in schema
            first, others = "prefixItems", "items"
            if isinstance(schema.get("items"), list):
                first, others = "items", "additionalItems"
            items = SeenItems(
                len(schema.get(first, ())),
                (self.locations.child(location, "contains"),) if evaluating else (),
                others in schema,
            )
        unique = schema.get("uniqueItems") is True and (maximum is None or maximum > 1)
        draft = closed_at(
            ArrayDraft(
                prefix,
                rest,
                minimum,
                maximum,
                contains,
                (pointer,) if unique else (),
                items,
            )
        )
        if draft.maximum is not None and draft.maximum < draft.minimum:
            return None
        return draft

    def _contained(self, location: Location) -> tuple[Conjunction, int, int | None]:
        schema, pointer = location.schema, location.pointer
        low = whole(schema, "minContains", pointer) if "minContains" in schema else 1
        high = whole(schema, "maxContains", pointer) if "maxContains" in schema else None
        return self.locations.child(location, "contains"), low, high

    def _broken_items(self, location: Location, restrictions: list[Remark]) -> Iterator[ArrayDraft]:
        if _ITEMS.isdisjoint(location.keys):
            return
        prefix, rest = self.items(location)
        for index, node in enumerate(prefix):
            if node:
                yield at_index(index, negated(node))
        if not rest:
            return
        if rest == NOTHING:
            yield ArrayDraft(minimum=len(prefix) + 1)
        elif prefix:
            sentence = (
                "an array that must break `items` does so at the first item behind `prefixItems`"
                f" (index {len(prefix)}); arrays that do so only further behind are left out"
            )
            restrictions.append(Remark(location.pointer, "items", sentence))
            yield at_index(len(prefix), negated(rest))
        else:
            counted = Counted(negated(rest), 1, None, location.pointer)
            yield ArrayDraft(minimum=1, contains=(counted,))

    def _broken_counts(
        self, location: Location, restrictions: list[Remark]
    ) -> Iterator[ArrayDraft]:
        schema, pointer = location.schema, location.pointer
        if "minItems" in schema:
            least = whole(schema, "minItems", pointer)
            if least:
                yield ArrayDraft(maximum=least - 1)
        if "maxItems" in schema:
            yield ArrayDraft(minimum=whole(schema, "maxItems", pointer) + 1)
        if "contains" in schema:
            node, low, high = self._contained(location)
            if low == 1:
                yield closed_at(ArrayDraft(rest=negated(node)))
            elif low:
                yield ArrayDraft(contains=(Counted(node, 0, low - 1, pointer),))
            if high is not None:
                counted = Counted(node, high + 1, None, pointer)
                yield ArrayDraft(minimum=high + 1, contains=(counted,))
        if schema.get("uniqueItems") is True:
            sentence = (
                "arrays that break `uniqueItems` alone are left out: that two items are equal"
                " cannot be asked for"
            )
            restrictions.append(Remark(pointer, "uniqueItems", sentence))

    def _constants(self, location: Location) -> Iterator[ArrayDraft]:
        for value in constants(location.schema):
            if not isinstance(value, list):
                continue
            items = tuple(self.locations.constant(item, location) for item in value)
            yield ArrayDraft(items, NOTHING, len(value), len(value))

    def _other_than(self, value: list[Any], location: Location) -> Iterator[ArrayDraft]:
        if value:
            yield ArrayDraft(maximum=len(value) - 1)
        for index, item in enumerate(value):
            yield at_index(index, negated(self.locations.constant(item, location)))
        yield ArrayDraft(minimum=len(value) + 1)


def at_index(index: int, node: Conjunction) -> ArrayDraft:
    """The arrays with such an item at an index."""
    return ArrayDraft((EVERYTHING,) * index + (node,), minimum=index + 1)
