"""NumPy: runs one processor alone; rows `(batch, vocab)` in, rows of the same dtype out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Row = NDArray[np.float64]


def keep(logits: Array, keep_row: Callable[[Row], NDArray[np.bool_]]) -> Array:
    """Apply a truncation to each row: −inf where `keep_row` is False, the rest bit-identical."""
    kept = np.stack([keep_row(row.astype(np.float64)) for row in logits])
    return np.where(kept, logits, -np.inf).astype(logits.dtype, copy=False)


def edit(logits: Array, edit_row: Callable[[int, Row], Row]) -> Array:
    """Apply an edit to each row (its index, its logits); finite values stay finite in the dtype."""
    rows = [edit_row(index, row.astype(np.float64)) for index, row in enumerate(logits)]
    return narrow(np.stack(rows), logits.dtype)


def narrow(logits: Row, dtype: np.dtype[Any]) -> Array:
    """Convert float64 logits to another dtype; finite values stay finite."""
    limit = np.finfo(dtype).max
    return np.where(np.isneginf(logits), logits, np.clip(logits, -limit, limit)).astype(dtype)


def within(token_ids: NDArray[np.int32], width: int) -> NDArray[np.int32]:
    """Keep the token ids below a row's width."""
    return token_ids[(token_ids >= 0) & (token_ids < width)]
