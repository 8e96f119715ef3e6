"""Computes a sampler's token probabilities by feeding it numbers in place of randomness."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from decoding.testing.draws import Draw
from decoding.testing.exact import quadrature

Row = NDArray[np.float64]

_GRID = 2**16
_NODES = 128
_BITS = 52


def law_of_inverse(draw: Draw, row: Row) -> tuple[Row, float]:
    """Token probabilities of a sampler that one uniform number decides, and their error bound.

    The middles of 2¹⁶ equal intervals are fed. A token that owns one interval of numbers, as with
    an inverse distribution function, is counted to within one part.
    """
    middles = (np.arange(_GRID) + 0.5) / _GRID
    counts = np.zeros(len(row), np.int64)
    logits = np.tile(row.astype(np.float32), (4096, 1))
    for start in range(0, _GRID, 4096):
        counts += np.bincount(draw(logits, u=middles[start : start + 4096]), minlength=len(row))
    return counts / _GRID, (len(row) + 2) / _GRID + 1e-5


def law_of_race(draw: Draw, row: Row) -> tuple[Row, float]:
    """Token probabilities of a sampler of the best perturbed logit, and their error bound.

    One uniform number is fed for each logit. For each number of a token, and every other token, the
    numbers of the other with which it loses lie on one side of a threshold, found by bisection;

        P(i) = E over the number of i of [ Π over j of (share of the numbers of j that lose) ]

    is computed by Fejér's quadrature. Costs vocab² · 52 calls of 128 rows.
    """
    law = np.zeros(len(row))
    points, weights = _quadrature(_NODES)
    rising = _rises(draw, len(row))
    logits = np.tile(row.astype(np.float32), (_NODES, 1))
    low = 2.0**-53

    def winners(own: int, other: int, numbers: Row) -> NDArray[np.bool_]:
        fed = np.full(logits.shape, low)
        fed[:, own] = points
        if other >= 0:
            fed[:, other] = numbers
        fed = np.clip(fed, low, 1.0 - low)
        return draw(logits, uniforms=fed if rising else 1.0 - fed) == own

    for token in np.flatnonzero(row > -np.inf).tolist():
        wins = winners(token, -1, points).astype(np.float64)
        for other in range(len(row)):
            if other != token:
                losing = np.zeros(_NODES)
                for bit in range(1, _BITS + 1):
                    step = losing + 2.0**-bit
                    losing = np.where(winners(token, other, step), step, losing)
                wins *= losing
        law[token] = np.dot(weights, wins)
    return law, 2e-3


def _rises(draw: Draw, vocab: int) -> bool:
    """Whether a larger number makes a token likelier."""
    fed = np.full((1, vocab), 0.2)
    fed[0, -1] = 0.9
    return vocab == 1 or int(draw(np.zeros((1, vocab), np.float32), uniforms=fed)[0]) == vocab - 1


@cache
def _quadrature(nodes: int) -> tuple[Row, Row]:
    """Points and weights on [0, 1]."""
    points, weights = quadrature(nodes)
    return (points + 1.0) / 2.0, weights / 2.0
