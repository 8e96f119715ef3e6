"""Data classes of several schemas' constraints on one array or object; merges them.

Constraints name the schemas of items and properties by conjunctions of locations. Those schemas
need not have been read: merging constraints never looks below the array or object. So recursive
schemas need no special care.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from decoding.grammar.regular.expressions import Expression, least
from decoding.grammar.regular.string_sets import holds
from decoding.grammar.regular.work import count
from decoding.grammar.schema.locations import EVERYTHING, NOTHING, Conjunction, Literal
from decoding.grammar.schema.report import Remark


@dataclass(frozen=True, slots=True, eq=False)
class PropertyGroup:
    """The schemas that one schema applies to property values, chosen by the key.

    properties: by exact name. patterns: for keys that match a pattern. additional: for all other
    keys.
    """

    properties: Mapping[str, Conjunction] = field(default_factory=dict)
    patterns: tuple[tuple[Expression, Conjunction], ...] = ()
    additional: Conjunction = EVERYTHING


@dataclass(frozen=True, slots=True)
class Witness:
    """An object must have a key that meets conditions, whose value is valid under given schemas.

    value: the schemas of the value. outside: names that the key is not. avoided: languages that
    the key is not in. within: a language that the key is in; `None` is no condition.
    not_names: schemas that the key, as a string, is valid under.
    where: the pointer of the schema that requires the key.
    """

    value: Conjunction
    outside: frozenset[str] = frozenset()
    avoided: tuple[Expression, ...] = ()
    within: Expression | None = None
    not_names: Conjunction = EVERYTHING
    where: str = ""


@dataclass(frozen=True, slots=True)
class EvaluatedKeys:
    """Which keys have been evaluated, in the sense of `unevaluatedProperties`.

    names, patterns: of evaluated keys. all: every key is evaluated.
    """

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
    """Constraints on an object: it must satisfy all of them.

    groups: on values by key. required: keys. names: on every key. dependent: if the first key
    occurs, so do the others. minimum, maximum: numbers of keys. witnesses: keys that must exist.
    evaluated: the properties that the schemas have evaluated.
    """

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
    """Between `minimum` and `maximum` items are valid under all schemas of the conjunction `node`.

    where: the pointer of the schema with `contains`.
    """

    node: Conjunction
    minimum: int
    maximum: int | None
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class EvaluatedItems:
    """Which items have been evaluated, in the sense of `unevaluatedItems`.

    count: the first items that are evaluated. nodes: items valid under these are. all: all are.
    """

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
    """Constraints on an array: it must satisfy all of them.

    prefix, rest: schemas of the first items, and of all others. minimum, maximum: numbers of items.
    unique: the pointers of the schemas with `uniqueItems`.
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


_PARTS = 64
"""Groups and names that are examined per step of work; that a pair is merged is counted apart."""
_WITNESS = 8
"""How many such parts a witness costs: it is a set of schemas."""

ANY_OBJECT = ObjectConstraints()
ANY_ARRAY = ArrayConstraints()

Constraints = TypeVar("Constraints", bound="ObjectConstraints | ArrayConstraints")


@dataclass(frozen=True, slots=True)
class Disjunction(Generic[Constraints]):
    """A disjunction of constraints: values that satisfy one of them or more.

    restrictions: values that the schema has and the disjunction leaves out.
    """

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
    """The conjunction of constraints on objects; `None` where it is plainly unsatisfiable."""
    if one is ANY_OBJECT:
        return other
    if other is ANY_OBJECT:
        return one
    count((_size_of_object(one) + _size_of_object(other)) // _PARTS)
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


def _size_of_object(option: ObjectConstraints) -> int:
    """The number of groups, names and witnesses that merging an object's constraints compares."""
    hashed = len(option.groups) + len(option.dependent) + _WITNESS * len(option.witnesses)
    return hashed + len(option.required)


def value_at(option: ObjectConstraints, name: str) -> Conjunction:
    """The schemas of the value at a key."""
    found: set[Literal] = set()
    count(len(option.groups) // _PARTS)
    for group in option.groups:
        declared = group.properties.get(name)
        if declared is not None:
            found |= declared
        elif not group.patterns:
            found |= group.additional
            continue
        if group.patterns:
            met = False
            for language, node in group.patterns:
                if holds(language, name):
                    found |= node
                    met = True
            if not met and declared is None:
                found |= group.additional
    return frozenset(found)


def merge_arrays(one: ArrayConstraints, other: ArrayConstraints) -> ArrayConstraints | None:
    """The conjunction of constraints on arrays; `None` where it is plainly unsatisfiable."""
    if one is ANY_ARRAY:
        return other
    if other is ANY_ARRAY:
        return one
    length = max(len(one.prefix), len(other.prefix))
    count(1 + length + len(one.contains) + len(other.contains))
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
    """The schemas of the item at an index."""
    return option.prefix[index] if index < len(option.prefix) else option.rest


def with_implied_maximum(option: ArrayConstraints) -> ArrayConstraints:
    """The same constraints, with a `maximum` where the schema of an item is `false`."""
    maximum = option.maximum
    for index, node in enumerate((*option.prefix, option.rest)):
        if node >= NOTHING:
            maximum = least(maximum, index)
            break
    return option if maximum == option.maximum else replace(option, maximum=maximum)
