"""The edge where a model's output becomes logits: checked once, viewed where possible."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from decoding.errors import ShapeError
from decoding.typing import Logits

_EXPECTED = "(batch, vocab) of float16, bfloat16, float32 or float64, NumPy or torch"


def as_logits(array: Any, name: str = "logits") -> Logits:  # noqa: ANN401 -- an edge: anything may come
    """A `(batch, vocab)` NumPy view of a model's output; half precision is widened to float32.

    float32 and float64 arrays, and torch tensors of these on the CPU, are viewed, not copied.

    Raises:
        ShapeError: not a two-dimensional floating array with at least one column.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        if not array.dtype.is_floating_point:
            raise ShapeError(name, f"a tensor of {array.dtype}", _EXPECTED)
        wide = array.dtype in (torch.float32, torch.float64)
        array = (array if wide else array.float()).detach().cpu().numpy()
    if not isinstance(array, np.ndarray):
        raise ShapeError(name, f"a {type(array).__name__}", _EXPECTED)
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.dtype not in (np.float32, np.float64):
        raise ShapeError(name, f"an array of {array.dtype}", _EXPECTED)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ShapeError(name, f"shape {array.shape}", _EXPECTED)
    return array
