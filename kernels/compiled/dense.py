"""From a whole row to the candidates of a truncation.

Before the first truncation a row is never copied: it is the stored logits by a `temperature`, but
for the *touched* tokens (penalised, biased), whose logits stand in a short list; `slot[token]` is
1 + its place there, 0 for all others. A truncation finds in the block maxima which blocks can hold
what it keeps, and collects the *candidates*. Where these would be more than `limit`, it finds the
bounds of what stays instead, and a *shadow* of the row takes its place, −inf outside them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.blocks import weigh_eight
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.masks import collect_edited
from decoding.kernels.compiled.memory import (
    HISTOGRAM,
    IDS,
    LOGITS,
    SLOT,
    TOUCHED,
    TOUCHED_IDS,
    VALUES,
    WEIGHTS,
)
from decoding.kernels.compiled.passes import blocks_of, collect
from decoding.kernels.compiled.selection import BINS, boundary_bin, kth_smallest
from decoding.kernels.compiled.touched import plain

_SHARE = 0.25
"""How much of the mass that is not needed is taken in, since a sample says what is."""
_GUESSES, _MORE = 3, 1.01
_FIRST_RANK = 256
_STEP = 8
_FEW = 4096
_NARROWINGS = 40
_ROUNDING = 1e-6
"""Relative error that the sum over a row may have."""


@compiled
def append_touched(
    touched_ids: Any,
    touched: Any,
    touched_count: Any,
    low: Any,
    high: Any,
    ids: Any,
    logits: Any,
    count: Any,
) -> Any:
    """Append the possible touched tokens with low ≤ logit ≤ high; the new count."""
    for place in range(touched_count):
        logit = touched[place]
        if low <= logit <= high and logit > -np.inf:
            ids[count], logits[count] = touched_ids[place], logit
            count += 1
    return count


@compiled
def _bound_of_rank(block_max: Any, blocks: Any, rank: Any, values: Any) -> Any:
    """A number that at least `rank` block maxima reach, and not many more.

    By bisection, which vectorises; where a few steps do not find one, by selection.
    """
    low, high = np.inf, -np.inf
    for block in range(blocks):
        low, high = min(low, block_max[block]), max(high, block_max[block])
    for _ in range(12):
        middle = 0.5 * low + 0.5 * high
        count = 0
        for block in range(blocks):
            count += block_max[block] >= middle
        if count < rank:
            high = middle
        elif count > rank + rank // 4 + 8:
            low = middle
        else:
            return middle
    for block in range(blocks):
        values[block] = -block_max[block]
    return -kth_smallest(values, blocks, rank)


@compiled
def collect_reaching(dense: Any, block_max: Any, low: Any, limit: Any, memory: Any) -> Any:
    """List the tokens of a dense row that are not touched and whose logit is `low` or more."""
    slot, ids, logits = memory.integers[SLOT], memory.integers[IDS], memory.doubles[LOGITS]
    row, temperature = dense.row, dense.temperature
    if dense.masks.slot >= 0:
        return collect_edited(
            row, dense.masks, memory.bitmasks, block_max, temperature, low, limit, slot, ids, logits
        )
    return collect(row, block_max, temperature, low, np.inf, limit, 1, slot, ids, logits)


@compiled
def collect_largest(dense: Any, block_max: Any, k: Any, limit: Any, count: Any, memory: Any) -> Any:
    """List a set that holds the k largest logits and every tie with the k-th; returns its size.

    The k-th largest block maximum is a lower bound of the k-th largest logit: about k blocks have
    logits above it, and where more tokens are not below it, they tie with it. −1 where these are
    many, or the set has more than `limit`, touched tokens aside. count: touched tokens.
    """
    ids, logits, values = memory.integers[IDS], memory.doubles[LOGITS], memory.doubles[VALUES]
    blocks = blocks_of(dense.row)
    rank = k + min(count, 8 + k // 4)
    while True:
        low, most = -np.inf, limit
        if rank < blocks:
            low = _bound_of_rank(block_max, blocks, rank, values) / dense.temperature
            most = min(limit, 64 * (rank + rank // 4 + 16))
        found = collect_reaching(dense, block_max, low, most, memory)
        if found < 0:
            return -1
        touched_ids, touched = memory.integers[TOUCHED_IDS], memory.doubles[TOUCHED]
        found = append_touched(touched_ids, touched, count, low, np.inf, ids, logits, found)
        if found >= k or low == -np.inf:
            return found
        rank *= 4


@compiled
def weigh_entries(logits: Any, count: Any, reference: Any, weights: Any) -> Any:
    """w = exp(logit − reference) of the entries into `weights`; returns Σ w and Σ w · gap.

    Writes up to seven entries behind the last of `logits` and `weights`.
    """
    for place in range(count, (count + 7) // 8 * 8):
        logits[place] = -np.inf
    total, moment = 0.0, 0.0
    for start in range(0, count, 8):
        weight, first = weigh_eight(logits, start, reference, weights)
        total += weight
        moment += first
    return total, moment


@compiled
def _add_to_histogram(
    logits: Any,
    weights: Any,
    count: Any,
    centre: Any,
    reach: Any,
    below: Any,
    times: Any,
    histogram: Any,
) -> Any:
    """Add the weights, `times` over, of entries below a logit to the bins of their distance."""
    factor = min(BINS / reach, 1e300)
    for place in range(count):
        if logits[place] < below:
            distance = abs(logits[place] - centre)
            histogram[np.int64(min(distance * factor, BINS - 1.0))] += times * weights[place]


@compiled
def collect_nearest(
    row: Any,
    block_max: Any,
    temperature: Any,
    largest: Any,
    total: Any,
    centre: Any,
    mass: Any,
    limit: Any,
    memory: Any,
) -> Any:
    """List all tokens up to some distance |z − centre| that weigh `mass` of `total` or more.

    Returns their number, −1 where that is more than `limit`, and a bound of the distance;
    `WEIGHTS` holds exp(z − largest).
    Tokens below largest + ln((1 − mass) · total / vocab) cannot be needed: all of them together
    weigh less than (1 − mass) · total. How few of the others suffice is guessed from up to 256 of
    the largest, which are often enough where the centre is the largest itself, and from every
    eighth block.
    """
    slot, ids = memory.integers[SLOT], memory.integers[IDS]
    logits, weights = memory.doubles[LOGITS], memory.doubles[WEIGHTS]
    histogram = memory.doubles[HISTOGRAM]
    target = mass * total * (1.0 + _ROUNDING)
    lowest = largest + math.log((1.0 - mass) * total / row.width)
    reach = max(largest - centre, centre - lowest) * (1.0 + _ROUNDING)
    blocks = blocks_of(row)
    if blocks >= 8 * _STEP:
        rank = min(_FIRST_RANK, blocks // 4)
        count = collect_largest(plain(row, temperature), block_max, rank, limit, 0, memory)
        if count < 0:
            return -1, reach
        found, _ = weigh_entries(logits, count, largest, weights)
        if centre == largest and found >= target:
            return count, np.inf
        for index in range(BINS):
            histogram[index] = 0.0
        _add_to_histogram(logits, weights, count, centre, reach, np.inf, 1.0, histogram)
        rest = np.inf
        for place in range(count):
            rest = min(rest, logits[place])
        low, high = centre - reach, min(centre + reach, rest)
        count = collect(row, block_max, temperature, low, high, limit, _STEP, slot, ids, logits)
        if count < 0:
            return -1, reach
        if count * _STEP > _FEW:
            weigh_entries(logits, count, largest, weights)
            _add_to_histogram(
                logits, weights, count, centre, reach, rest, np.float64(_STEP), histogram
            )
            wanted = target + _SHARE * (total - target)
            for _ in range(_GUESSES):
                bin_, before = boundary_bin(histogram, BINS, wanted, 0.0)
                if bin_ < 0:
                    break
                guess = (bin_ + 1) / min(BINS / reach, 1e300)
                low, high = centre - guess, np.inf if centre == largest else centre + guess
                count = collect(row, block_max, temperature, low, high, limit, 1, slot, ids, logits)
                if count < 0:
                    break
                found, _ = weigh_entries(logits, count, largest, weights)
                if found >= target:
                    return count, guess
                # By how much the sample was wrong here says how wrong it is farther on.
                estimate = (before + histogram[bin_]) * target / max(found, 1e-300)
                wanted = max(wanted, estimate) * _MORE
    low, high = centre - reach, np.inf if centre == largest else centre + reach
    count = collect(row, block_max, temperature, low, high, limit, 1, slot, ids, logits)
    if count >= 0:
        weigh_entries(logits, count, largest, weights)
    return count, reach
