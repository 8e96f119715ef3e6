"""The Numba options with which the functions of this package are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from decoding.kernels.grammar.entries import Entry, compiled_with

_Function = TypeVar("_Function", bound=Callable[..., Any])

_ALL = {"nogil": True, "_nrt": False, "no_cfunc_wrapper": True}
_INNER = _ALL | {"no_cpython_wrapper": True}
_WOVEN = _INNER | {"forceinline": True}


def inner(function: _Function) -> _Function:
    """For calls from kernels alone."""
    return compiled_with(_INNER, function)


def woven(function: _Function) -> _Function:
    """For what every byte passes: a call hands over every array by its seven fields."""
    return compiled_with(_WOVEN, function)


def woven_from(source: Callable[..., Any]) -> Callable[[_Function], _Function]:
    """As `woven`, for a function that is compiled from the code of another one."""
    return lambda function: compiled_with(_WOVEN, function, source)


def entry(function: Callable[..., Any]) -> Entry:
    """A function that Python calls; its machine code, with all it calls, is kept on disk."""
    return Entry(function, _ALL)
