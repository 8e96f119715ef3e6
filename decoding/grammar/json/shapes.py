"""The intermediate form of a compiled JSON Schema: nodes, and shapes of arrays and objects.

A `Node` is a set of JSON values, described for each JSON type. Arrays and objects are unions of
shapes; a shape is a conjunction of simple conditions. Nodes contain no keywords that combine
schemas (`allOf`, `anyOf`, `oneOf`, `not`, `if`) and no references.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from decoding.grammar.numbers.ranges import NumberRange
from decoding.grammar.regular.expressions import Expression


@dataclass(frozen=True, slots=True)
class Contains:
    """A `contains` condition: between `minimum` and `maximum` items are members of `node`.

    outside: the node of the values that are no members of `node`; needed where there is a maximum.
    """

    node: int
    minimum: int
    maximum: int | None
    outside: int | None = None


@dataclass(frozen=True, slots=True)
class ArrayShape:
    """Arrays of which item i is a member of the node `prefix[i]`, or of `rest` after the prefix.

    rest: `None`: no item may follow the prefix.
    minimum, maximum: bounds on the number of items; `None` is no bound. Where an item's node is
    empty, `maximum` excludes the item.
    unique: no two items are equal; then all items are scalars.
    members: where unique items have few values, the nodes of the single values.
    values: where unique items have more values than that, but finitely many, the values.
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
    """A property that is declared by name. node: of its value; `None`: it may not occur."""

    name: str
    node: int | None
    required: bool = False


@dataclass(frozen=True, slots=True)
class ObjectShape:
    """Objects that satisfy conditions on their keys and values.

    properties: in the order of declaration; names are distinct. Their nodes include the conditions
    of `patterns` that match the name.
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
    """A set of JSON values, described for each JSON type.

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
    """Protocol of numbered nodes; all that the root reaches exist once a schema is compiled."""

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
        """The node of the members of a node that are among some scalars."""
