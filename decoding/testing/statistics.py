"""Statistics of drawn tokens: χ², e-values, and sample sizes for two stated error rates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decoding.checks import checked_integer
from decoding.errors import require

Counts = NDArray[np.int64]
Probs = NDArray[np.float64]

_MOST_CELLS = 2**16
"""For which the series of the χ² distribution end in time."""


def chi_square(counts: Counts, probs: Probs) -> float:
    """Pearson's χ² = Σ (n_k − n p_k)² / (n p_k), with cells − 1 degrees of freedom.

    counts: `(cells,)` how often each cell was drawn. probs: `(cells,)` positive, of sum 1.
    """
    expected = counts.sum() * probs
    return float(((counts - expected) ** 2 / expected).sum())


def log_e_value(counts: Counts, probs: Probs) -> float:
    """The logarithm of an e-value against "the draws are independent and have these probs".

        E = (likelihood of the draws, mixed over Dirichlet(1/2, ..., 1/2)) / Π p_k^n_k

    If the claim holds, P(E ever reaches 1/α, however often one looks) <= α (Ville's inequality), so
    draws may be added and the test looked at as often as one likes. The mixture is that of
    Krichevsky and Trofimov 1981, "The performance of universal encoding",
    doi:10.1109/TIT.1981.1056331.
    """
    cells, total = len(counts), int(counts.sum())
    mixture = math.lgamma(cells / 2.0) - math.lgamma(total + cells / 2.0)
    mixture += sum(math.lgamma(count + 0.5) - math.lgamma(0.5) for count in counts.tolist())
    drawn = counts > 0
    with np.errstate(divide="ignore"):
        return float(mixture - np.dot(counts[drawn], np.log(probs[drawn])))


def chi_square_tail(value: float, degrees: float) -> float:
    """P(X >= value) for X of the χ² distribution.

    >>> round(chi_square_tail(3.841459, 1), 6)
    0.05
    """
    return _upper_gamma(degrees / 2.0, value / 2.0)


def chi_square_quantile(alpha: float, degrees: int) -> float:
    """The value that a χ² exceeds with probability alpha; alpha in (0, 1)."""
    low, high = 0.0, degrees + 10.0
    while chi_square_tail(high, degrees) > alpha:
        high *= 2.0
    for _ in range(80):
        middle = (low + high) / 2.0
        low, high = (middle, high) if chi_square_tail(middle, degrees) > alpha else (low, middle)
    return high


def power(draws: int, cells: int, tv: float, alpha: float) -> float:
    """The probability that χ² over equally likely cells sees a total variation `tv`.

    It is the least one over all distributions at that distance: their χ² distance is 4 tv² at
    least. The statistic is then noncentral χ² with noncentrality 4 · draws · tv².
    """
    if cells < 2:
        return 0.0
    limit = chi_square_quantile(alpha, cells - 1)
    mean = 2.0 * draws * tv**2
    # A noncentral χ² is a Poisson mixture of central ones.
    spread = 10.0 * math.sqrt(mean) + 20.0
    low, high = max(0, int(mean - spread)), int(mean + spread)
    total = 0.0
    for terms in range(low, high + 1 if mean else 1):
        log_weight = (terms * math.log(mean) if terms else 0.0) - mean - math.lgamma(terms + 1.0)
        weight = math.exp(log_weight)
        if weight > 1e-15:
            total += weight * chi_square_tail(limit, cells - 1 + 2 * terms)
    return min(1.0, total)


@dataclass(frozen=True, slots=True)
class SampleSize:
    """The draws that a χ² test needs for a distance and two error rates.

    draws: how many. cells: the cells that tokens are gathered in, of about equal probability.
    tv: the total variation distance that is seen. alpha: the probability of an alarm without a
    fault. miss: the probability that a fault of that size is missed.
    """

    draws: int
    cells: int
    tv: float
    alpha: float
    miss: float

    def __str__(self) -> str:
        return (
            f"{self.draws:,} draws in {self.cells} cells: a total variation of {self.tv:g} is"
            f" missed with probability {self.miss:.2g} at most; a false alarm has probability"
            f" {self.alpha:.2g} at most"
        )


def sample_size(
    tv: float, *, cells: int = 64, alpha: float = 1e-9, miss: float = 1e-3
) -> SampleSize:
    """The draws that χ² needs to see a total variation distance.

    tv: in (0, 1]. cells: from 2 to 2**16. alpha, miss: in (0, 1), both error rates.

    >>> print(sample_size(0.05, cells=8))  # doctest: +NORMALIZE_WHITESPACE
    10,456 draws in 8 cells: a total variation of 0.05 is missed with probability 0.001 at most; a
    false alarm has probability 1e-09 at most
    """
    require("tv", tv, 0.0 < tv <= 1.0, "in (0, 1]")
    require("alpha", alpha, 0.0 < alpha < 1.0, "in (0, 1)")
    require("miss", miss, 0.0 < miss < 1.0, "in (0, 1)")
    cells = checked_integer("cells", cells, 2, _MOST_CELLS, f"from 2 to {_MOST_CELLS}")
    low, high = 1, 16
    while power(high, cells, tv, alpha) < 1.0 - miss:
        low, high = high, 2 * high
    while high - low > max(1, low // 1000):
        middle = (low + high) // 2
        if power(middle, cells, tv, alpha) < 1.0 - miss:
            low = middle
        else:
            high = middle
    return SampleSize(high, cells, tv, alpha, miss)


def cells_of(probs: Probs, most: int = 64) -> NDArray[np.int64]:
    """Gather tokens in at most `most` cells of about equal probability, similar tokens together.

    probs: `(vocab,)`, of sum 1. Returns `(vocab,)` the cell of each token; −1 for those of
    probability 0. A token that is likelier than a cell's share has a cell of its own.
    """
    cells = np.full(len(probs), -1, np.int64)
    order = np.argsort(-probs, kind="stable")
    order = order[probs[order] > 0.0]
    left, rest, cell = 1.0, most, 0
    mass = 0.0
    for token in order.tolist():
        cells[token] = cell
        mass += float(probs[token])
        if rest > 1 and mass >= left / rest:
            left, rest, mass, cell = left - mass, rest - 1, 0.0, cell + 1
    return cells


def _upper_gamma(shape: float, value: float) -> float:
    """The regularised upper incomplete gamma function Q(shape, value)."""
    if value <= 0.0:
        return 1.0
    front = math.exp(shape * math.log(value) - value - math.lgamma(shape))
    if value < shape + 1.0:
        term = total = 1.0 / shape
        for step in range(1, 10_000):
            term *= value / (shape + step)
            total += term
            if term < total * 1e-16:
                break
        return max(0.0, 1.0 - front * total)
    # The continued fraction of Lentz.
    b = value + 1.0 - shape
    c, d = 1e300, 1.0 / b
    fraction = d
    for step in range(1, 10_000):
        a = -step * (step - shape)
        b += 2.0
        d = 1.0 / (a * d + b)
        c = b + a / c
        fraction *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return front * fraction
