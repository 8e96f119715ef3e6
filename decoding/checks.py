"""Converts arguments to plain Python types, checks ranges, and imports optional packages."""

from __future__ import annotations

import importlib
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from decoding.errors import MissingDependencyError, ParameterError, shown
from decoding.typing import Anything

LARGEST_COUNT = 2**53
"""The largest count that kernels, which hold it as a float64, hold exactly."""

LARGEST_FLOAT32 = math.nextafter(2.0**128 - 2.0**103, 0.0)
SMALLEST_FLOAT32 = math.nextafter(2.0**-150, 1.0)
"""The largest and the smallest positive number that round to a finite float32 above 0.

The ends of float32 are usually written 3.4028235e38 and 1e-45, which are beyond its own numbers.
"""

LARGEST_TOKEN_ID = 2**31 - 1
"""The largest token id that an int32, and so a history, holds."""

MOST_ITEMS = 2**22
"""The most items that one argument may hold, such as the token ids of a text."""


def integer(value: object) -> int:
    """Convert an int or a NumPy integer to int; raise TypeError for others and bools."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError
    return operator.index(value)


def real(value: object) -> float:
    """Convert an int, a float or a NumPy number to float; raise TypeError for anything else.

    Raises OverflowError for an int beyond the floats.
    """
    if isinstance(value, float | np.floating):
        return float(value)
    return float(integer(value))


def text(value: object) -> str:
    """Convert a str or a subclass to a plain str; raise TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError
    return str.__str__(value)


def check_real(holder: object, name: str, legal: Callable[[float], bool], expected: str) -> None:
    """Convert a field of a frozen dataclass to float; raise `ParameterError` unless it is legal."""
    object.__setattr__(holder, name, checked_real(name, getattr(holder, name), legal, expected))


def checked_real(name: str, value: object, legal: Callable[[float], bool], expected: str) -> float:
    """Convert an argument to float; raise `ParameterError` unless it is legal."""
    try:
        converted = real(value)
    except (TypeError, OverflowError):
        raise ParameterError(name, value, f"a number, {expected}") from None
    if not legal(converted):
        raise ParameterError(name, value, expected)
    return converted


def boolean(value: object) -> bool:
    """Convert a bool of Python or NumPy to bool; raise TypeError for anything else."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError
    return bool(value)


def check_boolean(holder: object, name: str) -> None:
    """Convert a field of a frozen dataclass to bool; raise `ParameterError` unless it is one."""
    value = getattr(holder, name)
    try:
        object.__setattr__(holder, name, boolean(value))
    except TypeError:
        raise ParameterError(name, value, "a bool") from None


def check_integer(
    holder: object,
    name: str,
    least: int,
    most: int = LARGEST_COUNT,
    expected: str | None = None,
) -> None:
    """Convert a field of a frozen dataclass to int; raise `ParameterError` if out of range."""
    value = checked_integer(name, getattr(holder, name), least, most, expected)
    object.__setattr__(holder, name, value)


def checked_integer(
    name: str, value: object, least: int, most: int = LARGEST_COUNT, expected: str | None = None
) -> int:
    """Convert an argument to int; raise `ParameterError` unless it is in `[least, most]`."""
    try:
        converted = integer(value)
    except TypeError:
        wanted = f"an integer >= {least}" if expected is None else f"an integer, {expected}"
        raise ParameterError(name, value, wanted) from None
    if converted < least:
        raise ParameterError(name, value, expected or f">= {least}")
    if converted > most:
        raise ParameterError(name, value, expected or f"at most {most}")
    return converted


def check_token_ids(holder: object, name: str, called: str | None = None) -> None:
    """Convert a field of a frozen dataclass to token ids, ascending, each once.

    Raises `ParameterError` for anything but token ids; called: what it calls the field.
    """
    token_ids = checked_token_ids(called or name, getattr(holder, name))
    object.__setattr__(holder, name, tuple(sorted(set(token_ids))))


def checked_token_ids(
    name: str, value: object, expected: str = "token ids >= 0 (below 2**31)"
) -> list[int]:
    """Convert an iterable, an array or a tensor to token ids; raise `ParameterError` for others."""
    # Most are that, and it is quicker than one by one.
    if isinstance(value, list | tuple) and set(map(type, value)) == {int} and _fit(value):
        return list(value)
    token_ids = []
    for item in checked_items(name, value, expected):
        try:
            token_id = integer(item)
        except TypeError:
            token_id = -1
        if not 0 <= token_id <= LARGEST_TOKEN_ID:
            raise ParameterError(name, value, f"{expected}; one of them is {shown(item)}")
        token_ids.append(token_id)
    return token_ids


def _fit(values: Sequence[int]) -> bool:
    """Whether integers, at least one, are token ids, and not too many."""
    legal = min(values) >= 0 and max(values) <= LARGEST_TOKEN_ID
    return legal and len(values) <= MOST_ITEMS


def checked_token_id(name: str, value: object) -> int:
    """Convert an int, a NumPy integer or a tensor of one integer to a token id.

    Raises:
        ParameterError: it is another kind of value. A negative number is the caller's to refuse.
    """
    try:
        return integer(value)
    except TypeError:
        single = getattr(value, "ndim", None) == 0 and hasattr(value, "item")
        given: Any = value
        item = given.item() if single else given
    if isinstance(item, int) and not isinstance(item, bool):
        return item
    raise ParameterError(name, value, "a token id")


def checked_items(name: str, value: object, expected: str) -> list[Any]:
    """List the items of an iterable, an array or a tensor; raise `ParameterError` for text."""
    listed = value.tolist() if hasattr(value, "tolist") else value
    text_like = isinstance(listed, str | bytes | bytearray | memoryview)
    if text_like or not isinstance(listed, Iterable):
        raise ParameterError(name, value, expected)
    items = list(islice(listed, MOST_ITEMS + 1))
    if len(items) > MOST_ITEMS:
        raise ParameterError(name, value, f"{expected}, at most {MOST_ITEMS} of them")
    return items


def imported(module: str, package: str, extra: str) -> Anything:
    """Import an optional package.

    package: the name that `pip install` takes. extra: the extra of this library that has it.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(package, extra) from error


def has_method(value: object, name: str) -> bool:
    """Whether a value has an attribute of this name other than None, as a protocol's method.

    `isinstance` with a protocol asks the same, and takes twenty times as long.
    """
    return getattr(value, name, None) is not None
