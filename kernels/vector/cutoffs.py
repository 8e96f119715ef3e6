"""Further truncations: float64 logits `(n,)` in, the mask of those that stay out.

−inf entries never stay. A row without any finite entry keeps nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.vector.distribution import entropy_terms, log_softmax

Row = NDArray[np.float64]
Mask = NDArray[np.bool_]

_FIRST_GUESS = 256
_GROWTH = 8


def epsilon_cutoff(logits: Row, epsilon: float) -> Mask:
    """p_i ≥ ε; the likeliest stay."""
    return _at_least(logits, log_softmax(logits), np.log(epsilon))


def eta_cutoff(logits: Row, epsilon: float) -> Mask:
    """p_i ≥ min(ε, √ε · exp(−H)); the likeliest stay."""
    logprobs = log_softmax(logits)
    entropy = entropy_terms(logprobs).sum()
    return _at_least(logits, logprobs, min(np.log(epsilon), np.log(epsilon) / 2.0 - entropy))


def top_h(logits: Row, share: float, candidates: int) -> Mask:
    """Likeliest first, while the partial sum of −p ln p is ≤ share · H; the first stays."""
    keep = np.zeros(len(logits), np.bool_)
    pool = _likeliest(logits, candidates) if candidates < len(logits) else None
    row = logits if pool is None else logits[pool]
    kept = _entropy_prefix(row, share)
    keep[kept if pool is None else pool[kept]] = True
    return keep & (logits > -np.inf)


def top_n_sigma(logits: Row, n: float) -> Mask:
    """max − z_i ≤ n · σ, σ the population standard deviation of the finite logits."""
    keep = logits > -np.inf
    alive = logits[keep]
    if len(alive) > 1:
        # Halved, so that the widest float64 range is finite; scaled, so that its square is.
        below = alive.max() / 2.0 - alive / 2.0
        widest = below.max()
        if widest > 0.0:
            keep[keep] = below / widest <= n * np.std(below / widest)
    return keep


def xtc(logits: Row, threshold: float, exempt: NDArray[np.int64], minimum: int) -> Mask:
    """Of the tokens with p_i ≥ threshold only the least likely stay, and those in `exempt`."""
    keep = logits > -np.inf
    choices = keep & (log_softmax(logits) >= np.log(threshold)) if threshold > 0.0 else keep
    if np.count_nonzero(choices) < 2:
        return keep
    removed = choices & (logits > logits[choices].min())
    removed[exempt] = False
    left = keep & ~removed
    return left if np.count_nonzero(left) >= minimum else keep


def _at_least(logits: Row, logprobs: Row, threshold: float) -> Mask:
    return ((logprobs >= threshold) | (logits == logits.max())) & (logits > -np.inf)


def _entropy_prefix(logits: Row, share: float) -> NDArray[np.intp]:
    """The places of the likeliest tokens that have the share of the entropy between them.

    Only a growing part of the row is sorted: what is kept is often a few hundred of 10⁵ tokens.
    """
    if share == 1.0 or logits.max() == -np.inf:
        return np.arange(len(logits))
    logprobs = log_softmax(logits)
    terms = entropy_terms(logprobs)
    budget = share * terms.sum()
    guess = _FIRST_GUESS
    while True:
        order = _likeliest(logits, guess)
        sums = np.cumsum(terms[order])
        if guess >= len(logits) or sums[-1] > budget:
            break
        guess *= _GROWTH
    # Where p is 0 in float64 the sum has stopped growing, which says nothing about the token.
    stays = (sums <= budget) & (np.exp(logprobs[order]) > 0.0)
    stays[0] = True
    return order[stays]


def _likeliest(logits: Row, count: int) -> NDArray[np.intp]:
    """The places of the `count` largest, in order; ties by the lower place."""
    pool = np.arange(len(logits))
    if count < len(logits):
        pool = np.flatnonzero(logits >= np.partition(logits, len(logits) - count)[-count])
    return pool[np.argsort(-logits[pool], kind="stable")][:count]
