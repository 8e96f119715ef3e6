"""Truncations and dynamic temperature of a row split over processes, as generators.

Each has the meaning of its namesake in `decoding.kernels.vector`.
"""

from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from decoding.distributed.exact_sums import SCALE, Exact, add_sums, exact_sum, pack_sums
from decoding.distributed.row_part import RowPart, Talk
from decoding.distributed.threshold import (
    NATS_BELOW,
    Threshold,
    threshold_by_count,
    threshold_by_weight,
)
from decoding.kernels.program import NEEDS_DEVIATION, NEEDS_SQUARES, NEEDS_TOTAL, Term
from decoding.kernels.vector import cutoffs

Row = NDArray[np.float64]
Mask = NDArray[np.bool_]

_DISTANCES = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0)
"""The first pivots of typical-p, in nats."""


def top_k(part: RowPart, count: int, *, keep_ties: bool) -> Talk[Mask]:
    """Top-k: the k largest; with `keep_ties` all tied with the k-th, else the lowest ids."""
    yield from part.find_largest()
    counts = yield from part.find_counts()
    logits = part.candidates.logits
    if sum(counts) <= count:
        return np.ones(len(logits), np.bool_)
    cut = yield from threshold_by_count(logits, count, counts)
    if keep_ties:
        return logits >= cut.key
    return _down_to(logits, cut, count - cut.above, part.rank)


