"""Edits of whole rows: float64 logits `(n,)` in, new logits out; −inf stays −inf."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.vector.distribution import entropy_terms, log_softmax

Row = NDArray[np.float64]


def dynamic_temperature(logits: Row, temperature: float, reach: float, exponent: float) -> Row:
    """(z − max) / T, T = lowest + (highest − lowest) · (H / ln support)^exponent.

    The maximum goes before the division, for T can be so small that nothing would be left of the
    differences of what it makes of the logits.
    """
    alive = logits > -np.inf
    support = np.count_nonzero(alive)
    if support < 2:
        return logits
    lowest, highest = max(0.0, temperature - reach), temperature + reach
    share = entropy_terms(log_softmax(logits)).sum() / np.log(support)
    value = max(lowest + (highest - lowest) * min(share, 1.0) ** exponent, sys.float_info.min)
    with np.errstate(over="ignore"):
        scaled = (logits - logits.max()) / value
    return np.where(alive, np.maximum(scaled, -sys.float_info.max), logits)


def guided(logits: Row, unconditional: Row, scale: float) -> Row:
    """u + scale · (c − u) of the logprobs; c alone where u is −inf."""
    conditional = log_softmax(logits)
    base = log_softmax(unconditional)
    both = (conditional > -np.inf) & (base > -np.inf)
    result = conditional.copy()
    result[both] = base[both] + scale * (conditional[both] - base[both])
    return result


def length_decay(logits: Row, token_ids: NDArray[np.int64], factor: float, steps: int) -> Row:
    """z + |z| · (factor^steps − 1) of the given tokens; nothing before the first step."""
    if steps <= 0:
        return logits
    with np.errstate(over="ignore"):
        growth = min(np.power(factor, float(steps)), sys.float_info.max) - 1.0
        chosen = logits[token_ids]
        possible = chosen > -np.inf
        changed = chosen + np.where(possible, np.abs(chosen), 0.0) * growth
    largest = sys.float_info.max
    result = logits.copy()
    result[token_ids] = np.where(possible, np.clip(changed, -largest, largest), chosen)
    return result
