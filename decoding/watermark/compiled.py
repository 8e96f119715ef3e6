"""The shuffle's inner loop as machine code; the only module here that needs Numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def _entry(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled at its first call; kept on disk where there is a folder to keep it in."""
    options = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
    try:
        compiled: Callable[..., Any] = njit(cache=True, **options)(function)
    except RuntimeError:  # Numba found no folder that it may write to
        compiled = njit(**options)(function)
    return compiled


@_entry
def shuffled_prefix(words: NDArray[np.uint32], size: int) -> NDArray[np.int32]:
    """As `shuffle.shuffled_prefix`, of words that are given."""
    order = np.arange(size).astype(np.int32)
    for place in range(len(words)):
        left = np.uint32(size - place)
        other = place + words[place] % left
        order[place], order[other] = order[other], order[place]
    return order[: len(words)]
