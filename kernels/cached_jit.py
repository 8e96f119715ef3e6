"""`cached_jit`: the function that a loader returns, compiled by Numba and cached on disk."""

from __future__ import annotations

from collections.abc import Callable


def cached_jit(load: Callable[[], Callable[..., None]]) -> Callable[..., None] | None:
    """Compile what `load` returns by Numba at its first call; None where Numba is missing.

    load: returns the function; may raise ImportError.

    Returns None where Numba is not installed.
    """
    try:
        from numba import njit

        function = load()
    except ImportError:
        return None
    options = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
    try:
        compiled: Callable[..., None] = njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder to keep it in
        compiled = njit(**options)(function)
    return compiled
