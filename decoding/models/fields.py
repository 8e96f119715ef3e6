"""Typed access to the values of a configuration; errors name the file and the key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from decoding.errors import ModelFormatError
from decoding.models.files import shown
from decoding.typing import Anything

MOST_SIZE = 2**31 - 1
"""Largest size, count or context length of a model file."""


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping with the file that it was read from and a prefix for its keys.

    A value of null reads as if the key were absent.
    """

    values: Mapping[str, Any]
    path: object
    prefix: str = ""

    def error(self, problem: str) -> ModelFormatError:
        """Make an error that names the file."""
        return ModelFormatError(self.path, problem)

    def get(self, key: str, default: object = None) -> Anything:
        """The value of a key, of any type."""
        value = self.values.get(self.prefix + key)
        return default if value is None else value

    def size(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """The value of a key, checked to be an integer in `[least, MOST_SIZE]`."""
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            expected = f"{self.prefix}{key} must be an integer of at least {least}"
            raise self.error(f"{expected}, got {shown(value)}")
        if value > MOST_SIZE:
            expected = f"{self.prefix}{key} must be at most {MOST_SIZE}"
            raise self.error(f"{expected}, got {shown(value)}")
        return value

    def size_of_every_layer(self, key: str, default: int | None = None) -> int:
        """The value of a key: a size as of `size`, or a list of equal sizes, one a layer."""
        value = self.get(key)
        if not isinstance(value, list) or not value:
            return self.size(key, default)
        if any(other != value[0] for other in value):
            raise self.error(
                f"{self.prefix}{key} must be the same for every layer, got {shown(value)}"
            )
        return Fields({self.prefix + key: value[0]}, self.path, self.prefix).size(key)

    def number(self, key: str, default: float | None = None) -> float:
        """The value of a key, checked to be a finite number, as a float."""
        return self._real(key, default, -1e300, "a number")

    def positive(self, key: str, default: float | None = None) -> float:
        """The value of a key, checked to be a finite number above 0, as a float."""
        return self._real(key, default, 0.0, "a positive number")

    def _real(self, key: str, default: float | None, above: float, expected: str) -> float:
        value = self.get(key, default)
        # Compared as it is: `float` fails for a large integer.
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not above < value < 1e300:
            raise self.error(f"{self.prefix}{key} must be {expected}, got {shown(value)}")
        return float(value)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """The value of a key, checked to be a bool."""
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise self.error(f"{self.prefix}{key} must be true or false, got {shown(value)}")
        return value

    def text(self, key: str, default: str) -> str:
        """The value of a key, checked to be a string."""
        value = self.get(key, default)
        if not isinstance(value, str):
            raise self.error(f"{self.prefix}{key} must be a string, got {shown(value)}")
        return value

    def one_of(self, key: str, known: tuple[str, ...], default: str | None = None) -> str:
        """Check that a setting is one of the implemented strings; return it."""
        value = self.get(key, default)
        if not isinstance(value, str) or value not in known:
            listed = ", ".join(known)
            raise self.error(f"{key} {shown(value)} is not implemented; implemented are {listed}")
        return value
