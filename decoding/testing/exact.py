"""Computes a sampler's token probabilities exactly, from the numbers that decide its draws.

`law_of_argmax` is of a sampler that picks argmax_i perturb(logits, words)_i with independent
uniform 64-bit words. Token i with word w beats token j for exactly those words of j that lie below
a threshold, since a larger word never lowers a score; bisection finds that threshold in 64 steps,
so

    P(i) = E_w [ Π_{j≠i} (words of j that lose against w) / 2⁶⁴ ]

is an integral over one uniform, done by Fejér's quadrature: as many points near the ends, where the
integrand bends, as Gauss has, without an eigenvalue problem. Nothing is drawn, so nothing can be
unlucky: what is left is the quadrature's error, below 1e-9 for 2,000 points. `law_of_inverse` and
`law_of_race` feed numbers to a third-party sampler in place of randomness.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from decoding.testing.draws import Draw

Row: TypeAlias = NDArray[np.float64]
Words: TypeAlias = NDArray[np.uint64]
Perturb: TypeAlias = Callable[[Row, Words], Row]
"""Scores of tokens from their logits and 64 random bits each, elementwise."""

_BITS = 64
_TOP = np.float64(2.0**_BITS)
_GRID = 2**16
"""How many uniform numbers `law_of_inverse` feeds to a sampler that takes one per row."""
_NODES, _FED_BITS = 128, 52
"""Quadrature points of `law_of_race`, and the steps by which it bisects each threshold."""


def law_of_argmax(perturb: Perturb, logits: Row, nodes: int = 2000) -> Row:
    """Each token's probability of having the largest `perturb` score; ties go to the lowest index.

    logits: `(n,)` float64; −inf has probability 0. Costs n² · nodes · 64 calls' worth of elements.
    """
    uniforms, weights = _quadrature(nodes)
    own_words = np.minimum(uniforms * _TOP, _TOP * (1.0 - 2.0**-53)).astype(np.uint64)
    support = np.flatnonzero(logits > -np.inf).tolist()
    law = np.zeros(len(logits))
    for token in support:
        wins = np.ones(nodes)
        for other in support:
            if other != token:
                wins *= _losing_fraction(perturb, logits, token, other, own_words)
        law[token] = np.dot(weights, wins)
    return law


def total_variation(first: Row, second: Row) -> float:
    """The total variation distance ½ Σ |p − q|."""
    return float(np.abs(first - second).sum() / 2.0)


@cache
def _quadrature(nodes: int) -> tuple[Row, Row]:
    """Points and weights of Fejér's first quadrature rule (1933) on [0, 1]."""
    angles = (np.arange(nodes) + 0.5) * np.pi / nodes
    orders = np.arange(1, nodes // 2 + 1)
    waves = np.cos(2.0 * np.outer(angles, orders)) / (4.0 * orders**2 - 1.0)
    return (np.cos(angles) + 1.0) / 2.0, (1.0 - 2.0 * waves.sum(axis=1)) / nodes


def _losing_fraction(
    perturb: Perturb, logits: Row, token: int, other: int, own_words: Words
) -> Row:
    """For each of the token's words, the fraction of the other's words that lose against it."""
    own = perturb(np.full(len(own_words), logits[token]), own_words)
    rival = np.full(len(own_words), logits[other])
    losing = np.zeros(len(own_words), np.uint64)
    for bit in reversed(range(_BITS)):
        # `losing` is how many words are known to lose; the next candidate is the word before that.
        step = np.uint64(1 << bit)
        score = perturb(rival, losing + (step - np.uint64(1)))
        loses = score <= own if token < other else score < own
        losing = np.where(loses, losing + step, losing)
    return losing.astype(np.float64) / _TOP


def law_of_inverse(draw: Draw, row: Row) -> tuple[Row, float]:
    """Token probabilities of a sampler that one uniform number decides, and their error bound.

    The middles of 2¹⁶ equal intervals are fed. A token that owns one interval of numbers, as with
    an inverse distribution function, is counted to within one part.
    """
    middles = (np.arange(_GRID) + 0.5) / _GRID
    counts = np.zeros(len(row), np.int64)
    logits = np.tile(row.astype(np.float32), (4096, 1))
    for start in range(0, _GRID, 4096):
        counts += np.bincount(
            draw(logits, {"u": middles[start : start + 4096]}), minlength=len(row)
        )
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
        return draw(logits, {"uniforms": fed if rising else 1.0 - fed}) == own

    for token in np.flatnonzero(row > -np.inf).tolist():
        wins = winners(token, -1, points).astype(np.float64)
        for other in range(len(row)):
            if other != token:
                losing = np.zeros(_NODES)
                for bit in range(1, _FED_BITS + 1):
                    step = losing + 2.0**-bit
                    losing = np.where(winners(token, other, step), step, losing)
                wins *= losing
        law[token] = np.dot(weights, wins)
    return law, 2e-3


def _rises(draw: Draw, vocab: int) -> bool:
    """Whether a larger number makes a token likelier."""
    fed = np.full((1, vocab), 0.2)
    fed[0, -1] = 0.9
    return (
        vocab == 1 or int(draw(np.zeros((1, vocab), np.float32), {"uniforms": fed})[0]) == vocab - 1
    )
