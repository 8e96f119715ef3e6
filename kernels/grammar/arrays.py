"""NumPy types that annotate kernels' parameters: C-contiguous, 1-D if not `Rows`.

A kernel is compiled for the types that its parameters are annotated with.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
UInt8s = NDArray[np.uint8]
Int8s = NDArray[np.int8]
Int16s = NDArray[np.int16]
Int32s = NDArray[np.int32]
UInt32s = NDArray[np.uint32]
Int64s = NDArray[np.int64]
UInt64s = NDArray[np.uint64]
Int32Rows = Annotated[NDArray[np.int32], 2]
Int64Rows = Annotated[NDArray[np.int64], 2]
