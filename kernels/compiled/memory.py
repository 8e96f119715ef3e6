"""Numba: the scratch arrays of one thread, allocated once for rows of one width."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.compiled.records import STATE
from decoding.kernels.compiled.selection import BINS, BINS_BEYOND
from decoding.kernels.randomness import BLOCK_SIZE

RAW_MAX, WORK_MAX, FINAL_MAX, TOUCHED, LOGITS, KEYS, WEIGHTS, VALUES, HISTOGRAM = range(9)
RAW_END, WORK_END, WINDOW_MAX, TIES = 9, 10, 11, 12
"""Rows of `Memory.doubles`; `RAW_END` and `WORK_END` are for a row's end that is no whole block."""
SLOT, TOUCHED_IDS, RIVALS, OCCURRENCES, IDS, PLACES, WORDS, BINS_OF_BLOCK, LINKS = range(9)
ALLOWED, BIASED = 9, 10
"""Rows of `Memory.integers`."""

DOUBLES, INTEGERS = 13, 11
"""How many rows they have."""

_PADDING = 64
"""Room behind every array for loops that write whole vectors."""


class Memory(NamedTuple):
    """The arrays of one thread. After every row `integers[SLOT]` is all 0; the rest is scratch.

    doubles, integers: float64 `(13, room)` and int32 `(11, room)`. bitmasks: this step's operands
    of the program, a row each.
    """

    doubles: Any
    integers: Any
    bitmasks: Any


def allocate(width: int) -> tuple[Any, Any, Any, Any]:
    """The arrays of a `Memory`, a shadow, and a state of a row, for rows of `width` logits."""
    blocks = -(-width // BLOCK_SIZE)
    room = max(blocks * BLOCK_SIZE, 4 * (BINS + BINS_BEYOND)) + _PADDING
    return (
        np.zeros((DOUBLES, room)),
        np.zeros((INTEGERS, room), np.int32),
        np.full(blocks * BLOCK_SIZE, -np.inf),
        np.zeros(1, STATE),
    )


def addresses(arrays: tuple[Any, Any, Any, Any]) -> NDArray[np.int64]:
    """The addresses of the arrays of `allocate`, the room of a row, and the length of the shadow.

    The arrays must be kept.
    """
    places = [array.ctypes.data for array in arrays]
    return np.array([*places, arrays[0].shape[1], len(arrays[2])], np.int64)
