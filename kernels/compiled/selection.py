"""Numba: order statistics, weighted cuts and short sorts of a few thousand entries."""

from __future__ import annotations

from typing import Any

import numpy as np

from decoding.kernels.compiled.jit import compiled

BINS = 256
BINS_BEYOND = 16
"""So many more bins, on each side of a centre, are for what is too far away."""
_FEW = 24


@compiled
def kth_smallest(values: Any, count: Any, k: Any) -> Any:
    """The k-th smallest, from 1, of `values[:count]`, which is reordered. Source: Hoare's find."""
    low, high, wanted = 0, count - 1, k - 1
    while low < high:
        middle = (low + high) >> 1
        first, pivot, last = values[low], values[middle], values[high]
        pivot = max(min(first, pivot), min(max(first, pivot), last))
        left, right = low, high
        while left <= right:
            while values[left] < pivot:
                left += 1
            while values[right] > pivot:
                right -= 1
            if left <= right:
                values[left], values[right] = values[right], values[left]
                left += 1
                right -= 1
        if wanted <= right:
            high = right
        elif wanted >= left:
            low = left
        else:
            break
    return values[wanted]


@compiled
def boundary_bin(histogram: Any, bins: Any, target: Any, before: Any) -> Any:
    """The first of the bins whose weight, with all before it, reaches `target`; the weight before.

    −1 where all of it together does not.
    """
    for index in range(bins):
        if before + histogram[index] >= target:
            return index, before
        before += histogram[index]
    return -1, before


@compiled
def bin_of(key: Any, low: Any, factor: Any) -> Any:
    """The bin of a key: whatever lies outside the bounds is in the first or the last."""
    return np.int64(min(max((key - low) * factor, 0.0), BINS - 1.0))


@compiled
def weighted_cut(
    keys: Any,
    weights: Any,
    count: Any,
    before: Any,
    target: Any,
    low: Any,
    high: Any,
    places: Any,
    histogram: Any,
) -> Any:
    """The key of the last entry, by key, before which less than `target` weighs; of ties how many.

    `before` weighs what comes before all entries. How many of the entries of that key reach the
    target, where these weigh the same, is not rounded. low, high: bounds of the keys, infinite
    where unknown. (+inf, 0) where everything belongs. places, histogram: scratch.

    Once a bin is chosen the last entry is in it, though another order of the sum may fall short of
    `target` by its rounding.
    """
    listed = False
    while count > _FEW:
        if not high - low < np.inf:
            low, high = np.inf, -np.inf
            for index in range(count):
                key = keys[places[index] if listed else index]
                low, high = min(low, key), max(high, key)
        if low == high:
            break
        factor = min(BINS / (high - low), 1e300)
        for index in range(BINS):
            histogram[index] = 0.0
        for index in range(count):
            place = np.int64(places[index]) if listed else index
            histogram[bin_of(keys[place], low, factor)] += weights[place]
        chosen, before = boundary_bin(histogram, BINS, target, before)
        if chosen < 0 and not listed:
            return np.inf, 0.0
        if chosen < 0:
            chosen = bin_of(high, low, factor)
            before -= histogram[chosen]
        kept = 0
        for index in range(count):
            place = np.int64(places[index]) if listed else index
            if bin_of(keys[place], low, factor) == chosen:
                places[kept] = place
                kept += 1
        listed = True
        count, high = kept, np.inf
    if count > _FEW:
        # All keys are equal.
        place = np.int64(places[0]) if listed else 0
        wanted = (target - before) / weights[place]
        if wanted > count and not listed:
            return np.inf, 0.0
        return keys[place], min(wanted, 1.0 * count)
    # Key by key, as the entries are few.
    last, wanted = -np.inf, 0.0
    while before < target:
        key, ties, total = np.inf, 0, 0.0
        for index in range(count):
            place = np.int64(places[index]) if listed else index
            if last < keys[place] < key:
                key, ties, total = keys[place], 0, 0.0
            if keys[place] == key:
                ties += 1
                total += weights[place]
        if ties == 0:
            return (last, wanted) if listed else (np.inf, 0.0)
        wanted = min((target - before) * ties / total, 1.0 * ties)
        last, before = key, before + total
    return last, wanted


@compiled
def _last_of(keys: Any, ids: Any, count: Any, key: Any, wanted: Any, values: Any) -> Any:
    """The highest id among the `wanted` lowest of the entries that have a key. values: scratch."""
    ties = 0
    for place in range(count if wanted < count else 0):
        if keys[place] == key:
            values[ties] = np.float64(ids[place])
            ties += 1
    if wanted >= ties:
        return np.inf
    return kth_smallest(values, ties, wanted) if wanted > 0 else -np.inf


@compiled
def keep_up_to(
    keys: Any,
    ids: Any,
    logits: Any,
    weights: Any,
    count: Any,
    key: Any,
    wanted: Any,
    values: Any,
) -> Any:
    """Keep the entries below a key, and of those that have it `wanted` with the lowest ids.

    Their order stays; returns how many. values: scratch.
    """
    kept, last = 0, _last_of(keys, ids, count, key, wanted, values)
    for place in range(count):
        if keys[place] < key or (keys[place] == key and ids[place] <= last):
            ids[kept], logits[kept] = ids[place], logits[place]
            weights[kept] = weights[place]
            kept += 1
    return kept


@compiled
def nth_largest(logits: Any, count: Any, n: Any, values: Any) -> Any:
    """The n-th largest logit, from 1; n is at most `count`. values: scratch."""
    if n > _FEW:
        for place in range(count):
            values[place] = -logits[place]
        return -kth_smallest(values, count, n)
    for place in range(n):
        values[place] = -np.inf
    last = -np.inf
    for place in range(count):
        logit = logits[place]
        if logit > last:
            hole = n - 1
            while hole > 0 and values[hole - 1] < logit:
                values[hole] = values[hole - 1]
                hole -= 1
            values[hole] = logit
            last = values[n - 1]
    return last


@compiled
def largest_places(
    ids: Any, logits: Any, count: Any, n: Any, capacity: Any, places: Any, values: Any
) -> Any:
    """The places of the n largest logits and their ties, largest first, then by id.

    At most `capacity`, of the ties the lowest ids; returns how many. values: scratch.
    """
    if count == 0 or n == 0:
        return 0
    nth = nth_largest(logits, count, min(n, count), values)
    above, found = 0, 0
    for place in range(count):
        above += logits[place] > nth
    last = _last_of(logits, ids, count, nth, capacity - above, values)
    for place in range(count):
        logit, token_id = logits[place], ids[place]
        if logit > nth or (logit == nth and token_id <= last):
            hole = found
            while hole > 0:
                other = places[hole - 1]
                if logits[other] > logit or (logits[other] == logit and ids[other] < token_id):
                    break
                places[hole] = other
                hole -= 1
            places[hole] = place
            found += 1
    return found
