"""Tail probabilities of the binomial, gamma and normal distributions, without cancellation."""

from __future__ import annotations

import math


def binomial_tail(successes: int, trials: int, share: float) -> float:
    """P(X >= successes) for X ~ Binomial(trials, share); share in (0, 1).

    >>> round(binomial_tail(2, 3, 0.5), 12)
    0.5
    """
    if successes <= 0:
        return 1.0
    if successes > trials:
        return 0.0
    odds = share / (1.0 - share)
    if successes > trials * share:
        return min(1.0, _binomial_run(successes, trials, share, odds))
    # The same sum from the other end, which is the smaller side here.
    other = _binomial_run(trials - successes + 1, trials, 1.0 - share, 1.0 / odds)
    return max(0.0, 1.0 - other)


def gamma_tail(total: float, count: int) -> float:
    """P(Y >= total) for Y ~ Gamma(count, 1), the sum of `count` standard exponentials.

        e^−y · Σ yᵏ / k!   over k < count

    >>> round(gamma_tail(3.0, 1), 6)
    0.049787
    """
    if count == 0 or total <= 0.0:
        return 1.0
    if total > count:
        return min(1.0, _poisson_run(total, count - 1, up=False))
    return max(0.0, 1.0 - _poisson_run(total, count, up=True))


def normal_tail(z: float) -> float:
    """P(Z >= z) for a standard normal Z.

    >>> normal_tail(0.0)
    0.5
    """
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def _binomial_run(first: int, trials: int, share: float, odds: float) -> float:
    """The probabilities of `first` successes and more, which fall from term to term."""
    logarithm = (
        math.lgamma(trials + 1)
        - math.lgamma(first + 1)
        - math.lgamma(trials - first + 1)
        + first * math.log(share)
        + (trials - first) * math.log1p(-share)
    )
    ratios = (odds * (trials - k) / (k + 1) for k in range(first, trials))
    total, term = 1.0, 1.0
    for ratio in ratios:
        term *= ratio
        total += term
        if term < 1e-18 * total:
            break
    return math.exp(logarithm + math.log(total))


def _poisson_run(mean: float, first: int, *, up: bool) -> float:
    """The Poisson probabilities from `first` on, away from the mean."""
    logarithm = first * math.log(mean) - mean - math.lgamma(first + 1)
    total, term, k = 1.0, 1.0, first
    while term >= 1e-18 * total and (up or k > 0):
        term *= mean / (k + 1) if up else k / mean
        k += 1 if up else -1
        total += term
    return math.exp(logarithm + math.log(total))
