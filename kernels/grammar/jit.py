"""Compilation of this package's functions; without Numba they run as Python."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from decoding.kernels.folders import usable_folder, why_not_trusted
from decoding.kernels.forks import free_after_fork
from decoding.kernels.kept_code import digest_of, kept_in

try:
    from numba import config, njit
    from numba.core.compiler_lock import global_compiler_lock

    COMPILED = True
    free_after_fork(global_compiler_lock._lock)  # Numba itself forgets it
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

_entry = njit(nogil=True, _nrt=False, no_cfunc_wrapper=True)


def shared(fields: NDArray[Any]) -> Any:  # one of the two
    """An array as kernels take it.

    Without a compiler it is a view of the same memory that gives Python's own numbers: they are
    read three times as fast as NumPy's, and never overflow.
    """
    return fields if COMPILED else fields.data


def kept_below(package: Path, wanted: str) -> Path:
    """Where machine code may be written: the folder that Numba's user wants, else the package's.

    The user's own folder where the package's cannot be written to, or others can write to it: it
    is as root, or whoever installed it, wants it.
    """
    if wanted:
        return Path(wanted)
    beside = package / "__pycache__"
    there = beside if beside.exists() else package
    if os.access(there, os.W_OK) and why_not_trusted(there) is None:
        return beside
    return Path.home() / ".cache" / "decoding" / "kernels"


_PACKAGE = Path(__file__).parent
_ENTRIES: list[Any] = []
_WHAT = "compiled grammar kernels"


@cache
def _folder(wanted: str, module: str) -> Path:
    """Where machine code of a module is kept, for a folder that Numba's user wants."""
    return usable_folder(kept_below(_PACKAGE, wanted) / digest_of(module), _WHAT)


def keep(made: Any, folder: Path) -> None:
    """Keep a function's machine code in a folder; what is damaged there is compiled again.

    Numba itself takes a file that ends early, or is none of its own, for an error of the caller.
    """
    kept: Any = kept_in(folder)

    class Healing(kept):
        def load_overload(self, sig: Any, target_context: Any) -> Any:
            try:
                return super().load_overload(sig, target_context)
            except Exception as error:  # a damaged file may raise anything
                damage = f"{self.cache_path} is damaged ({type(error).__name__})"
                warnings.warn(f"{damage}: {_WHAT} are made again", RuntimeWarning, stacklevel=2)
                self.flush()
                return None

    made._cache = Healing(made.py_func)  # where Numba has it


def entry(function: Callable[..., Any]) -> Any:  # as Numba types it
    """A function that Python calls: its machine code, with all it calls, is kept on disk."""
    if not COMPILED:
        return function
    made = _entry(function)
    keep(made, _folder(config.CACHE_DIR, function.__module__))
    _ENTRIES.append(made)
    return made
