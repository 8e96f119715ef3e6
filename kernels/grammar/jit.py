"""Decorators that mark this package's functions for Numba, each with its own options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from decoding.kernels.grammar.entries import Entry, compiled_with

_Function = TypeVar("_Function", bound=Callable[..., Any])

_ALL = {"nogil": True, "_nrt": False, "no_cfunc_wrapper": True}
_INNER = _ALL | {"no_cpython_wrapper": True}
_WOVEN = _INNER | {"forceinline": True}


def inner(function: _Function) -> _Function:
    """Decorate a function that only kernels call."""
    return compiled_with(_INNER, function)


def woven(function: _Function) -> _Function:
    """Decorate a function to be inlined, because kernels call it for every byte.

    A call that is not inlined hands over every array by its seven fields.
    """
    return compiled_with(_WOVEN, function)


def woven_from(source: Callable[..., Any]) -> Callable[[_Function], _Function]:
    """Decorate as `woven` does, but compile the code of another function."""
    return lambda function: compiled_with(_WOVEN, function, source)


def entry(function: Callable[..., Any]) -> Entry:
    """Decorate a function that Python calls; its machine code, with all it calls, is stored."""
    return Entry(function, _ALL)
