"""What a JSON Schema comes down to: for every kind of JSON value, which ones are members.

A `Node` is a set of JSON values. Scalars are one language each; arrays and objects are unions of
shapes, every shape a plain conjunction. All of JSON Schema's logic (`allOf`, `anyOf`, `oneOf`,
`not`, `if`, references, siblings) is gone once a schema has become nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from decoding.grammar.numbers.ranges import NumberRange
from decoding.grammar.regular.expressions import Expression


@dataclass(frozen=True, slots=True)
class Contains:
    """Between `minimum` and `maximum` items are members of `node`.

    outside: the node of what is no member of `node`; there is one where there is a maximum.
    """

    node: int
    minimum: int
    maximum: int | None
    outside: int | None = None


@dataclass(frozen=True, slots=True)
class ArrayShape:
    """Arrays: item i is a member of `prefix[i]`, or of `rest` beyond the prefix.

    rest: `None`: no item may follow the prefix.
    minimum, maximum: bounds on the number of items, `None` is no bound. No shape promises items
    that cannot exist: an item's node that is empty has already lowered `maximum`.
    unique: no two items are equal; then every item's node holds scalars only.
    members: where unique items are out of few values, the nodes of these, of one member each.
    values: where unique items are out of more scalars than that, though finitely many, these.
    """

    prefix: tuple[int, ...] = ()
    rest: int | None = None
    minimum: int = 0
    maximum: int | None = None
    contains: tuple[Contains, ...] = ()
    unique: bool = False
    members: tuple[int, ...] = ()
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Property:
    """A property by its exact name; `node` `None`: the property may not occur."""

    name: str
    node: int | None
    required: bool = False


@dataclass(frozen=True, slots=True)
class ObjectShape:
    """Objects: the conjunction of conditions on keys and their values.

    properties: in the order in which they were declared; names are distinct. What `patterns` say of
    a declared name is already part of its node.
    patterns: a key that is no declared name and in some of these languages has a value in the nodes
    of all of them.
    additional: the node of keys that are neither declared nor in any pattern; `None`: there are no
        such keys.
    names: every key that is not declared is in this language; `None` is no condition.
    dependent: if the first name occurs, so do the others; all of them are declared.
    minimum, maximum: bounds on the number of distinct keys.
    """

    properties: tuple[Property, ...] = ()
    patterns: tuple[tuple[Expression, int], ...] = ()
    additional: int | None = None
    names: Expression | None = None
    dependent: tuple[tuple[str, frozenset[str]], ...] = ()
    minimum: int = 0
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """A set of JSON values, by their kind.

    strings: `None`: no string is a member. numbers: a union of ranges.
    arrays, objects: unions of shapes; none of them is empty.
    """

    null: bool = False
    true: bool = False
    false: bool = False
    strings: Expression | None = None
    numbers: tuple[NumberRange, ...] = ()
    arrays: tuple[ArrayShape, ...] = ()
    objects: tuple[ObjectShape, ...] = ()


class Graph(Protocol):
    """Nodes by number. Every node reachable from the root is known once a schema is compiled."""

    root: int

    def __len__(self) -> int:
        """How many nodes there are so far."""

    def node(self, number: int) -> Node:
        """The node of this number; always the same one."""

    def conjunction(self, numbers: tuple[int, ...]) -> int:
        """The node of the values that are members of every one of these nodes."""

    def is_empty(self, number: int) -> bool:
        """Whether the node has no member at all."""

    def restrict_to(self, number: int, values: Sequence[Any]) -> int:
        """The node of those of some scalars that are members of a node."""


def least(one: int | None, other: int | None) -> int | None:
    """The stricter one of two upper bounds."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
