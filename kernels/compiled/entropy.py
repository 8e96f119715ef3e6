"""Numba functions: the entropy of a row, and top-H and dynamic temperature, which depend on it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.blocks import weigh_block
from decoding.kernels.compiled.dense import collect_largest, weigh_entries
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import (
    HISTOGRAM,
    IDS,
    KEYS,
    LOGITS,
    PLACES,
    VALUES,
    WEIGHTS,
)
from decoding.kernels.compiled.passes import BLOCK, blocks_of, collect, rates_of
from decoding.kernels.compiled.scalars import as_real, value_at
from decoding.kernels.compiled.selection import BINS, boundary_bin, keep_up_to, weighted_cut
from decoding.kernels.compiled.touched import plain

_STEP = 8
_FIRST_RANK = 256
_NEGLIGIBLE = 700.0
"""A token so far below the likeliest has a weight of 0, here and in `weigh_entries`."""


@compiled
def weigh_others(logits: Any, count: Any, largest: Any, weights: Any) -> Any:
    """Weigh as `weigh_entries`, but leave one of the largest entries out of the sums."""
    place = 0
    while logits[place] < largest:
        place += 1
    logits[place] = -np.inf
    rest, moment = weigh_entries(logits, count, largest, weights)
    logits[place], weights[place] = largest, 1.0
    return rest, moment


@compiled
def entropy_of_sums(rest: Any, moment: Any) -> Any:
    """H, of Σ w and Σ w · gap without one of the likeliest; a certain row's keeps its digits."""
    return math.log1p(rest) - moment / (1.0 + rest)


@compiled
def sums_of_others(row: Any, block_max: Any, temperature: Any, memory: Any) -> Any:
    """Σ w and Σ w · gap of a dense row without one of its likeliest tokens.

    In float32 but for the block where that one is, or where float32 has too small a range.
    """
    chosen = 0
    for block in range(1, blocks_of(row)):
        if block_max[block] > block_max[chosen]:
            chosen = block
    reference, scale = block_max[chosen], 1.0 / temperature
    rate, lowest = rates_of(scale)
    zero = as_real(row, reference)
    rest, moment = 0.0, 0.0
    for block in range(blocks_of(row)):
        if block == chosen:
            continue
        start = block * BLOCK
        weight, first = weigh_block(row, start, start + BLOCK, zero, rate, lowest)
        rest += np.float64(weight)
        moment += np.float64(first) * scale
    spared = False
    for token_id in range(chosen * BLOCK, min(chosen * BLOCK + BLOCK, row.width)):
        gap = (value_at(row, token_id) - reference) * scale
        if gap == 0.0 and not spared:
            spared = True
        elif gap > -_NEGLIGIBLE:
            rest += math.exp(gap)
            moment += math.exp(gap) * gap
    if rest < 1e-30:
        count = collect_down_to(row, block_max, temperature, _NEGLIGIBLE, 1, memory)
        logits, weights = memory.doubles[LOGITS], memory.doubles[WEIGHTS]
        rest, moment = weigh_others(logits, count, reference / temperature, weights)
    return rest, moment


@compiled
def collect_down_to(
    row: Any, block_max: Any, temperature: Any, depth: Any, step: Any, memory: Any
) -> Any:
    """List the tokens at most `depth` below the largest logit, in every `step`-th block."""
    largest = -np.inf
    for block in range(blocks_of(row)):
        largest = max(largest, block_max[block])
    low = largest / temperature - depth
    return collect(row, block_max, temperature, low, np.inf, row.width + 1, step, memory)


@compiled
def temperature_of(item: Any, entropy: Any, support: Any) -> Any:
    """T of a dynamic temperature; 1 where a row has one possible token."""
    if support < 2:
        return 1.0
    share = min(max(entropy, 0.0) / math.log(support), 1.0)
    value = item.first + (item.second - item.first) * share**item.third
    return max(value, 2.2250738585072014e-308)


@compiled
def to_entropies(logits: Any, count: Any, largest: Any, rest: Any, weights: Any) -> Any:
    """Make weights exp(z − largest) the −p ln p of each entry; returns their sum."""
    log_total, total = math.log1p(rest), 0.0
    for place in range(count):
        weights[place] *= (largest - logits[place] + log_total) / (1.0 + rest)
        total += weights[place]
    return total


