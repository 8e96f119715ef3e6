"""Numba: finds low and high bounds of the logits that top-k, top-p or typical-p keeps.

The nearest to a centre come first. A histogram of the distances in every 32nd block says where the
boundary is, about. The logits around it, a few thousand, are copied out; where more are nearer,
their weights are summed. What is copied is a row of its own, on which the same is done until so few
are left that they are sorted.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from decoding.kernels.compiled.dense import weigh_entries
from decoding.kernels.compiled.formats import FLOAT32, FLOAT64, Row
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import (
    BINS_OF_BLOCK,
    HISTOGRAM,
    KEYS,
    LOGITS,
    PLACES,
    TIES,
    TOUCHED,
    VALUES,
    WEIGHTS,
    WINDOW_MAX,
)
from decoding.kernels.compiled.passes import (
    BLOCK,
    SLACK,
    Window,
    blocks_of,
    count_above,
    count_between,
    everything,
    extremes,
    interval,
    is_wide,
    largest_of_run,
    lowest_finite,
    nth_equal,
    rates_of,
    run_from,
    scan,
    weigh,
    weigh_within,
)
from decoding.kernels.compiled.scalars import (
    above_of,
    address_of,
    as_real,
    below_of,
    row_of_doubles,
    value_at,
)
from decoding.kernels.compiled.selection import BINS, BINS_BEYOND, boundary_bin, weighted_cut
from decoding.kernels.compiled.sifting import (
    bin_block,
    gather_and_weigh,
    gather_block,
    sift_block,
)
from decoding.kernels.compiled.survey import exponent_of, is_near

_FEW = 256
"""So many logits are sorted, rather than searched."""
_ATTEMPTS = 2
"""So often bins of the row say where the boundary is, before all of the row is copied out."""
_NARROWINGS = 60
_FARTHEST = 3e38
"""Distances beyond are no float32."""
_LISTED = 8_192
"""So many logits are listed rather than summed where they are."""
_DOUBT = 0.03
"""By how much of the mass a sample's histogram may be wrong, before all blocks are asked."""
_SIDE = BINS + BINS_BEYOND
"""Bins on one side of the centre, the last of which are for what is too far away."""


class Search(NamedTuple):
    """A truncation's order of tokens, their weights, and the share of the mass that it keeps.

    centre: what the kept logits are nearest to; at or above the largest for the largest logits.
    middle: the same in the row's precision, and at most the largest. two_sided: whether logits
    above the middle count. reference, scale: a token weighs exp((z − reference) · scale). share: of
    what all tokens weigh is kept; where the scale is 0, how many tokens are. keep_ties: whether all
    stay that are as near as the last.
    """

    centre: Any
    middle: Any
    two_sided: Any
    reference: Any
    scale: Any
    share: Any
    keep_ties: Any


class Edges(NamedTuple):
    """The bracket in which the boundary lies, by logit.

    Inside is inner_low < z < inner_high; the bracket is what else has outer_low ≤ z ≤ outer_high.
    """

    outer_low: Any
    inner_low: Any
    inner_high: Any
    outer_high: Any


class Kept(NamedTuple):
    """What is nearer than the bracket: low < z < high, Σ w, Σ w · gap, and how many there are."""

    low: Any
    high: Any
    total: Any
    moment: Any
    number: Any


class Sifted(NamedTuple):
    """The sums and counts of one pass over a row, by a bracket of distances.

    inside, moment, number: Σ w, Σ w · gap and the count of what is nearer than the bracket.
    reached: Σ w of that and the bracket. count: how many are in the bracket. total: Σ w of all.
    """

    inside: Any
    moment: Any
    number: Any
    reached: Any
    count: Any
    total: Any


@compiled
def sample_of(row: Any) -> Any:
    """Of how many blocks one stands for all in a first look at a row."""
    blocks = blocks_of(row)
    return 32 if blocks >= 256 else (8 if blocks >= 64 else 1)


