"""Host rows of logits in four float formats, half precision as bits; `widen` to float32.

NumPy has no bfloat16 and Numba no float16, so half-precision rows travel as their bits: float16 as
int16, bfloat16 as uint16. float32 and float64 are themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOAT16_BITS = np.dtype(np.int16)
BFLOAT16_BITS = np.dtype(np.uint16)


def widen(rows: NDArray[Any]) -> NDArray[Any]:
    """Half precision as float32, exactly; float32 and float64 are returned as they are.

    >>> widen(np.array([0x3F80, 0xFF80], np.uint16)), widen(np.array([0x3C00], np.int16))
    (array([  1., -inf], dtype=float32), array([1.], dtype=float32))
    """
    if rows.dtype == FLOAT16_BITS:
        return rows.view(np.float16).astype(np.float32)
    if rows.dtype == BFLOAT16_BITS:
        return (rows.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return rows
