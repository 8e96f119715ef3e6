"""`decoding.records.constructor_of`: what it makes is what the class makes."""

from __future__ import annotations

import copy
import pickle
from abc import ABC, abstractmethod
from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from decoding.records import constructor_of


class Shape(ABC):
    __slots__ = ()

    @abstractmethod
    def area(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Box(Shape):
    width: float
    height: float = 1.0
    label: str = field(default="box", compare=False)
    tags: tuple[str, ...] = field(default=(), kw_only=True)

    def area(self) -> float:
        return self.width * self.height


new_box = constructor_of(Box)


def test_what_it_makes_is_of_the_class() -> None:
    made = new_box(2.0, 3.0, tags=("a",))
    assert type(made) is Box
    assert made == Box(2.0, 3.0, tags=("a",))
    assert hash(made) == hash(Box(2.0, 3.0, tags=("a",)))
    assert repr(made) == repr(Box(2.0, 3.0, tags=("a",)))
    assert made.area() == 6.0


def test_defaults_are_those_of_the_class() -> None:
    assert new_box(width=2.0) == Box(2.0)
    assert new_box(2.0).label == "box"


def test_it_is_frozen() -> None:
    made = new_box(2.0)
    with pytest.raises(FrozenInstanceError):
        made.width = 3.0


def test_it_is_copied_and_pickled_as_the_class_is() -> None:
    made = new_box(2.0, 3.0, "x", tags=("a",))
    for twin in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made), replace(made)):
        assert type(twin) is Box
        assert (twin, twin.label) == (made, "x")


def test_arguments_are_those_of_the_class() -> None:
    with pytest.raises(TypeError, match="width"):
        new_box()
    with pytest.raises(TypeError, match="depth"):
        new_box(1.0, depth=2.0)