@compiled
def count_bins(
    row: Any, block_max: Any, step: Any, search: Any, near: Any, far: Any, memory: Any
) -> Any:
    """Count logits by distance into `PLACES`: `BINS` bins from `near` to `far`, on each side.

    Only every `step`-th block is counted, `step` times; where that is more than 1, the largest
    logit of every block is counted once.
    """
    counts, bins = memory.integers[PLACES], memory.integers[BINS_OF_BLOCK][:BLOCK]
    # Distances too short for a float32 factor are made longer first.
    boost = np.float32(2.0**110 if far - near < 1e-30 else 1.0)
    factor = np.float32((BINS - 0.001) / ((far - near) * np.float64(boost)))
    start_at, beyond, both = np.float32(near), np.int32(BINS), 2 * _SIDE
    for index in range(2 * both):
        counts[index] = 0
    for block in range(0, blocks_of(row), step):
        start = block * BLOCK
        bin_block(row, start, start + BLOCK, search.middle, start_at, boost, factor, beyond, bins)
        for lane in range(0, BLOCK, 2):
            counts[bins[lane]] += 1
            counts[both + bins[lane + 1]] += 1
    for index in range(both):
        counts[index] = (counts[index] + counts[both + index]) * step
    if step == 1:
        return
    blocks, maxima = blocks_of(row), row_of_doubles(block_max)
    for first in range(0, blocks, BLOCK):
        bin_block(
            maxima, first, first + BLOCK, search.middle, start_at, boost, factor, beyond, bins
        )
        number = min(BLOCK, blocks - first)
        for place in range(number):
            counts[bins[place]] += 1
        for place in range(0, number, step):  # which divides a block
            counts[bins[place]] -= step


@compiled
def weigh_bins(search: Any, near: Any, far: Any, memory: Any) -> Any:
    """Into `HISTOGRAM` what the counted logits of each distance weigh; `PLACES` is of both sides.

    A logit weighs as one in the middle of its bin. Returns the sum, without what is too far away.
    """
    counts, histogram = memory.integers[PLACES], memory.doubles[HISTOGRAM]
    width = (far - near) / BINS
    first = near + 0.5 * width
    factor = math.exp(-width * search.scale)
    offset = search.middle - search.reference
    low = math.exp(max((offset - first) * search.scale, -700.0))
    high = math.exp(min((offset + first) * search.scale, 700.0))
    total = 0.0
    for index in range(BINS):
        weight = low * counts[index]
        if search.two_sided:
            weight += high * counts[_SIDE + index]
            counts[index] += counts[_SIDE + index]
            high /= factor
        low *= factor
        histogram[index] = weight
        total += weight
    return total


@compiled
def _bracket(wanted: Any, doubt: Any, spread: Any, near: Any, far: Any, memory: Any) -> Any:
    """Between which distances the boundary lies, by the bins; +inf for no end.

    It is where the bins weigh `wanted`, give or take `doubt`, and `spread` tokens for each that is
    nearer, and 128, but at most 2,048. Where no more than `_LISTED` tokens are as near as the end,
    the start is −1: they are all listed.
    """
    counts, histogram = memory.integers[PLACES], memory.doubles[HISTOGRAM]
    width = (far - near) / BINS
    middle, _ = boundary_bin(histogram, BINS, wanted, 0.0)
    if middle < 0:
        middle = BINS - 1
    rank = 0
    for index in range(middle + 1):
        rank += counts[index]
    extra = min(spread * (rank + 256), 2048.0) if spread > 0.0 else 0.0
    first, before, number = 0, 0.0, 0
    for index in range(middle):
        before += histogram[index]
        number += counts[index]
        if before > wanted - doubt or number > rank - counts[middle] - extra:
            break
        first = index + 1
    last, before, number = -1, 0.0, 0
    for index in range(BINS):
        before += histogram[index]
        number += counts[index]
        if before >= wanted + doubt and number >= rank + extra:
            last = index
            break
    # A bin more, for what rounding has put into the next.
    inner = near + max(first - (1 if spread == 0.0 else 0), 0) * width
    if spread > 0.0 and last >= 0 and number <= _LISTED:
        inner = -1.0
    if last < 0 or last + 2 > BINS:
        return inner, np.inf
    return inner, near + (last + (2 if spread == 0.0 else 1)) * width


