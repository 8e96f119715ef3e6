"""Arrays and objects in the making: conjunctions of what several schemas say of one value.

A option names the nodes of items and properties by conjunctions of locations, which need not have
been looked at. That makes recursive schemas harmless: whoever merges options never looks deeper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from decoding.grammar.json.shapes import least
from decoding.grammar.regular.expressions import Expression
from decoding.grammar.regular.string_sets import holds
from decoding.grammar.schema.locations import EVERYTHING, NOTHING, Conjunction
from decoding.grammar.schema.report import Remark


@dataclass(frozen=True, slots=True, eq=False)
class PropertyGroup:
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
class EvaluatedKeys:
    """The keys whose values some schema has already spoken of."""

    names: frozenset[str] = frozenset()
    patterns: tuple[Expression, ...] = ()
    all: bool = False

    def __or__(self, other: EvaluatedKeys) -> EvaluatedKeys:
        if self.all or other is NO_KEYS:
            return self
        if other.all or self is NO_KEYS:
            return other
        return EvaluatedKeys(
            self.names | other.names,
            tuple(dict.fromkeys((*self.patterns, *other.patterns))),
        )


NO_KEYS = EvaluatedKeys()


@dataclass(frozen=True, slots=True)
class ObjectConstraints:
    """Objects: the conjunction of all of these conditions."""

    groups: tuple[PropertyGroup, ...] = ()
    required: frozenset[str] = frozenset()
    names: Conjunction = EVERYTHING
    dependent: tuple[tuple[str, frozenset[str]], ...] = ()
    minimum: int = 0
    maximum: int | None = None
    witnesses: tuple[Witness, ...] = ()
    evaluated: EvaluatedKeys = NO_KEYS

    @property
    def has_evaluated(self) -> bool:
        """Whether any property has been evaluated."""
        return self.evaluated != NO_KEYS

    @property
    def conditions(self) -> frozenset[object]:
        """All constraints as a set: of two conjunctions, the superset has fewer members."""
        return frozenset(
            (
                *self.groups,
                *self.required,
                *self.names,
                *self.dependent,
                *_bounds(self),
                *self.witnesses,
            )
        )


@dataclass(frozen=True, slots=True)
class ContainsConstraint:
    """Between `minimum` and `maximum` items fulfil `node`.

    where: the pointer of the schema that says so.
    """

    node: Conjunction
    minimum: int
    maximum: int | None
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class EvaluatedItems:
    """The items that some schema has already spoken of: the first `count`, or those of `nodes`."""

    count: int = 0
    nodes: tuple[Conjunction, ...] = ()
    all: bool = False

    def __or__(self, other: EvaluatedItems) -> EvaluatedItems:
        if self.all or other is NO_ITEMS:
            return self
        if other.all or self is NO_ITEMS:
            return other
        return EvaluatedItems(
            max(self.count, other.count), tuple(dict.fromkeys((*self.nodes, *other.nodes)))
        )


NO_ITEMS = EvaluatedItems()


@dataclass(frozen=True, slots=True)
class ArrayConstraints:
    """Arrays: the conjunction of all of these conditions.

    unique: the pointers of the schemas that ask for distinct items.
    """

    prefix: tuple[Conjunction, ...] = ()
    rest: Conjunction = EVERYTHING
    minimum: int = 0
    maximum: int | None = None
    contains: tuple[ContainsConstraint, ...] = ()
    unique: tuple[str, ...] = ()
    evaluated: EvaluatedItems = NO_ITEMS

    @property
    def has_evaluated(self) -> bool:
        """Whether any item has been evaluated."""
        return self.evaluated != NO_ITEMS

    @property
    def conditions(self) -> frozenset[object]:
        """All constraints as a set: of two conjunctions, the superset has fewer members."""
        items = ((index, literal) for index, node in enumerate(self.prefix) for literal in node)
        return frozenset(
            (
                *items,
                ("prefix", len(self.prefix)),
                ("rest", self.rest),
                *_bounds(self),
                *self.contains,
                *self.unique,
            )
        )


ANY_OBJECT = ObjectConstraints()
ANY_ARRAY = ArrayConstraints()

Constraints = TypeVar("Constraints", bound="ObjectConstraints | ArrayConstraints")


@dataclass(frozen=True, slots=True)
class Disjunction(Generic[Constraints]):
    """A union of options. restrictions: what it leaves out though the schema does not."""

    options: tuple[Constraints, ...]
    restrictions: tuple[Remark, ...] = ()


def without_evaluated(option: Constraints) -> Constraints:
    """The same constraints, with no part marked as evaluated."""
    nothing: Any = type(option.evaluated)()
    return replace(option, evaluated=nothing)


def _bounds(option: ObjectConstraints | ArrayConstraints) -> tuple[tuple[str, int], ...]:
    """The lower and upper bounds on the number of keys or items, as far as there are any."""
    lowest = (("minimum", option.minimum),) if option.minimum else ()
    return lowest if option.maximum is None else (*lowest, ("maximum", option.maximum))


def merge_objects(one: ObjectConstraints, other: ObjectConstraints) -> ObjectConstraints | None:
    """The objects of both options; `None` where it is plain that there are none."""
    if one is ANY_OBJECT:
        return other
    if other is ANY_OBJECT:
        return one
    minimum = max(one.minimum, other.minimum)
    maximum = least(one.maximum, other.maximum)
    required = one.required | other.required
    if maximum is not None and max(minimum, len(required)) > maximum:
        return None
    return ObjectConstraints(
        tuple(dict.fromkeys((*one.groups, *other.groups))),
        required,
        one.names | other.names,
        tuple(dict.fromkeys((*one.dependent, *other.dependent))),
        minimum,
        maximum,
        tuple(dict.fromkeys((*one.witnesses, *other.witnesses))),
        one.evaluated | other.evaluated,
    )


def value_at(option: ObjectConstraints, name: str) -> Conjunction:
    """What a option asks of the value at a key."""
    result = EVERYTHING
    for group in option.groups:
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


def merge_arrays(one: ArrayConstraints, other: ArrayConstraints) -> ArrayConstraints | None:
    """The arrays of both options; `None` where it is plain that there are none."""
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
    return ArrayConstraints(
        prefix,
        one.rest | other.rest,
        minimum,
        maximum,
        tuple(dict.fromkeys((*one.contains, *other.contains))),
        one.unique + other.unique,
        one.evaluated | other.evaluated,
    )


def item_at(option: ArrayConstraints, index: int) -> Conjunction:
    """What a option asks of the item at an index."""
    return option.prefix[index] if index < len(option.prefix) else option.rest


def with_implied_maximum(option: ArrayConstraints) -> ArrayConstraints:
    """The same arrays, with a `maximum` where an item is plainly impossible."""
    maximum = option.maximum
    for index, node in enumerate((*option.prefix, option.rest)):
        if node >= NOTHING:
            maximum = least(maximum, index)
            break
    return option if maximum == option.maximum else replace(option, maximum=maximum)
