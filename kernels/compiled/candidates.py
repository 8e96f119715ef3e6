"""Numba functions that filter, penalise and mask one row's candidates (ids and logits).

Each returns how many candidates are left, moved to the front in the order they had.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.jit import compiled, inlined
from decoding.kernels.compiled.memory import HISTOGRAM, IDS, KEYS, LOGITS, PLACES, VALUES, WEIGHTS
from decoding.kernels.compiled.selection import keep_up_to, kth_smallest, weighted_cut
from decoding.kernels.program import Opcode

FREQUENCY, PRESENCE = int(Opcode.FREQUENCY_PENALTY), int(Opcode.PRESENCE_PENALTY)


@compiled
def largest_of(logits: Any, count: Any) -> Any:
    """The largest logit; −inf where there is none."""
    largest = -np.inf
    for place in range(count):
        largest = max(largest, logits[place])
    return largest


@compiled
def keep_top_k(count: Any, k: Any, keep_ties: Any, memory: Any) -> Any:
    """The k largest; ties with the k-th stay, or the lowest ids of them up to exactly k."""
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    keys, values = memory.doubles[KEYS], memory.doubles[VALUES]
    if k >= count:
        return count
    for place in range(count):
        values[place] = keys[place] = -logits[place]
    kth, above = kth_smallest(values, count, k), 0
    for place in range(0 if keep_ties else count):
        above += keys[place] < kth
    wanted = count if keep_ties else k - above
    return keep_up_to(keys, ids, logits, keys, count, kth, wanted, values)


@compiled
def keep_at_least(ids: Any, logits: Any, count: Any, bound: Any) -> Any:
    """The candidates whose logit is at least `bound`."""
    kept = 0
    for place in range(count):
        if logits[place] >= bound:
            ids[kept], logits[kept] = ids[place], logits[place]
            kept += 1
    return kept


@compiled
def deviation_of(logits: Any, count: Any) -> Any:
    """The population standard deviation of candidates; NaN where float64 cannot say."""
    mean, square = 0.0, 0.0
    for place in range(count):
        mean += (logits[place] - logits[0]) / count
    for place in range(count):
        square += (logits[place] - logits[0] - mean) ** 2
    variance = square / count
    if variance == 0.0 and largest_of(logits, count) > logits[0]:
        return np.nan
    return math.sqrt(variance) if variance < np.inf else np.nan


@compiled
def keep_possible(ids: Any, logits: Any, count: Any) -> Any:
    """The candidates whose logit is not −inf."""
    return keep_at_least(ids, logits, count, -1.7976931348623157e308)


@compiled
def keep_nearest(count: Any, centre: Any, target: Any, typical: Any, memory: Any) -> Any:
    """The nearest to the centre that together weigh `target`; `WEIGHTS` are given, and kept.

    Typical: by |z − centre|, and ties with the last stay. Else by −z, ties by the lowest id.
    """
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    keys, weights = memory.doubles[KEYS], memory.doubles[WEIGHTS]
    for place in range(count):
        keys[place] = abs(logits[place] - centre) if typical else -logits[place]
    low = 0.0 if typical else -centre
    places, histogram = memory.integers[PLACES], memory.doubles[HISTOGRAM]
    key, wanted = weighted_cut(keys, weights, count, 0.0, target, low, np.inf, places, histogram)
    wanted = 1.0 * count if typical else np.ceil(wanted)
    return keep_up_to(
        keys, ids, logits, weights, count, key, np.int64(wanted), memory.doubles[VALUES]
    )


@compiled
def divide(logits: Any, count: Any, temperature: Any) -> Any:
    """z / T; where that overflows, (z − max) / T."""
    limit = 1.7976931348623157e308
    largest, extent = -np.inf, 0.0
    for place in range(count):
        largest = max(largest, logits[place])
        extent = max(extent, abs(logits[place]))
    if extent <= limit * temperature:
        for place in range(count):
            logits[place] /= temperature
        return
    for place in range(count):
        logits[place] = max((logits[place] - largest) / temperature, -limit)


@inlined
def bit_of(bitmask: Any, token_id: Any) -> Any:
    """Whether a token's bit is set; not beyond the words."""
    word = token_id >> 5
    if word >= len(bitmask):
        return False
    return (bitmask[word] >> (token_id & 31)) & 1 == 1


@compiled
def edit_by_bitmask(
    ids: Any, logits: Any, count: Any, bitmask: Any, inside: Any, outside: Any
) -> Any:
    """Add `inside` to the logits of tokens whose bit is set, `outside` to the others."""
    for place in range(count):
        logits[place] += inside if bit_of(bitmask, ids[place]) else outside


@compiled
def mark(slot: Any, ids: Any, count: Any) -> Any:
    """Write 1 + its place into every token's slot."""
    for place in range(count):
        slot[ids[place]] = place + 1


@compiled
def unmark(slot: Any, ids: Any, count: Any) -> Any:
    """Set every token's slot back to 0."""
    for place in range(count):
        slot[ids[place]] = 0


@compiled
def penalise(opcode: Any, amount: Any, logits: Any, occurrences: Any, count: Any) -> Any:
    """A penalty on the tokens that its scope has, as often as they occur there."""
    for place in range(count):
        if occurrences[place] == 0:
            continue
        if opcode == FREQUENCY:
            logits[place] -= amount * occurrences[place]
        elif opcode == PRESENCE:
            logits[place] -= amount
        else:
            logit = logits[place]
            logits[place] = logit * amount if logit < 0.0 else logit / amount
