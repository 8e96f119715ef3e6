"""How the functions of this package are compiled; without numba they run as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from numba import njit

    COMPILED = True
except ImportError:  # pragma: no cover - CI has one run without numba

    COMPILED = False

    def njit(**_: Any) -> Callable[[Any], Any]:
        """No compiler: the function itself."""
        return lambda function: function


inner = njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""For calls from compiled code alone."""

entry = njit(nogil=True, no_cfunc_wrapper=True, cache=True)
"""A function that Python calls: its machine code, with all it calls, is kept on disk."""
