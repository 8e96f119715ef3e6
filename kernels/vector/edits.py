"""NumPy: edits; float64 logits `(n,)` and the token ids to change in, new logits out.

`token_ids` are positions in the row; the caller has dropped those outside it.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]
Indices = NDArray[np.integer]


def temperature(logits: Row, value: float, limit: float = sys.float_info.max) -> Row:
    """z / T; where that leaves ±`limit`, the same distribution as (z − max) / T.

    Finite entries stay finite: dividing must not make a token impossible.
    """
    alive = logits > -np.inf
    largest = float(np.abs(logits[alive]).max(initial=0.0))
    if largest <= limit * value:
        return logits / value
    shifted = logits - logits[alive].max()
    with np.errstate(over="ignore"):
        return np.where(alive, np.maximum(shifted / value, -limit), logits)


def repetition_penalty(logits: Row, token_ids: Indices, penalty: float) -> Row:
    """z · r if z < 0 else z / r, once a distinct token."""
    seen = logits[token_ids]
    with np.errstate(over="ignore"):
        return _replaced(logits, token_ids, np.where(seen < 0, seen * penalty, seen / penalty))


def frequency_penalty(logits: Row, token_ids: Indices, penalty: float) -> Row:
    """z − α · count."""
    distinct, counts = np.unique(token_ids, return_counts=True)
    return _replaced(logits, distinct, logits[distinct] - penalty * counts)


def presence_penalty(logits: Row, token_ids: Indices, penalty: float) -> Row:
    """z − α, once a distinct token."""
    return _replaced(logits, token_ids, logits[token_ids] - penalty)


def logit_bias(logits: Row, token_ids: Indices, values: Row) -> Row:
    """z + b; −inf bans. Token ids are distinct."""
    return _replaced(logits, token_ids, logits[token_ids] + values)


def in_bitmask(token_ids: Indices, bitmask: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which tokens have their bit set; those beyond the words have none."""
    if len(bitmask) == 0:
        return np.zeros(len(token_ids), np.bool_)
    word = np.minimum(token_ids >> 5, len(bitmask) - 1)
    return (bitmask[word] >> (token_ids & 31) & 1 == 1) & (token_ids >> 5 < len(bitmask))


def _replaced(logits: Row, token_ids: Indices, values: Row) -> Row:
    result = logits.copy()
    result[token_ids] = values
    return result
