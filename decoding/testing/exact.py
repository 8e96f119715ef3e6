"""Computes the token probabilities of an argmax-of-perturbed-logits sampler by quadrature.

The sampler picks argmax_i perturb(logits, words)_i with independent uniform 64-bit words. Token i
with word w beats token j for exactly those words of j that lie below a threshold, since a larger
word never lowers a score; bisection finds that threshold in 64 steps, so

    P(i) = E_w [ Π_{j≠i} (words of j that lose against w) / 2⁶⁴ ]

is an integral over one uniform, done by Fejér's quadrature: as many points near the ends, where the
integrand bends, as Gauss has, without an eigenvalue problem. Nothing is drawn, so nothing can be
unlucky: what is left is the quadrature's error, below 1e-9 for the rows used here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Row: TypeAlias = NDArray[np.float64]
Words: TypeAlias = NDArray[np.uint64]
Perturb: TypeAlias = Callable[[Row, Words], Row]
"""Scores of tokens from their logits and 64 random bits each, elementwise."""

_BITS = 64
_TOP = np.float64(2.0**_BITS)


def law_of_argmax(perturb: Perturb, logits: Row, nodes: int = 2000) -> Row:
    """Each token's probability of having the largest `perturb` score; ties go to the lowest index.

    logits: `(n,)` float64; −inf has probability 0. Costs n² · nodes · 64 calls' worth of elements.
    """
    points, weights = quadrature(nodes)
    uniforms = (points + 1.0) / 2.0
    own_words = np.minimum(uniforms * _TOP, _TOP * (1.0 - 2.0**-53)).astype(np.uint64)
    support = np.flatnonzero(logits > -np.inf).tolist()
    law = np.zeros(len(logits))
    for token in support:
        wins = np.ones(nodes)
        for other in support:
            if other != token:
                wins *= _losing_fraction(perturb, logits, token, other, own_words)
        law[token] = np.dot(weights / 2.0, wins)
    return law


def total_variation(first: Row, second: Row) -> float:
    """The total variation distance ½ Σ |p − q|."""
    return float(np.abs(first - second).sum() / 2.0)


@cache
def quadrature(nodes: int) -> tuple[Row, Row]:
    """Points and weights of Fejér's first quadrature rule (1933) on [−1, 1]."""
    angles = (np.arange(nodes) + 0.5) * np.pi / nodes
    orders = np.arange(1, nodes // 2 + 1)
    waves = np.cos(2.0 * np.outer(angles, orders)) / (4.0 * orders**2 - 1.0)
    return np.cos(angles), (2.0 - 4.0 * waves.sum(axis=1)) / nodes


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
