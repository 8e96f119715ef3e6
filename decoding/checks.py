"""Types and ranges of numbers, checked where a value is handed over."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import numpy as np

from decoding.errors import ParameterError, shown

LARGEST_COUNT = 2**53
"""The largest count that kernels, which hold it as a float64, hold exactly."""

LARGEST_TOKEN_ID = 2**31 - 1
"""The largest token id that an int32, and so a history, holds."""

MOST_ITEMS = 2**22
"""The most items that one argument may hold, such as the token ids of a text."""


def integer(value: object) -> int:
    """A Python int of an int or a NumPy integer; raises TypeError for anything else, bools too."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError
    return operator.index(value)


def real(value: object) -> float:
    """A Python float of an int, a float or a NumPy number; raises TypeError for anything else.

    Raises OverflowError for an int beyond the floats.
    """
    if isinstance(value, float | np.floating):
        return float(value)
    return float(integer(value))


def text(value: object) -> str:
    """A plain str of a str; raises TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError
    return str.__str__(value)


def check_real(holder: object, name: str, legal: Callable[[float], bool], expected: str) -> None:
    """Replace a field of a frozen dataclass by its float; `ParameterError` unless it is legal."""
    object.__setattr__(holder, name, checked_real(name, getattr(holder, name), legal, expected))


def checked_real(name: str, value: object, legal: Callable[[float], bool], expected: str) -> float:
    """The float of an argument; `ParameterError` for another type, or one that is not legal."""
    try:
        converted = real(value)
    except (TypeError, OverflowError):
        raise ParameterError(name, value, f"a number, {expected}") from None
    if not legal(converted):
        raise ParameterError(name, value, expected)
    return converted


def check_integer(
    holder: object,
    name: str,
    least: int,
    most: int = LARGEST_COUNT,
    expected: str | None = None,
) -> None:
    """Replace a field of a frozen dataclass by its int; `ParameterError` unless it is in range."""
    value = checked_integer(name, getattr(holder, name), least, most, expected)
    object.__setattr__(holder, name, value)


def checked_integer(
    name: str, value: object, least: int, most: int = LARGEST_COUNT, expected: str | None = None
) -> int:
    """The int of an argument; `ParameterError` for another type, or outside `[least, most]`."""
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


def checked_token_ids(
    name: str, value: object, expected: str = "token ids >= 0 (below 2**31)"
) -> list[int]:
    """The token ids of any iterable of them, an array or a tensor; `ParameterError` for others."""
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


def checked_items(name: str, value: object, expected: str) -> list[Any]:
    """The items of any iterable, an array or a tensor; `ParameterError` for text or too many."""
    listed = value.tolist() if hasattr(value, "tolist") else value
    text_like = isinstance(listed, str | bytes | bytearray | memoryview)
    if text_like or not isinstance(listed, Iterable):
        raise ParameterError(name, value, expected)
    items = list(islice(listed, MOST_ITEMS + 1))
    if len(items) > MOST_ITEMS:
        raise ParameterError(name, value, f"{expected}, at most {MOST_ITEMS} of them")
    return items
