"""NumPy: truncations; float64 logits `(n,)` in, the mask of the kept ones out.

−inf entries never stay. A row without any finite entry keeps nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]
Mask = NDArray[np.bool_]

_FIRST_GUESS = 256
_GROWTH = 8


def top_k(logits: Row, k: int, *, keep_ties: bool) -> Mask:
    """The k largest; ties with the k-th stay, or only the lowest ids of them up to exactly k."""
    if k >= len(logits):
        return logits > -np.inf
    kth = np.partition(logits, len(logits) - k)[len(logits) - k]
    if keep_ties:
        return (logits >= kth) & (logits > -np.inf)
    keep = logits > kth
    tied = np.flatnonzero(logits == kth)[: k - int(keep.sum())]
    keep[tied] = kth > -np.inf
    return keep


def top_p(logits: Row, p: float) -> Mask:
    """The mass before token i is < p, most likely first, then in order of token id."""
    weights = _weights(logits)
    kept = _covering_prefix(-logits, weights, p * weights.sum())
    keep = np.zeros(len(logits), np.bool_)
    keep[kept] = True
    return keep


def typical_p(logits: Row, mass: float) -> Mask:
    """|−ln p_i − H| smallest first until `mass` is reached; ties at the cut stay."""
    weights = _weights(logits)
    total = weights.sum()
    alive = weights > 0.0
    if total == 0.0:
        return alive
    surprise = np.full(len(logits), np.inf)
    np.subtract(np.log(total) + logits.max(), logits, out=surprise, where=alive)
    entropy = float(np.dot(weights[alive], surprise[alive])) / total
    distance = np.abs(surprise - entropy)
    kept = _covering_prefix(distance, weights, mass * total)
    return alive & (distance <= distance[kept[-1]])


def _weights(logits: Row) -> Row:
    largest = logits.max()
    if largest == -np.inf:
        return np.zeros_like(logits)
    return np.exp(logits - largest)


def _covering_prefix(keys: Row, weights: Row, target: float) -> NDArray[np.intp]:
    """Indices by ascending key (ties by index) as long as the weight before them is < target.

    Only a growing part of the row is sorted: the part below the partition's k-th key holds every
    tie of that key, so it is a true prefix of the sorted row.
    """
    guess = _FIRST_GUESS
    candidates = np.flatnonzero(weights > 0.0)
    while guess < len(keys):
        lowest = np.flatnonzero(keys <= np.partition(keys, guess)[guess])
        if weights[lowest].sum() >= target:
            candidates = lowest
            break
        guess *= _GROWTH
    order = candidates[np.argsort(keys[candidates], kind="stable")]
    ordered = weights[order]
    before = np.cumsum(ordered) - ordered
    return order[(before < target) & (ordered > 0.0)]
