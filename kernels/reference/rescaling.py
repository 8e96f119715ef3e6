"""Reference of dynamic temperature, logit scale, guidance, length decay; lists in and out."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection

from decoding.kernels.reference.cutoffs import entropy_of
from decoding.kernels.reference.processors import log_softmax, temperature

Row = list[float]
_IMPOSSIBLE = -math.inf
_LARGEST = sys.float_info.max


def dynamic_temperature(logits: Row, lowest: float, highest: float, exponent: float) -> Row:
    """z / T, T = lowest + (highest − lowest) · (H / ln support)^exponent."""
    support = sum(z > _IMPOSSIBLE for z in logits)
    if support < 2:
        return logits
    share = min(entropy_of(logits) / math.log(support), 1.0)
    value = max(lowest + (highest - lowest) * share**exponent, sys.float_info.min)
    return temperature(logits, value)


def logit_scale(logits: Row, token_ids: Collection[int], factor: float, divisor: float) -> Row:
    """z · factor if z < 0 else z / divisor, of the given tokens; what is finite stays finite."""
    changed = [z * factor if z < 0.0 else z / divisor for z in logits]
    return [
        min(max(y, -_LARGEST), _LARGEST) if i in token_ids and z > _IMPOSSIBLE else z
        for i, (y, z) in enumerate(zip(changed, logits, strict=True))
    ]


def renormalise(logits: Row) -> Row:
    """ln softmax(z)."""
    return logits if max(logits) == _IMPOSSIBLE else log_softmax(logits)


def guided(logits: Row, unconditional: Row, scale: float) -> Row:
    """u + scale · (c − u) of the logprobs; c alone where u is −inf."""
    return [
        u + scale * (c - u) if c > _IMPOSSIBLE and u > _IMPOSSIBLE else c
        for c, u in zip(renormalise(logits), renormalise(unconditional), strict=True)
    ]


def length_decay(logits: Row, token_ids: Collection[int], factor: float, steps: int) -> Row:
    """z + |z| · (factor^steps − 1) of the given tokens; nothing before the first step."""
    if steps <= 0:
        return logits
    return [
        z + abs(z) * (factor**steps - 1.0) if i in token_ids and z > _IMPOSSIBLE else z
        for i, z in enumerate(logits)
    ]
