"""NumPy: dynamic temperature, scale, guidance, length decay of logits `(n,)`; −inf stays."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.vector.distribution import entropy_terms, log_softmax
from decoding.kernels.vector.edits import temperature

Row = NDArray[np.float64]

_LARGEST = sys.float_info.max


def dynamic_temperature(
    logits: Row, lowest: float, highest: float, exponent: float, limit: float = _LARGEST
) -> Row:
    """z / T as `edits.temperature`, T = lowest + (highest − lowest) · (H / ln support)^exponent."""
    alive = logits > -np.inf
    support = np.count_nonzero(alive)
    if support < 2:
        return logits
    share = entropy_terms(log_softmax(logits)).sum() / np.log(support)
    value = lowest + (highest - lowest) * min(float(share), 1.0) ** exponent
    return temperature(logits, max(value, sys.float_info.min), limit)


def logit_scale(logits: Row, token_ids: NDArray[np.integer], factor: float, divisor: float) -> Row:
    """z · factor if z < 0 else z / divisor, of the given tokens; what is finite stays finite."""
    chosen = logits[token_ids]
    possible = chosen > -np.inf
    safe = np.where(possible, chosen, 0.0)
    with np.errstate(over="ignore"):
        changed = np.where(safe < 0.0, safe * factor, safe / divisor)
    result = logits.copy()
    result[token_ids] = np.where(possible, np.clip(changed, -_LARGEST, _LARGEST), chosen)
    return result


def guided(logits: Row, unconditional: Row, scale: float) -> Row:
    """u + scale · (c − u) of the logprobs; c alone where u is −inf."""
    conditional = log_softmax(logits)
    base = log_softmax(unconditional)
    both = (conditional > -np.inf) & (base > -np.inf)
    result = conditional.copy()
    result[both] = base[both] + scale * (conditional[both] - base[both])
    return result


def length_decay(logits: Row, token_ids: NDArray[np.integer], factor: float, steps: int) -> Row:
    """z + |z| · (factor^steps − 1) of the given tokens; nothing before the first step."""
    return logits if steps <= 0 else logit_scale(logits, token_ids, *decay_scale(factor, steps))


def decay_scale(factor: float, steps: int) -> tuple[float, float]:
    """Express a length decay by the two factors of `logit_scale`."""
    try:
        growth = max(factor**steps, 1.0 / _LARGEST)
    except OverflowError:
        growth = _LARGEST
    return 2.0 - growth, 1.0 / growth
