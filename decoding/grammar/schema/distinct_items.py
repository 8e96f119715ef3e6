"""Rewrites array shapes with `uniqueItems` so that token masks can enforce it, or refuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from decoding.bounded_repr import shown
from decoding.grammar.json.cardinality import (
    MAX_MEMBERS,
    MAX_VALUES,
    can_always_go_on,
    may_differ,
    members,
)
from decoding.grammar.json.shapes import ArrayShape, Node, ObjectShape
from decoding.grammar.json.tracked_values import value_key
from decoding.grammar.regular.expressions import least
from decoding.grammar.schema.completions import FEW, choices_left, narrowing, tracked_values
from decoding.grammar.schema.report import Remark, Report

COMPOUND = (
    "masks cannot compare arrays and objects with earlier items, and two items or more are"
    " required; leave `uniqueItems` out and check the result, or compile with"
    " on_unsupported='ignore'"
)
COMPOUND_LEFT_OUT = (
    "arrays of several items that contain arrays or objects are left out: masks cannot compare"
    " arrays and objects with earlier items"
)
COUNTED = (
    "masks cannot count items for `contains` and keep them distinct; leave out `minContains`,"
    " `maxContains` and `maxItems`, or `uniqueItems`"
)
CONTAINED = (
    "beside `contains`, every beginning of an item must have infinitely many completions; leave"
    " one of the two keywords out"
)
TOO_FEW = (
    "some beginning of an item has too few completions; give the values as `enum`, or lower"
    " `minItems`"
)
DIFFERENT_IN = (
    "an array of several objects has at most one for each value of their property {}: masks compare"
    " objects by this property alone"
)
NARROWED = "the 29th to 31st of a month and integers next to their bounds are left out"
AT_MOST = "an array has at most {} items: some beginning of an item has no more completions"
NO_FRACTIONS = "an array of more than {} items has no numbers with a fraction in it"
NO_FRACTION: Mapping[str, Any] = {"type": ["null", "boolean", "string", "integer"]}
OBJECTS: Mapping[str, Any] = {"type": "object"}
SCALARS: Mapping[str, Any] = {"type": ["null", "boolean", "number", "string"]}


class ItemNodes(Protocol):
    """The part of a schema graph that `UniqueItems` uses: reads nodes and makes new ones."""

    def node(self, number: int) -> Node:
        """The node of this number."""

    def simplified(self, shape: ArrayShape) -> ArrayShape | None:
        """A shape without parts that cannot occur; `None` where no array has it."""

    def with_item_schema(self, shape: ArrayShape, schema: Mapping[str, Any]) -> ArrayShape:
        """The arrays of a shape whose items are valid under one more schema."""

    def constants(self, values: Iterable[Any]) -> tuple[int, ...]:
        """The nodes of the single values in `values`, each once."""

    def item_classes(
        self, shape: ArrayShape, schemas: Sequence[Mapping[str, Any]]
    ) -> tuple[int, ...]:
        """The nodes of some schemas. Also makes the nodes of a shape's items under each schema."""


