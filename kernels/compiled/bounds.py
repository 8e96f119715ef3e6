"""Truncations that keep too many tokens to list, as bounds on their logits.

A histogram over the distance from a centre, of every eighth block, says about where the boundary
is; one pass weighs what is surely nearer, and the few tokens in between are listed and cut exactly.
Where a sample will not do, all blocks make the histogram.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.dense import weigh_entries
from decoding.kernels.compiled.distances import bin_block, mask_within, weigh_within
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import (
    BINS_OF_BLOCK,
    HISTOGRAM,
    IDS,
    KEYS,
    LOGITS,
    PLACES,
    VALUES,
    WEIGHTS,
)
from decoding.kernels.compiled.passes import (
    BLOCK,
    MASK,
    SLACK,
    blocks_of,
    count_between,
    extremes,
    largest_of_blocks,
    nth_equal,
    rates_of,
)
from decoding.kernels.compiled.scalars import (
    above_of,
    as_real,
    below_of,
    bit_count,
    trailing_zeros,
    value_at,
)
from decoding.kernels.compiled.selection import BINS, boundary_bin, weighted_cut

_STEP = 8
_DOUBT, _MORE_DOUBT = 0.015, 0.12
"""By how much of the mass a sample's histogram may be wrong, before all blocks are asked."""
_MOST_LISTED = 8192
"""Where more tokens lie between the edges, these are moved first."""
_NARROWINGS = 40
_FARTHEST = 3e38
"""Distances beyond are no float32."""


@compiled
def _fill_histogram(
    row: Any, step: Any, near: Any, far: Any, centre: Any, ceiling: Any,
    reference: Any, rates: Any, memory: Any,
) -> Any:  # fmt: skip
    """Weights by distance: bin 0 up to `near`, then `BINS` of equal width, then beyond `far`.

    Every `step`-th block counts `step` times.
    """
    histogram, weights = memory.doubles[HISTOGRAM], memory.singles
    lanes = BINS + 2
    bins = memory.integers[BINS_OF_BLOCK][:BLOCK]
    # Distances too short for a float32 factor are made longer first.
    boost = np.float32(2.0**110 if far - near < 1e-30 else 1.0)
    factor = np.float32((BINS - 0.001) / ((far - near) * np.float64(boost)))
    start_at, last = np.float32(near), np.float32(BINS + 1)
    rate, lowest = rates
    for index in range(4 * lanes):
        histogram[index] = 0.0
    for block in range(0, blocks_of(row), step):
        start = block * BLOCK
        bin_block(
            row, start, start + BLOCK, centre, ceiling, start_at, boost, factor, last, reference,
            rate, lowest, bins, weights,
        )  # fmt: skip
        for lane in range(0, BLOCK, 4):
            for copy in range(4):
                histogram[copy * lanes + bins[lane + copy]] += weights[lane + copy]
    for index in range(lanes):
        for copy in range(1, 4):
            histogram[index] += histogram[copy * lanes + index]
        histogram[index] *= step


@compiled
def _boundary(histogram: Any, before: Any, target: Any, doubt: Any) -> Any:
    """Between which bins, from 1, a target lies, −1 for beyond the last; `before` weighs bin 0.

    doubt: by how much of the mass in the bins they may be wrong.
    """
    histogram[0] = before
    margin = 0.0
    for index in range(1, BINS + 1):
        margin += doubt * histogram[index]
    first, _ = boundary_bin(histogram, BINS + 1, target - margin, 0.0)
    last, _ = boundary_bin(histogram, BINS + 1, target + margin, 0.0)
    # Rounding: what is nearer, which did not suffice before, may seem to suffice now.
    return max(first, 1), last if last < 0 else max(last, 1)


@compiled
def _count(row: Any, centre: Any, ceiling: Any, inner: Any, outer: Any) -> Any:
    """How many tokens there are from `inner` to `outer`."""
    count = 0
    for start in range(0, blocks_of(row) * BLOCK, MASK):
        count += bit_count(mask_within(row, start, centre, ceiling, inner, outer))
    return count


