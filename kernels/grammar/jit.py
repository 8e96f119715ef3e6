"""How the functions of this package are compiled; without numba they run as they are."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from decoding.kernels.folders import usable_folder, why_not_trusted
from decoding.kernels.forks import free_after_fork

try:
    from numba import config, njit
    from numba.core.compiler_lock import global_compiler_lock

    COMPILED = True
    free_after_fork(global_compiler_lock._lock)  # noqa: SLF001 -- Numba itself forgets it
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

_entry = njit(nogil=True, _nrt=False, no_cfunc_wrapper=True, cache=True)


def shared(fields: NDArray[Any]) -> Any:
    """An array as kernels take it.

    Without a compiler it is a view of the same memory that gives Python's own numbers: they are
    read three times as fast as NumPy's, and never overflow.
    """
    return fields if COMPILED else fields.data


def digest_of(folder: Path) -> str:
    """Changes with every file of a package."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:24]


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
_DIGEST = digest_of(_PACKAGE)


@cache
def _folder(wanted: str) -> str:
    """Where the machine code of this text is kept, for a folder that Numba's user wants."""
    folder = kept_below(_PACKAGE, wanted) / _DIGEST
    return str(usable_folder(folder, "compiled grammar kernels"))


def healing(made: Any) -> Any:
    """A compiled function whose kept code, where it is damaged, is compiled again.

    Numba itself takes a file that ends early, or is none of its own, for an error of the caller.
    """
    from numba.core.caching import FunctionCache

    class Healing(FunctionCache):  # type: ignore[misc]  # Numba is not typed
        def load_overload(self, sig: Any, target_context: Any) -> Any:
            try:
                return super().load_overload(sig, target_context)
            except Exception as error:  # noqa: BLE001 -- a damaged file may raise anything
                warnings.warn(
                    f"{self.cache_path} is damaged ({type(error).__name__}): compiled grammar"
                    " kernels are made again",
                    RuntimeWarning,
                    stacklevel=2,
                )
                self.flush()
                return None

    made._cache = Healing(made.py_func)  # noqa: SLF001 -- where Numba has it
    return made


def entry(function: Callable[..., Any]) -> Any:
    """A function that Python calls: its machine code, with all it calls, is kept on disk.

    Numba looks at the file of the function alone, so that an edit of what it calls would leave it
    as it was; here every text of the package has a folder of its own.
    """
    if not COMPILED:
        return function
    # A function's folder is fixed when it is decorated.
    before = config.CACHE_DIR
    config.CACHE_DIR = _folder(before)
    try:
        made = healing(_entry(function))
    finally:
        config.CACHE_DIR = before
    return made
