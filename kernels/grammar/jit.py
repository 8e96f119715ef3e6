"""How the functions of this package are compiled; without numba they run as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from numba import njit

    COMPILED = True
except ImportError:  # pragma: no cover - CI has one run without numba
    COMPILED = False

    def njit(**_: object) -> Callable[[Any], Any]:
        """No compiler: the function itself."""
        return lambda function: function


inner = njit(nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""For calls from compiled code alone."""

woven = njit(
    nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True
)
"""For what every byte passes: a call hands over every array by its seven fields."""

entry = njit(nogil=True, _nrt=False, no_cfunc_wrapper=True, cache=True)
"""A function that Python calls: its machine code, with all it calls, is kept on disk."""