@compiled
def _weigh(
    row: Any,
    centre: Any,
    ceiling: Any,
    inner: Any,
    outer: Any,
    reference: Any,
    rates: Any,
) -> Any:
    """`weigh_within` of a whole row."""
    rate, lowest = rates
    inside, between = 0.0, 0.0
    if rate == 0.0:
        below = np.nextafter(inner, np.float32(-1.0))
        inside = np.float64(_count(row, centre, ceiling, np.float32(-np.inf), below))
        return inside, np.float64(_count(row, centre, ceiling, inner, outer))
    for block in range(blocks_of(row)):
        start = block * BLOCK
        nearer, other = weigh_within(
            row, start, start + BLOCK, centre, ceiling, inner, outer, reference, rate, lowest
        )
        inside += np.float64(nearer)
        between += np.float64(other)
    return inside, between


@compiled
def _list(
    row: Any,
    centre: Any,
    ceiling: Any,
    inner: Any,
    outer: Any,
    limit: Any,
    memory: Any,
) -> Any:
    """The tokens from `inner` to `outer`, into ids and logits; −1 if more than `limit`."""
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    if _count(row, centre, ceiling, inner, outer) > limit:
        return -1
    count = 0
    for start in range(0, blocks_of(row) * BLOCK, MASK):
        mask = mask_within(row, start, centre, ceiling, inner, outer)
        while mask != 0:
            token_id = start + trailing_zeros(mask)
            mask = np.uint32(mask & np.uint32(mask - np.uint32(1)))
            ids[count], logits[count] = token_id, value_at(row, token_id)
            count += 1
    return count


@compiled
def _cut(
    count: Any,
    centre: Any,
    reference: Any,
    scale: Any,
    one_sided: Any,
    before: Any,
    target: Any,
    memory: Any,
) -> Any:
    """How far what is kept of the listed tokens reaches, and its last id there; 0 if all stay.

    One-sided, −z stands for the distance.
    """
    keys, weights, logits = memory.doubles[KEYS], memory.doubles[WEIGHTS], memory.doubles[LOGITS]
    farthest = -np.inf
    for place in range(count):
        keys[place] = -logits[place] if one_sided else abs(logits[place] - centre)
        farthest = max(farthest, keys[place])
        logits[place] *= scale
    weigh_entries(logits, count, reference * scale, weights)
    key, token_id = weighted_cut(
        keys,
        weights,
        memory.integers[IDS],
        count,
        before,
        target,
        -np.inf,
        np.inf,
        memory.integers[PLACES],
        memory.doubles[HISTOGRAM],
        memory.doubles[VALUES],
    )
    return min(key, farthest), token_id


@compiled
def _sides(row: Any, count: Any, centre: Any, key: Any, memory: Any) -> Any:
    """The bounds, in the row's precision, of what is no farther from `centre` than `key`.

    centre − key and centre + key are rounded: the listed tokens say on which side of them they are.
    """
    keys, ids = memory.doubles[KEYS], memory.integers[IDS]
    low, high = as_real(row, centre - key), as_real(row, centre + key)
    for place in range(count):
        logit = value_at(row, np.int64(ids[place]))
        if keys[place] > key and low <= logit < centre:
            low = above_of(row, logit)
        elif keys[place] > key and centre < logit <= high:
            high = below_of(row, logit)
    for place in range(count):
        logit = value_at(row, np.int64(ids[place]))
        if keys[place] <= key:
            low, high = min(low, logit), max(high, logit)
    return low, high


@compiled
def _extremes_within(
    row: Any, centre: Any, ceiling: Any, inner: Any, outer: Any, low: Any, high: Any
) -> Any:
    """The least and the largest logit from `inner` to `outer` that lie in [low, high].

    +inf, −inf if there is none.
    """
    least, largest = np.inf, -np.inf
    for start in range(0, blocks_of(row) * BLOCK, MASK):
        mask = mask_within(row, start, centre, ceiling, inner, outer)
        while mask != 0:
            value = value_at(row, start + trailing_zeros(mask))
            mask = np.uint32(mask & np.uint32(mask - np.uint32(1)))
            if low <= value <= high:
                least, largest = min(least, value), max(largest, value)
    return least, largest


@compiled
def _sides_of_ties(row: Any, centre: Any, middle: Any, ceiling: Any, near: Any, far: Any) -> Any:
    """The bounds of what is no farther than `far`, where all from `near` on are as near.

    NaN where they are not: then there is no bound among them.
    """
    inner, outer = np.float32(near), np.float32(far)
    low, nearer = _extremes_within(row, middle, ceiling, inner, outer, -np.inf, centre)
    other, high = _extremes_within(row, middle, ceiling, inner, outer, centre, np.inf)
    if low < nearer or other < high:
        return np.nan, np.nan
    return min(low, centre - near), max(high, centre + near)


