"""Loads or compiles kernels when `$DECODING_COMPILE` says, by one loader for the process."""

from __future__ import annotations

import contextlib
import os
from enum import StrEnum
from functools import cache

from decoding.cache import cache_folder
from decoding.errors import ParameterError
from decoding.kernels.loader import Loader
from decoding.kernels.units import Group

VARIABLE = "DECODING_COMPILE"


class When(StrEnum):
    """The values of `$DECODING_COMPILE`: when kernels are loaded or compiled.

    ASIDE  in the background; until then NumPy and Python serve, with the same results
    WAIT   at the first use, which waits: for tests and benchmarks of compiled kernels
    NEVER  not at all
    """

    ASIDE = "aside"
    WAIT = "wait"
    NEVER = "never"


def when() -> When:
    """Read `$DECODING_COMPILE`; `When.ASIDE` where it is not set.

    Raises:
        ParameterError: it is not one of the names of `When`.
    """
    wanted = os.environ.get(VARIABLE) or When.ASIDE
    if wanted not in list(When):
        raise ParameterError(VARIABLE, wanted, f"one of {', '.join(When)}")
    return When(wanted)


@cache
def loader() -> Loader:
    """Return the one kernel `Loader` of this process, which stores in the cache folder."""
    return Loader(cache_folder() / "kernels")


def begin(group: Group) -> None:
    """Start to load or compile kernels that are needed now, as `$DECODING_COMPILE` says."""
    if loader().is_ready(group):
        return
    wanted = when()
    if wanted is When.ASIDE:
        loader().begin(group)
    elif wanted is When.WAIT:
        with contextlib.suppress(ImportError):  # without Numba they run as Python
            loader().wait(group)


def is_ready(group: Group, *, uses: int = 1) -> bool:
    """Whether kernels are loaded; if they are not, start to load them as `begin` does.

    uses: begin only at this many-th time of asking. Loading takes a second: a run that asks only a
        few times is over before that.
    """
    shared = loader()
    if shared.is_ready(group):
        return True
    if shared.count(group) >= uses or when() is not When.ASIDE:
        begin(group)
    return shared.is_ready(group)
