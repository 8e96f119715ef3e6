"""How the functions of this package are compiled; without numba they run as they are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

try:
    from numba import config, njit

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

_entry = njit(nogil=True, _nrt=False, no_cfunc_wrapper=True, cache=True)


def shared(fields: NDArray[Any]) -> Any:  # noqa: ANN401 -- one of the two
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
    """Where machine code may be written: the folder that Numba's user wants, else the package's."""
    if wanted:
        return Path(wanted)
    beside = package / "__pycache__"
    writeable = os.access(beside if beside.exists() else package, os.W_OK)
    return beside if writeable else Path.home() / ".cache" / "decoding" / "kernels"


_PACKAGE = Path(__file__).parent
_DIGEST = digest_of(_PACKAGE)
_ENTRIES: list[Any] = []


def entry(function: Callable[..., Any]) -> Any:  # noqa: ANN401 -- as Numba types it
    """A function that Python calls: its machine code, with all it calls, is kept on disk.

    Numba looks at the file of the function alone, so that an edit of what it calls would leave it
    as it was; here every text of the package has a folder of its own.
    """
    if not COMPILED:
        return function
    # A function's folder is fixed when it is decorated.
    before = config.CACHE_DIR
    config.CACHE_DIR = str(kept_below(_PACKAGE, before) / _DIGEST)
    try:
        made = _entry(function)
    finally:
        config.CACHE_DIR = before
    _ENTRIES.append(made)
    return made


def count_compiled() -> int:
    """How many kernels this process has compiled or loaded so far."""
    return sum(len(made.signatures) for made in _ENTRIES)