@compiled
def find_bounds(
    row: Any,
    block_max: Any,
    centre: Any,
    reference: Any,
    scale: Any,
    target: Any,
    limit: Any,
    keep_ties: Any,
    memory: Any,
) -> Any:
    """The bounds [low, high] of the tokens nearest `centre`, and the last id that ties with `low`.

    The nearest come first, then the lowest id; the set is the shortest that weighs `target`, where
    a token weighs exp((z − reference) · scale). With `keep_ties` all that tie with the last stay.
    A centre below the largest logit is rounded to float32, or float64 for such rows. Everything is
    in units of the row. NaN where no bound is found, as its logits lie too far apart or too near.

    Where the centre is the largest logit, distances are taken from the largest of those that are
    left each time these become fewer: so no two logits stay as near as float32 can tell.
    """
    rates = rates_of(scale)
    zero, middle = as_real(row, reference), as_real(row, centre)
    centre, ceiling = middle, np.inf
    bottom, top = np.inf, largest_of_blocks(row, block_max)
    one_sided = centre >= top
    if one_sided:
        # Where the largest logits suffice, as in a row of ties, there is nothing to search.
        weight = 1.0 if scale == 0.0 else math.exp((top - reference) * scale)
        if count_between(row, top, top) * weight >= target:
            bottom = top
    if bottom == np.inf:
        bottom, _ = extremes(row, -np.inf, np.inf)
    near, far, before = 0.0, max(abs(top - centre), abs(centre - bottom)), 0.0
    everyone: Any = np.int64(row.width)
    if far > _FARTHEST:
        return np.nan, np.nan, everyone
    step, doubt = (_STEP, _DOUBT) if blocks_of(row) >= 8 * _STEP else (1, 0.0)
    limit = min(limit, _MOST_LISTED)
    for _ in range(_NARROWINGS):
        if bottom == top or near == far:
            break
        _fill_histogram(row, step, near, far, middle, ceiling, zero, rates, memory)
        first, last = _boundary(memory.doubles[HISTOGRAM], before, target, doubt)
        if step == 1 and last < 0 and before == 0.0:
            return -np.inf, np.inf, everyone
        # The edges are widened by rounding's worth.
        width = (far - near) / BINS
        inner = max(near + (first - 1.001) * width - abs(near) * SLACK, 0.0)
        outer = near + ((last if last >= 0 else BINS) + 0.001) * width + abs(far) * SLACK
        least, most = np.float32(inner), np.float32(outer)
        inside, between = _weigh(row, middle, ceiling, least, most, zero, rates)
        if step > 1 and not inside < target <= inside + between:
            step, doubt = (_STEP, _MORE_DOUBT) if doubt == _DOUBT else (1, 0.0)
            continue
        before = min(inside, target * (1.0 - 1e-15))
        count = _list(row, middle, ceiling, least, most, limit, memory)
        if count > 0:
            key, token_id = _cut(count, middle, reference, scale, one_sided, before, target, memory)
            if one_sided:
                return -key, np.inf, everyone if keep_ties else token_id
            low, high = _sides(row, count, centre, key, memory)
            return low, high, everyone
        if outer - inner >= far - near:
            if step == 1:
                break
            step, doubt = (1, 0.0) if doubt == 0.0 else (step, 0.0)
            continue
        near, far, doubt = inner, outer, 0.0
        if one_sided:
            bottom, top = _extremes_within(row, middle, ceiling, least, most, -np.inf, np.inf)
            if not bottom <= top:
                break
            middle = ceiling = top
            # Distances are float32: the farthest must not be taken for one beyond.
            near, far = 0.0, (top - bottom) * (1.0 + SLACK)
    if not one_sided:
        low, high = _sides_of_ties(row, centre, middle, ceiling, near, far)
        return low, high, everyone
    if bottom != top:
        return np.nan, np.nan, everyone
    if keep_ties:
        return bottom, np.inf, everyone
    weight = 1.0 if scale == 0.0 else math.exp(max((bottom - reference) * scale, -700.0))
    wanted = max(math.ceil((target - before) / weight), 1.0)
    if wanted > count_between(row, bottom, bottom):
        return bottom, np.inf, everyone
    return bottom, np.inf, nth_equal(row, bottom, np.int64(wanted))
