"""Numba decorators `compiled`, `inlined`, `owning`, `entry` with this package's options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core.compiler_lock import global_compiler_lock
from numba.core.types.misc import unliteral

from decoding.kernels.forks import free_after_fork

free_after_fork(global_compiler_lock._lock)  # Numba itself forgets it
_INNER = {
    "nogil": True,
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
"""For calls from compiled code alone: without the interpreter's lock, with IEEE division."""


def _called_by_type(**options: Any) -> Callable[[Any], Any]:
    """`njit` whose functions are compiled once for a number, not once more for a constant."""
    decorate = njit(**options)

    def compiled_function(function: Any) -> Any:
        dispatcher = decorate(function)
        template_of = dispatcher.get_call_template

        def get_call_template(arguments: Any, keywords: Any) -> Any:
            named = {name: unliteral(kind) for name, kind in keywords.items()}
            return template_of(tuple(map(unliteral, arguments)), named)

        dispatcher.get_call_template = get_call_template
        return dispatcher

    return compiled_function


compiled = _called_by_type(**_INNER, _nrt=False)
"""A function that makes no array. It counts no references either: in a loop over tokens, to count
those of an array whose part is taken costs more than all else. It must return no array that its
caller owns."""

inlined = _called_by_type(**_INNER, _nrt=False, forceinline=True)
"""The same for what is small and called for every token."""

owning = _called_by_type(**_INNER, _nrt=True)
"""A function that makes arrays."""

entry = njit(_nrt=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True)
"""A function that Python calls; `loading` keeps its machine code, with all it calls, on disk."""
