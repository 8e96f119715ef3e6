"""`constructor_of`: makes a fast constructor of a frozen dataclass, for records per token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, fields, make_dataclass
from typing import Any, ParamSpec, TypeVar, cast

_Record = TypeVar("_Record")
_Arguments = ParamSpec("_Arguments")


def constructor_of(kind: Callable[_Arguments, _Record]) -> Callable[_Arguments, _Record]:
    """A constructor of a frozen slotted dataclass, four times as quick as the class itself.

    A frozen dataclass sets each field through `object.__setattr__`. This constructor sets the
    fields of a twin that is not frozen and has the same layout, and then makes the twin an object
    of the class.

    kind: a dataclass with `frozen=True, slots=True`, without `__post_init__` and without default
        factories: what these do would be left out.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, slots=True)
    ... class Point:
    ...     x: float
    ...     y: float = 0.0
    >>> constructor_of(Point)(1.0)
    Point(x=1.0, y=0.0)
    """
    assert isinstance(kind, type)  # ours: a class, though annotated as what it is called with

    def become(twin: object) -> None:
        twin.__class__ = kind

    twin = make_dataclass(
        kind.__name__,
        [
            (item.name, item.type, field(default=item.default, kw_only=item.kw_only))
            for item in fields(kind)
        ],
        # The layout of two classes is the same only where they have the same bases.
        bases=kind.__bases__,
        namespace={"__post_init__": become},
        eq=False,
        repr=False,
        slots=True,
    )
    # Methods that the bases leave open, and `kind` does not.
    made: Any = twin
    made.__abstractmethods__ = frozenset()
    return cast("Callable[_Arguments, _Record]", twin)