@compiled
def keep_by_entropy(count: Any, budget: Any, memory: Any) -> Any:
    """The likeliest of the listed while their weights sum to no more than `budget`; at least one.

    Ties by the lowest id. The weights are those of `to_entropies`.
    """
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    keys, weights = memory.doubles[KEYS], memory.doubles[WEIGHTS]
    first = 0
    for place in range(count):
        keys[place] = -logits[place]
        ahead = logits[place] > logits[first]
        if ahead or (logits[place] == logits[first] and ids[place] < ids[first]):
            first = place
    first_id, first_logit = ids[first], logits[first]
    if not weights[first] <= budget or budget <= 0.0:
        ids[0], logits[0] = first_id, first_logit
        return 1
    key, token_id = weighted_cut(
        keys,
        weights,
        ids,
        count,
        0.0,
        budget,
        -first_logit,
        np.inf,
        memory.integers[PLACES],
        memory.doubles[HISTOGRAM],
        memory.doubles[VALUES],
    )
    count = keep_up_to(keys, ids, logits, weights, count, key, token_id)
    # The last of them may be the one that went beyond the budget.
    total, last = 0.0, 0
    for place in range(count):
        total += weights[place]
        behind = logits[place] < logits[last]
        if behind or (logits[place] == logits[last] and ids[place] > ids[last]):
            last = place
    if total > budget and count > 1:
        for place in range(last, count - 1):
            ids[place], logits[place] = ids[place + 1], logits[place + 1]
        count -= 1
    return count


@compiled
def top_h_of_row(
    row: Any, block_max: Any, largest: Any, temperature: Any, share: Any, memory: Any
) -> Any:
    """List the tokens that top-H keeps of a dense row without touched tokens; return their count.

    What is kept is looked for among the 256 likeliest, then down to where a sample of the blocks
    says that it ends, then everywhere.
    """
    logits, weights = memory.doubles[LOGITS], memory.doubles[WEIGHTS]
    rest, moment = sums_of_others(row, block_max, temperature, memory)
    entropy = entropy_of_sums(rest, moment)
    budget = share * entropy
    blocks = blocks_of(row)
    if blocks >= 8 * _STEP:
        rank = min(_FIRST_RANK, blocks // 4)
        most = row.width + 1
        count, tie = collect_largest(
            plain(row, temperature), block_max, rank, most, 0, False, memory
        )
        if count >= 0 and np.isnan(tie):
            weigh_entries(logits, count, largest, weights)
            if to_entropies(logits, count, largest, rest, weights) > budget:
                return keep_by_entropy(count, budget, memory)
        count = collect_down_to(row, block_max, temperature, _NEGLIGIBLE, _STEP, memory)
        lowest = largest
        for place in range(count):
            lowest = min(lowest, logits[place])
        weigh_entries(logits, count, largest, weights)
        to_entropies(logits, count, largest, rest, weights)
        histogram = memory.doubles[HISTOGRAM]
        for index in range(BINS):
            histogram[index] = 0.0
        factor = min(BINS / max(largest - lowest, 1e-300), 1e300)
        for place in range(count):
            bin_ = np.int64(min((largest - logits[place]) * factor, BINS - 1.0))
            histogram[bin_] += _STEP * weights[place]
        target = budget + min(0.1 * budget, 0.5 * (entropy - budget))
        wanted, _ = boundary_bin(histogram, BINS, target, 0.0)
        if wanted >= 0:
            depth = (wanted + 1) / factor
            count = collect_down_to(row, block_max, temperature, depth, 1, memory)
            weigh_entries(logits, count, largest, weights)
            if to_entropies(logits, count, largest, rest, weights) > budget:
                return keep_by_entropy(count, budget, memory)
    count = collect_down_to(row, block_max, temperature, _NEGLIGIBLE, 1, memory)
    weigh_entries(logits, count, largest, weights)
    to_entropies(logits, count, largest, rest, weights)
    return keep_by_entropy(count, budget, memory)


@compiled
def keep_top_h(count: Any, largest: Any, share: Any, memory: Any) -> Any:
    """Keep the candidates that top-H keeps; return their count."""
    logits, weights = memory.doubles[LOGITS], memory.doubles[WEIGHTS]
    rest, moment = weigh_others(logits, count, largest, weights)
    to_entropies(logits, count, largest, rest, weights)
    return keep_by_entropy(count, share * entropy_of_sums(rest, moment), memory)
