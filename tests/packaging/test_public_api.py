"""What `decoding` offers is what `__all__` says, and each of it is described."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

import decoding


def test_all_is_what_is_defined() -> None:
    public = {
        name
        for name, value in vars(decoding).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert set(decoding.__all__) == public | {"__version__"}


def test_all_is_sorted() -> None:
    assert decoding.__all__ == sorted(decoding.__all__)


@pytest.mark.parametrize("name", [name for name in decoding.__all__ if name != "__version__"])
def test_every_name_is_described(name: str) -> None:
    value = getattr(decoding, name)
    # A dataclass without a docstring gets its signature as one.
    assert value.__doc__
    assert not value.__doc__.startswith(f"{name}(")
    for member, function in vars(value).items() if inspect.isclass(value) else ():
        if not member.startswith("_") and inspect.isfunction(function):
            assert inspect.getdoc(getattr(value, member)), f"{name}.{member}"