@compiled
def _edges(row: Any, search: Any, inner: Any, outer: Any) -> Any:
    """The bracket between two distances, widened by what rounding may have added to them.

    Nothing is inside it where the first is negative.
    """
    middle, lowest, is_hollow = search.middle, lowest_finite(row), inner < 0.0
    slack = 0.0
    if search.two_sided:
        slack = (abs(middle) + (outer if outer < np.inf else inner)) * SLACK
    inner, outer = max(inner - slack, 0.0), outer + slack
    outer_low = as_real(row, max(middle - outer, lowest))
    inner_low, inner_high, outer_high = as_real(row, middle - inner), above_of(row, middle), middle
    if search.two_sided:
        inner_high = as_real(row, middle + inner)
        outer_high = as_real(row, min(middle + outer, -lowest))
    if is_hollow:
        inner_low, inner_high = np.inf, -np.inf
    return Edges(outer_low, inner_low, inner_high, outer_high)


@compiled
def _gather(row: Any, block_max: Any, low: Any, high: Any, buffer: Any, count: Any) -> Any:
    """Copy the logits in [low, high] into a buffer of float64, behind others; how many are there.

    They are float64 there where the row is, else float32.
    """
    stop, address = 0, address_of(buffer)
    while stop < row.width:
        start = stop
        stop = start + run_from(row, start)
        if largest_of_run(block_max, start, stop) >= low:
            count = gather_block(row, start, stop, low, high, address, count)
    return count


@compiled
def _gather_and_weigh(row: Any, search: Any, low: Any, buffer: Any) -> Any:
    """Copy the logits that are `low` or more, and sum all weights, in one pass over a row."""
    at = exponent_of(row, as_real(row, search.reference), search.scale, True)
    total, count, stop, address = 0.0, np.int64(0), 0, address_of(buffer)
    while stop < row.width:
        start = stop
        stop = start + run_from(row, start)
        count, weight = gather_and_weigh(
            row, start, stop, low, address, count, at.reference, at.lowest, at.rate, at.rounder
        )
        total += np.float64(weight)
    return count, total / at.unit


@compiled
def _sift_around(row: Any, block_max: Any, search: Any, edges: Any, total: Any, buffer: Any) -> Any:
    """Sum the weights inside a bracket, and copy the bracket's logits, in one pass over a row."""
    rate, lowest = rates_of(search.scale)
    zero, address = as_real(row, search.reference), address_of(buffer)
    low, high = above_of(row, edges.inner_low), below_of(row, edges.inner_high)
    low = max(low, lowest_finite(row))
    inside, moment, number, overall, count, stop = 0.0, 0.0, 0, 0.0, np.int64(0), 0
    while stop < row.width:
        start = stop
        stop = start + run_from(row, start)
        if not np.isnan(total) and largest_of_run(block_max, start, stop) < edges.outer_low:
            continue
        weight, first, nearer, other, count = sift_block(
            row, start, stop, zero, rate, lowest, low, high, edges.outer_low, edges.outer_high,
            address, count,
        )  # fmt: skip
        inside += np.float64(weight)
        moment += np.float64(first)
        number += nearer
        overall += np.float64(other)
    total = overall if np.isnan(total) else total
    return inside, moment * search.scale, np.int64(number), total, count


