"""Arrays and objects in the making: conjunctions of what several schemas say of one value.

A draft names the nodes of items and properties by conjunctions of locations, which need not have
been looked at. That makes recursive schemas harmless: whoever merges drafts never looks deeper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from decoding.grammar.json.shapes import least
from decoding.grammar.regular.expressions import Expression
from decoding.grammar.regular.string_sets import holds
from decoding.grammar.schema.locations import EVERYTHING, NOTHING, Conjunction
from decoding.grammar.schema.report import Remark


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """What one schema says of an object's values by their keys.

    properties: by exact name. patterns: whoever matches. additional: all keys that are neither.
    """

    properties: Mapping[str, Conjunction] = field(default_factory=dict)
    patterns: tuple[tuple[Expression, Conjunction], ...] = ()
    additional: Conjunction = EVERYTHING


@dataclass(frozen=True, slots=True)
class Witness:
    """Some key is no name of `outside`, is in none of `avoided`, is in `language`; and its value.

    language: conjuncts that strings must fulfil.
    """

    value: Conjunction
    outside: frozenset[str] = frozenset()
    avoided: tuple[Expression, ...] = ()
    within: Expression | None = None
    not_names: Conjunction = EVERYTHING
    where: str = ""


@dataclass(frozen=True, slots=True)
class SeenKeys:
    """The keys whose values some schema has already spoken of."""

    names: frozenset[str] = frozenset()
    patterns: tuple[Expression, ...] = ()
    all: bool = False

    def __or__(self, other: SeenKeys) -> SeenKeys:
        if self.all or other is NO_KEYS:
            return self
        if other.all or self is NO_KEYS:
            return other
        return SeenKeys(
            self.names | other.names,
            tuple(dict.fromkeys((*self.patterns, *other.patterns))),
        )


NO_KEYS = SeenKeys()


@dataclass(frozen=True, slots=True)
class ObjectDraft:
    """Objects: the conjunction of all of these conditions."""

    groups: tuple[Group, ...] = ()
    required: frozenset[str] = frozenset()
    names: Conjunction = EVERYTHING
    dependent: tuple[tuple[str, frozenset[str]], ...] = ()
    minimum: int = 0
    maximum: int | None = None
    witnesses: tuple[Witness, ...] = ()
    seen: SeenKeys = NO_KEYS


@dataclass(frozen=True, slots=True)
class Counted:
    """Between `minimum` and `maximum` items fulfil `node`.

    where: the pointer of the schema that says so.
    """

    node: Conjunction
    minimum: int
    maximum: int | None
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class SeenItems:
    """The items that some schema has already spoken of: the first `count`, or those of `nodes`."""

    count: int = 0
    nodes: tuple[Conjunction, ...] = ()
    all: bool = False

    def __or__(self, other: SeenItems) -> SeenItems:
        if self.all or other is NO_ITEMS:
            return self
        if other.all or self is NO_ITEMS:
            return other
        return SeenItems(
            max(self.count, other.count), tuple(dict.fromkeys((*self.nodes, *other.nodes)))
        )


NO_ITEMS = SeenItems()


@dataclass(frozen=True, slots=True)
class ArrayDraft:
    """Arrays: the conjunction of all of these conditions.

    unique: the pointers of the schemas that ask for distinct items.
    """

    prefix: tuple[Conjunction, ...] = ()
    rest: Conjunction = EVERYTHING
    minimum: int = 0
    maximum: int | None = None
    contains: tuple[Counted, ...] = ()
    unique: tuple[str, ...] = ()
    seen: SeenItems = NO_ITEMS


ANY_OBJECT = ObjectDraft()
ANY_ARRAY = ArrayDraft()

Draft = TypeVar("Draft", bound="ObjectDraft | ArrayDraft")


@dataclass(frozen=True, slots=True)
class Found(Generic[Draft]):
    """A union of drafts. restrictions: what it leaves out though the schema does not."""

    drafts: tuple[Draft, ...]
    restrictions: tuple[Remark, ...] = ()


def merge_objects(one: ObjectDraft, other: ObjectDraft) -> ObjectDraft | None:
    """The objects of both drafts; `None` where it is plain that there are none."""
    if one is ANY_OBJECT:
        return other
    if other is ANY_OBJECT:
        return one
    minimum = max(one.minimum, other.minimum)
    maximum = least(one.maximum, other.maximum)
    required = one.required | other.required
    if maximum is not None and max(minimum, len(required)) > maximum:
        return None
    return ObjectDraft(
        tuple(dict.fromkeys((*one.groups, *other.groups))),
        required,
        one.names | other.names,
        tuple(dict.fromkeys((*one.dependent, *other.dependent))),
        minimum,
        maximum,
        tuple(dict.fromkeys((*one.witnesses, *other.witnesses))),
        one.seen | other.seen,
    )


def value_at(draft: ObjectDraft, name: str) -> Conjunction:
    """What a draft asks of the value at a key."""
    result = EVERYTHING
    for group in draft.groups:
        declared = group.properties.get(name)
        if declared is not None:
            result |= declared
        elif not group.patterns:
            result |= group.additional
            continue
        if group.patterns:
            met = False
            for language, node in group.patterns:
                if holds(language, name):
                    result |= node
                    met = True
            if not met and declared is None:
                result |= group.additional
    return result


def merge_arrays(one: ArrayDraft, other: ArrayDraft) -> ArrayDraft | None:
    """The arrays of both drafts; `None` where it is plain that there are none."""
    if one is ANY_ARRAY:
        return other
    if other is ANY_ARRAY:
        return one
    length = max(len(one.prefix), len(other.prefix))
    prefix = tuple(item_at(one, index) | item_at(other, index) for index in range(length))
    minimum = max(one.minimum, other.minimum)
    maximum = least(one.maximum, other.maximum)
    if maximum is not None and minimum > maximum:
        return None
    return ArrayDraft(
        prefix,
        one.rest | other.rest,
        minimum,
        maximum,
        tuple(dict.fromkeys((*one.contains, *other.contains))),
        one.unique + other.unique,
        one.seen | other.seen,
    )


def item_at(draft: ArrayDraft, index: int) -> Conjunction:
    """What a draft asks of the item at an index."""
    return draft.prefix[index] if index < len(draft.prefix) else draft.rest


def closed_at(draft: ArrayDraft) -> ArrayDraft:
    """The same arrays, with a `maximum` where an item is plainly impossible."""
    maximum = draft.maximum
    for index, node in enumerate((*draft.prefix, draft.rest)):
        if node >= NOTHING:
            maximum = least(maximum, index)
            break
    return draft if maximum == draft.maximum else replace(draft, maximum=maximum)