class UniqueItems:
    """Chooses, for each array shape, the way in which masks keep its items distinct."""

    def __init__(self, nodes: ItemNodes, report: Report) -> None:
        self._nodes, self._report = nodes, report

    def shapes(self, shape: ArrayShape, simplified: ArrayShape, where: str) -> Iterator[ArrayShape]:
        """Shapes whose items masks can keep distinct. They may have fewer arrays than `shape`."""
        items = self._items(simplified)
        if any(item.arrays or item.objects for item in items):
            plain = self._nodes.with_item_schema(shape, SCALARS)
            left = self._nodes.simplified(plain) if any(map(_has_scalars, items)) else None
            if self._report.on_unsupported == "ignore":
                yield self._not_unique(shape, where, COMPOUND)
                return
            by_property = None if simplified.contains else self._by_property(shape, where)
            if by_property is not None:
                yield by_property
            elif shape.minimum > 1 and left is None:
                yield self._not_unique(shape, where, COMPOUND)
                return
            else:
                self._restrict(where, COMPOUND_LEFT_OUT)
            if shape.minimum <= 1:
                yield replace(shape, unique=False, maximum=1)
            if left is not None and left.unique and not (left.contains and shape.minimum <= 1):
                yield from self.shapes(plain, left, where)
            return
        if simplified.contains:
            yield self._containing(shape, simplified, items, where)
            return
        tracked = tracked_values(items)
        if tracked is not None:
            if not _can_differ(simplified, items):
                return
            nodes = self._nodes.constants(tracked) if len(tracked) <= MAX_MEMBERS else ()
            if nodes:
                yield replace(shape, members=nodes)
            else:
                yield replace(shape, values=tracked)
            return
        yield from self._remembered(shape, simplified, items, where)

    def _by_property(self, shape: ArrayShape, where: str) -> ArrayShape | None:
        """The arrays of objects that differ in one required property with few values."""
        objects = self._nodes.with_item_schema(shape, OBJECTS)
        found = [one for item in self._items(objects) for one in item.objects]
        if not found or len({len(item.objects) > 0 for item in self._items(objects)}) > 1:
            return None
        best, values = "", list[Any]()
        for name in [one.name for one in found[0].properties if one.required]:
            listed = self._values(found, name)
            if len(values) < len(listed) <= MAX_MEMBERS:
                best, values = name, listed
        if len(values) < max(shape.minimum, 2) or (shape.prefix and shape.minimum > 1):
            return None
        self._restrict(where, DIFFERENT_IN.format(shown(best)))
        schemas = [
            {"type": "object", "required": [best], "properties": {best: {"const": value}}}
            for value in values
        ]
        return replace(objects, members=self._nodes.item_classes(objects, schemas))

    def _values(self, shapes: Sequence[ObjectShape], name: str) -> list[Any]:
        """The values of a property that all `shapes` require; none unless they are few scalars."""
        found: dict[object, Any] = {}
        for shape in shapes:
            nodes = [one.node for one in shape.properties if one.name == name and one.required]
            if not nodes or nodes[0] is None:
                return []
            node = self._nodes.node(nodes[0])
            listed = None if node.arrays or node.objects else members(node)
            if listed is None:
                return []
            found.update((value_key(value), value) for value in listed)
        return list(found.values())

    def _containing(
        self, shape: ArrayShape, simplified: ArrayShape, items: list[Node], where: str
    ) -> ArrayShape:
        """The shape of distinct items with `contains`, where masks can enforce both."""
        counted = any(one.minimum > 1 or one.maximum is not None for one in simplified.contains)
        if counted or simplified.maximum is not None:
            return self._not_unique(shape, where, COUNTED)
        if not all(map(can_always_go_on, items)):
            return self._not_unique(shape, where, CONTAINED)
        self._spell_once(where)
        return shape

    def _remembered(
        self, shape: ArrayShape, simplified: ArrayShape, items: list[Node], where: str
    ) -> Iterator[ArrayShape]:
        """Shapes whose earlier items masks remember as texts."""
        self._spell_once(where)
        most = self._fewest(simplified)
        if most is None:
            yield shape
            return
        whole = self._nodes.with_item_schema(shape, NO_FRACTION)
        if self._fewest(whole) is None and self._nodes.simplified(whole) is not None:
            # Of integers there are always more, of fractions of some digits there are not.
            yield whole
            self._restrict(where, NO_FRACTIONS.format(most))
            if most >= shape.minimum:
                yield replace(shape, maximum=least(shape.maximum, most))
            return
        if most < FEW:
            fewer = self._nodes.with_item_schema(shape, narrowing(items))
            better = self._fewest(fewer)
            if better is None or better >= FEW:
                shape, most = fewer, better
                self._restrict(where, NARROWED)
        if most is None:
            yield shape
        elif most < shape.minimum:
            yield self._not_unique(shape, where, TOO_FEW)
        else:
            most = max(most, 1)
            if simplified.maximum is None or simplified.maximum > most:
                self._restrict(where, AT_MOST.format(most))
            yield replace(shape, maximum=least(shape.maximum, most))

    def _items(self, shape: ArrayShape) -> list[Node]:
        """The nodes of the items of a shape, by position; the last one is that of further items."""
        numbers = (*shape.prefix, *(() if shape.rest is None else (shape.rest,)))
        return [self._nodes.node(number) for number in numbers]

    def _fewest(self, shape: ArrayShape) -> int | None:
        """The fewest different items that any beginning can become; `None`: always enough."""
        found: list[int] = []
        for index, item in enumerate(self._items(shape)):
            fewest: int | None = item.null + item.true + item.false
            if item.strings is not None or item.numbers:
                fewest = choices_left(item, self._report.count)
            # Only the items before it can have taken the values of an item of the prefix.
            if fewest is not None and (index == len(shape.prefix) or fewest <= index):
                found.append(fewest)
        return min(found, default=None)

    def _not_unique(self, shape: ArrayShape, where: str, reason: str) -> ArrayShape:
        self._report.unsupported(where, "uniqueItems", reason)
        return replace(shape, unique=False)

    def _restrict(self, where: str, sentence: str) -> None:
        self._report.restrictions[Remark(where, "uniqueItems", sentence)] = None

    def _spell_once(self, where: str) -> None:
        sentence = "each number and string in it has one spelling: 1.0, 1e0 and \\/ are not written"
        self._report.spelled_once[Remark(where, "uniqueItems", sentence)] = None


def _can_differ(shape: ArrayShape, items: Sequence[Node]) -> bool:
    """Whether an array of few values can have as many items as it must, all different."""
    bits: dict[object, int] = {}
    choices = []
    for item in items:
        keys = map(value_key, members(item, MAX_VALUES) or ())
        choices.append(sum(bits.setdefault(key, 1 << len(bits)) for key in dict.fromkeys(keys)))
    if shape.minimum > len(bits):
        return False
    further = choices[-1:] if shape.rest is not None else []
    positions = [*choices[: len(shape.prefix)], *further * shape.minimum]
    return may_differ(positions[: shape.minimum], 0)


def _has_scalars(item: Node) -> bool:
    plain = item.null or item.true or item.false or bool(item.numbers)
    return plain or item.strings is not None