@compiled
def _sift(
    row: Any, block_max: Any, search: Any, edges: Any, total: Any, buffer: Any, memory: Any
) -> Any:
    """Sum what is nearer than the bracket, and copy the bracket into a buffer of float64.

    total: of all weights, NaN where it is not known. The block maxima of what is copied are left in
    `WINDOW_MAX`.
    """
    reference, scale, list_max = search.reference, search.scale, memory.doubles[WINDOW_MAX]
    inside, moment, number, count = 0.0, 0.0, np.int64(0), np.int64(0)
    if above_of(row, edges.inner_low) <= below_of(row, edges.inner_high):
        inside, moment, number, total, count = _sift_around(
            row, block_max, search, edges, total, buffer
        )
    elif (
        np.isnan(total)
        and not edges.outer_high < search.reference
        and is_near(search.reference, search.scale)
    ):
        count, total = _gather_and_weigh(row, search, edges.outer_low, buffer)
    else:
        count = _gather(row, block_max, edges.outer_low, edges.outer_high, buffer, count)
        if np.isnan(total):
            total, _ = weigh(row, reference, scale)
    listed = as_row(buffer, count, is_wide(row))
    scan(listed, list_max)
    bracket = interval(row, edges.outer_low, edges.outer_high)
    between, _, _ = weigh_within(listed, list_max, bracket, reference, scale)
    return Sifted(inside, moment, np.int64(number), inside + between, count, total)


@compiled
def as_row(buffer: Any, count: Any, wide: Any) -> Any:
    """The `count` logits in a buffer as a row, which is filled up to a whole block."""
    whole = (count + BLOCK - 1) // BLOCK * BLOCK
    narrow = buffer.view(np.float32)
    for place in range(count, whole):
        if wide:
            buffer[place] = -np.inf
        else:
            narrow[place] = np.float32(-np.inf)
    address = address_of(buffer)
    return Row(address, np.int64(FLOAT64 if wide else FLOAT32), count, whole, address)


@compiled
def _nearest_and_farthest(row: Any, search: Any) -> Any:
    """The least and the largest distance from the middle."""
    least, largest = extremes(row, -np.inf, search.middle)
    near, far = search.middle - largest, search.middle - least
    if search.two_sided:
        other, another = extremes(row, search.middle, np.inf)
        near, far = min(near, other - search.middle), max(far, another - search.middle)
    return near, far


@compiled
def find_bounds(row: Any, block_max: Any, search: Any, total: Any, far: Any, memory: Any) -> Any:
    """The window of the tokens that a truncation keeps; its low bound is NaN where none is found.

    The nearest come first, then the lowest id; the set is the shortest that weighs the share.
    row: not edited. total: of all weights, NaN where it is not known. far: a distance that surely
    is far enough, +inf where none is known. All is in units of the row.
    """
    by_count, wide = search.scale == 0.0, is_wide(row)
    target = search.share if by_count else search.share * total
    list_, other = memory.doubles[VALUES], memory.doubles[TOUCHED]
    times, near = memory.doubles[TIES], 0.0
    kept = Kept(np.inf, -np.inf, 0.0, 0.0, np.int64(0))
    if not search.two_sided and search.middle == search.reference:
        # Each weighs 1.
        ties = count_above(row, block_max, below_of(row, search.middle))
        if ties > _FEW and np.isnan(total):
            total, _ = weigh(row, search.reference, search.scale)
            target = search.share * total
        if ties >= target:
            other[0], times[0] = search.middle, ties
            return _cut(row, search, kept, 1, target, other, memory)
    if not far < np.inf:
        _, far = _nearest_and_farthest(row, search)
    if not far <= _FARTHEST:
        return interval(row, np.nan, np.nan)
    listed, list_max, count, mass = row, block_max, row.width, total
    attempt, is_listed = 0, False
    for _ in range(_NARROWINGS):
        inner, outer = 0.0, np.inf
        if near < far and attempt < _ATTEMPTS:
            step = sample_of(row) if attempt == 0 and not is_listed else 1
            count_bins(listed, list_max, step, search, near, far, memory)
            seen = weigh_bins(search, near, far, memory)
            doubt, spread = _DOUBT * seen * (1.0 if attempt == 0 else 4.0), 0.5
            wanted = search.share if by_count else search.share * seen
            if is_listed:
                # Those around the boundary by themselves.
                doubt, spread, wanted = 0.0, 0.0, seen * (target - kept.total) / mass
            inner, outer = _bracket(wanted, doubt, spread, near, far, memory)
        edges = _edges(listed, search, inner, outer)
        found = _sift(listed, list_max, search, edges, total, other, memory)
        if not is_listed:
            total = found.total
            target = search.share if by_count else search.share * total
        enough = kept.total + found.inside < target <= kept.total + found.reached
        if is_listed and (not enough or found.count == count):
            # As sums of float32, in another order, may say otherwise: what is listed is sorted.
            break
        if not enough and attempt == _ATTEMPTS:
            return everything(row.width)
        if not enough:
            attempt += 1
            continue
        kept = Kept(
            min(kept.low, edges.inner_low), max(kept.high, edges.inner_high),
            kept.total + found.inside, kept.moment + found.moment, kept.number + found.number,
        )  # fmt: skip
        mass, count, is_listed, attempt = found.reached - found.inside, found.count, True, 0
        list_, other, list_max = other, list_, memory.doubles[WINDOW_MAX]
        listed = as_row(list_, count, wide)
        if count <= _FEW:
            break
        near, far = _nearest_and_farthest(listed, search)
        if not near < far:
            break
    if count > _FEW and not near < far:
        # All are equally near: one on each side stands for all there.
        least, largest = extremes(listed, -np.inf, np.inf)
        below = count_between(listed, least, least) if least < largest else 0
        other[0], times[0], other[1], times[1] = largest, count - below, least, below
        return _cut(row, search, kept, 2, target, other, memory)
    for place in range(count):
        other[place], times[place] = value_at(listed, place), 1.0
    return _cut(row, search, kept, count, target, other, memory)


