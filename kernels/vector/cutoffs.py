"""NumPy: threshold truncations; float64 logits `(n,)` in, the mask of the kept ones out.

−inf entries never stay. A row without any finite entry keeps nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.program import NEEDS_DEVIATION, NEEDS_SQUARES, NEEDS_TOTAL, Term
from decoding.kernels.vector.distribution import entropy_terms, log_softmax

Row = NDArray[np.float64]
Mask = NDArray[np.bool_]

_FIRST_GUESS = 256
_GROWTH = 8


def cut(logits: Row, needs: int, coefficients: Row) -> Mask:
    """z_i ≥ max + min(0, the least term); see `decoding.kernels.program.cut`."""
    largest = logits.max()
    if largest == -np.inf:
        return logits > -np.inf
    statistics = np.zeros(len(Term._fields))
    statistics[0] = 1.0
    if needs & NEEDS_TOTAL:
        logprobs = log_softmax(logits)
        statistics[1] = -logprobs.max()
        statistics[2] = entropy_terms(logprobs).sum()
    if needs & NEEDS_SQUARES:
        statistics[4] = np.log(np.exp(2.0 * (logits[logits > -np.inf] - largest)).sum())
    if needs & NEEDS_DEVIATION:
        statistics[3] = half_deviation(logits[logits > -np.inf])
    return above_terms(logits, largest, needs, coefficients, statistics)


def above_terms(
    logits: Row, largest: float, needs: int, coefficients: Row, statistics: Row
) -> Mask:
    """What a cut keeps of logits, given the largest logit and the statistics of the whole row.

    statistics: in the order of `Term`; of the deviation, half.
    """
    alive = logits > -np.inf
    terms = coefficients.reshape(-1, len(Term._fields))
    if not needs & NEEDS_DEVIATION:
        return alive & (logits >= largest + min(0.0, (terms * statistics).sum(1).min()))
    # In halves, so that the widest float64 range is finite.
    halves = statistics / 2.0
    halves[3] = statistics[3]
    with np.errstate(over="ignore"):
        least = (terms * halves).sum(1).min()
    return alive & (logits / 2.0 >= largest / 2.0 + min(0.0, least))


def half_deviation(alive: Row) -> float:
    """Half the population standard deviation of finite logits."""
    # Halved, so that the widest float64 range is finite; scaled, so that its square is.
    below = alive.max() / 2.0 - alive / 2.0
    widest = below.max()
    return float(np.std(below / widest) * widest) if widest > 0.0 else 0.0


def top_h(logits: Row, share: float, candidates: int) -> Mask:
    """Keep the likeliest while the partial sum of −p ln p is ≤ share · H; the first always."""
    keep = np.zeros(len(logits), np.bool_)
    pool = _likeliest(logits, candidates) if candidates < len(logits) else None
    row = logits if pool is None else logits[pool]
    kept = _entropy_prefix(row, share)
    keep[kept if pool is None else pool[kept]] = True
    return keep & (logits > -np.inf)


def xtc(logits: Row, threshold: float, exempt: NDArray[np.int64], minimum: int) -> Mask:
    """Of the tokens with p_i ≥ threshold keep only the least likely, and those in `exempt`."""
    keep = logits > -np.inf
    choices = keep & (log_softmax(logits) >= np.log(threshold)) if threshold > 0.0 else keep
    if np.count_nonzero(choices) < 2:
        return keep
    removed = choices & (logits > logits[choices].min())
    removed[exempt] = False
    left = keep & ~removed
    return left if np.count_nonzero(left) >= minimum else keep


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