def top_p(part: RowPart, p: float) -> Talk[Mask]:
    """Top-p: tokens whose preceding mass is < p, most likely first, then by token id."""
    largest = yield from part.find_largest()
    counts = yield from part.find_counts()
    weights, mass = yield from part.find_mass()
    target = _ceiling(p, mass.total)
    logits = part.candidates.logits
    pivots = [largest - distance for distance in NATS_BELOW]
    cut = yield from threshold_by_weight(
        logits, weights, target, mass.total, counts=counts, pivots=pivots
    )
    return _down_to(logits, cut, -(-(target - cut.above) // cut.weight), part.rank)


def typical_p(part: RowPart, p: float) -> Talk[Mask]:
    """Typical-p: smallest |−ln p_i − H| first until the mass is reached; ties at the cut stay."""
    largest = yield from part.find_largest()
    counts = yield from part.find_counts()
    weights, mass = yield from part.find_mass()
    surprise = (mass.log_total + largest) - part.candidates.logits
    keys = -np.abs(surprise - mass.entropy)
    cut = yield from threshold_by_weight(
        keys,
        weights,
        _ceiling(p, mass.total),
        mass.total,
        counts=counts,
        pivots=[-distance for distance in _DISTANCES],
    )
    return (keys >= cut.key) & (np.exp(-part.below()) > 0.0)


def top_h(part: RowPart, share: float) -> Talk[Mask]:
    """Top-H: likeliest tokens while the partial Σ −p ln p is ≤ share · H; the first stays."""
    largest = yield from part.find_largest()
    counts = yield from part.find_counts()
    _, mass = yield from part.find_mass()
    logits = part.candidates.logits
    logprobs = -part.below() - mass.log_total
    probabilities = np.exp(logprobs)
    terms = np.where(probabilities > 0.0, -probabilities * np.maximum(logprobs, -1e3), 0.0)
    replies = yield struct.pack("<d", float(terms.max(initial=0.0)))
    greatest = max(struct.unpack("<d", reply)[0] for reply in replies)
    if greatest > 0.0:
        terms = np.ldexp(terms, -int(np.frexp(greatest)[1]))
    weights = Exact.of(terms)
    [total] = add_sums((yield pack_sums(weights.sum())), 0, 1)
    target = int(Fraction(share) * total) + 1  # the first sum beyond the budget
    if target > total:
        return probabilities > 0.0
    pivots = [largest - distance for distance in NATS_BELOW]
    cut = yield from threshold_by_weight(
        logits, weights, target, total, counts=counts, pivots=pivots
    )
    kept = (target - 1 - cut.above) // cut.weight
    if cut.key == largest:
        kept = max(kept, 1)
    return _down_to(logits, cut, kept, part.rank) & (probabilities > 0.0)


def cut(part: RowPart, needs: int, coefficients: Row) -> Talk[Mask]:
    """Min-p and others: z_i ≥ max + min(0, least term); see `decoding.kernels.program.cut`."""
    largest = yield from part.find_largest()
    logits = part.candidates.logits
    statistics = np.zeros(len(Term._fields))
    statistics[0] = 1.0
    if needs & NEEDS_TOTAL:
        _, mass = yield from part.find_mass()
        statistics[1], statistics[2] = mass.log_total, mass.entropy
    if needs & NEEDS_DEVIATION:
        statistics[3] = yield from _half_deviation(part)
    if needs & NEEDS_SQUARES:
        replies = yield pack_sums(exact_sum(np.exp(-2.0 * part.below())))
        statistics[4] = float(np.log(add_sums(replies, 0, 1)[0] / SCALE))
    return cutoffs.above_terms(logits, largest, needs, coefficients, statistics)


def xtc(part: RowPart, threshold: float, minimum: int, exempt: NDArray[np.int32]) -> Talk[Mask]:
    """XTC: remove all tokens with p_i ≥ threshold but the least likely and those in `exempt`."""
    yield from part.find_largest()
    logits = part.candidates.logits
    choices = np.ones(len(logits), np.bool_)
    if threshold > 0.0:
        _, mass = yield from part.find_mass()
        choices = -part.below() - mass.log_total >= np.log(threshold)
    least = float(logits[choices].min(initial=np.inf))
    replies = yield struct.pack("<Id", np.count_nonzero(choices), least)
    told = [struct.unpack("<Id", reply) for reply in replies]
    everything = np.ones(len(logits), np.bool_)
    if sum(count for count, _ in told) < 2:
        return everything
    removed = choices & (logits > min(least for _, least in told))
    if len(logits):
        removed[part.candidates.places_of(exempt)] = False
    if minimum > 1:
        replies = yield struct.pack("<I", np.count_nonzero(~removed))
        if sum(struct.unpack("<I", reply)[0] for reply in replies) < minimum:
            return everything
    kept: Mask = ~removed
    return kept


def dynamic_temperature(
    part: RowPart, lowest: float, highest: float, exponent: float
) -> Talk[float | None]:
    """Dynamic temperature by the entropy; None where the row has one candidate."""
    yield from part.find_largest()
    support = sum((yield from part.find_counts()))
    if support < 2:
        return None
    _, mass = yield from part.find_mass()
    share = mass.entropy / float(np.log(support))
    value: float = lowest + (highest - lowest) * min(share, 1.0) ** exponent
    return max(value, float(np.finfo(np.float64).tiny))


def _half_deviation(part: RowPart) -> Talk[float]:
    """Half the population standard deviation of the candidates of all processes."""
    assert part.largest is not None  # ours
    # Halved, so that the widest float64 range is finite; scaled, so that its square is.
    below = part.largest / 2.0 - part.candidates.logits / 2.0
    replies = yield struct.pack("<d", float(below.max(initial=0.0)))
    widest = max(struct.unpack("<d", reply)[0] for reply in replies)
    if widest == 0.0:
        return 0.0
    scaled = below / widest
    replies = yield pack_sums(exact_sum(scaled), exact_sum(scaled * scaled))
    total, squares = add_sums(replies, 0, 2)
    count = sum((yield from part.find_counts()))
    variance = (count * squares * SCALE - total * total) / (count * SCALE) ** 2
    return float(np.sqrt(max(variance, 0.0))) * float(widest)


def _ceiling(share: float, total: int) -> int:
    """The least integer that is not below share · total."""
    product = Fraction(share) * total
    return -(-product.numerator // product.denominator)


def _down_to(logits: Row, cut: Threshold, count: int, rank: int) -> Mask:
    """Tokens above a threshold, and so many tied with it, in order of token id over all ranks."""
    keep: Mask = logits > cut.key
    keep[np.flatnonzero(logits == cut.key)[: cut.kept_ties(count, rank)]] = True
    return keep