@compiled
def _cut(
    row: Any, search: Any, kept: Any, count: Any, target: Any, values: Any, memory: Any
) -> Any:
    """The window that holds what is kept for certain, and the nearest of some other logits.

    values: these; each stands for as many tokens as `TIES` says.
    """
    keys, weights, logits = memory.doubles[KEYS], memory.doubles[WEIGHTS], memory.doubles[LOGITS]
    times, scale, zero = memory.doubles[TIES], search.scale, search.reference * search.scale
    for place in range(count):
        value = values[place]
        keys[place] = abs(value - search.centre) if search.two_sided else -value
        logits[place] = value * scale
    weigh_entries(logits, count, zero, weights)
    for place in range(count):
        weights[place] *= times[place]
    key, _ = weighted_cut(
        keys, weights, count, kept.total, target, -np.inf, np.inf, memory.integers[PLACES],
        memory.doubles[HISTOGRAM],
    )  # fmt: skip
    # What else is listed is not inside.
    low, high = above_of(row, kept.low), below_of(row, kept.high)
    total, moment, support, ties, tied, first = kept.total, kept.moment, 0.0, 0.0, 0.0, 0.0
    for place in range(count):
        if keys[place] > key:
            continue
        low, high = min(low, values[place]), max(high, values[place])
        if keys[place] == key:
            ties, tied = ties + times[place], tied + weights[place]
            first += weights[place] * (logits[place] - zero)
        else:
            support, total = support + times[place], total + weights[place]
            moment += weights[place] * (logits[place] - zero)
    wanted, last_tie = ties, np.int64(row.width)
    if not search.keep_ties and ties > 0.0:
        wanted = min(max(np.ceil((target - total) * ties / tied), 1.0), ties)
    if wanted < ties:
        last_tie = np.int64(nth_equal(row, low, np.int64(wanted)))
    part = wanted / max(ties, 1.0)
    total, moment = total + part * tied, moment + part * first
    if scale == 0.0:
        total, moment = np.nan, np.nan
    high = high if search.two_sided else np.inf
    return Window(low, high, last_tie, total, moment, kept.number + np.int64(support + wanted))
