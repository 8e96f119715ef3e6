"""The Numba options with which the functions of this package are compiled."""

from __future__ import annotations

from numba import njit
from numba.core.compiler_lock import global_compiler_lock

from decoding.kernels.forks import free_after_fork

free_after_fork(global_compiler_lock._lock)  # Numba itself forgets it
compiled = njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""For calls from compiled code alone: without the interpreter's lock, with IEEE division."""

entry = njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True)
"""A function that Python calls; `loading` keeps its machine code, with all it calls, on disk."""
