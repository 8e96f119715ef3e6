"""Numba functions: the entropy of a row, and top-H and dynamic temperature, which depend on it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.bounds import Search, count_bins, sample_of, weigh_bins
from decoding.kernels.compiled.dense import collect_reaching, weigh_entries
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import HISTOGRAM, IDS, KEYS, LOGITS, PLACES, VALUES, WEIGHTS
from decoding.kernels.compiled.passes import BLOCK, blocks_of, copy_block, lowest_finite, rates_of
from decoding.kernels.compiled.scalars import as_real
from decoding.kernels.compiled.selection import BINS, keep_up_to, weighted_cut
from decoding.kernels.compiled.state import row_in
from decoding.kernels.compiled.weights import weigh_block

_DEPTH = 40.0
"""A token so far below the likeliest adds next to nothing to the entropy."""
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
def sums_of_others(step: Any) -> Any:
    """Σ w and Σ w · gap of a dense row without edits and without one of its likeliest tokens.

    In float32 but for the block where that one is, or where float32 has too small a range.
    """
    row, block_max, temperature = (
        row_in(step),
        step.memory.doubles[step.state.maxima],
        step.state.temperature,
    )
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
    logits, weights = step.memory.doubles[LOGITS], step.memory.doubles[WEIGHTS]
    copy_block(row, chosen, lowest_finite(row), np.inf, temperature, logits)
    here, first = weigh_others(logits, BLOCK, reference / temperature, weights)
    rest, moment = rest + here, moment + first
    if rest < 1e-30:
        count = _collect_possible(step, reference / temperature)
        rest, moment = weigh_others(logits, count, reference / temperature, weights)
    return rest, moment


@compiled
def _collect_possible(step: Any, largest: Any) -> Any:
    """List the tokens whose weight beside the likeliest's is more than 0."""
    low, block_max = largest - _NEGLIGIBLE, step.memory.doubles[step.state.maxima]
    return collect_reaching(step, block_max, low, low, step.vocab + 1)


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
def keep_by_entropy(count: Any, largest: Any, budget: Any, memory: Any) -> Any:
    """The likeliest of the listed while their weights sum to no more than `budget`; at least one.

    Ties by the lowest id. The weights are those of `to_entropies`.
    """
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    keys, weights = memory.doubles[KEYS], memory.doubles[WEIGHTS]
    places, histogram = memory.integers[PLACES], memory.doubles[HISTOGRAM]
    for place in range(count):
        keys[place] = -logits[place]
    key, wanted = -largest, 1.0
    if budget > 0.0:
        key, wanted = weighted_cut(
            keys, weights, count, 0.0, budget, -np.inf, np.inf, places, histogram
        )
    # Rounded down: the next one would go beyond the budget.
    most = np.int64(max(np.floor(wanted), 1.0 if key == -largest else 0.0))
    return keep_up_to(keys, ids, logits, weights, count, key, most, memory.doubles[VALUES])


@compiled
def top_h_of_row(item: Any, step: Any) -> Any:
    """List the tokens that top-H keeps of a dense row without edits; return their count.

    What is kept is looked for down to where a sample of the blocks says that it ends, then
    everywhere.
    """
    memory, block_max = step.memory, step.memory.doubles[step.state.maxima]
    largest = step.state.largest / step.state.temperature
    rest, moment = sums_of_others(step)
    entropy = entropy_of_sums(rest, moment)
    budget = item.first * entropy
    logits, weights = memory.doubles[LOGITS], memory.doubles[WEIGHTS]
    depth, count, found = _depth_of(step, rest, budget, entropy), np.int64(0), 0.0
    for attempt in range(2):
        if not found > budget:
            low = largest - (depth if attempt == 0 else _NEGLIGIBLE)
            count = collect_reaching(step, block_max, low, low, step.vocab + 1)
            weigh_entries(logits, count, largest, weights)
            found = to_entropies(logits, count, largest, rest, weights)
    return keep_by_entropy(count, largest, budget, memory)


@compiled
def _depth_of(step: Any, rest: Any, budget: Any, entropy: Any) -> Any:
    """How far below the largest logit the likeliest tokens with more than `budget` end, about."""
    row, memory, temperature = row_in(step), step.memory, step.state.temperature
    block_max, stored = memory.doubles[step.state.maxima], step.state.largest
    search = Search(stored, stored, False, stored, 1.0 / temperature, 0.0, False)
    far = _DEPTH * temperature
    count_bins(row, block_max, sample_of(row), search, 0.0, far, memory)
    weigh_bins(search, 0.0, far, memory)
    log_total, width, total = math.log1p(rest), _DEPTH / BINS, 0.0
    # More than the budget, as a sample is not exact.
    wanted = budget + min(0.1 * budget, 0.5 * (entropy - budget))
    for index in range(BINS):
        weight = memory.doubles[HISTOGRAM][index] / (1.0 + rest)
        total += weight * (log_total + (index + 0.5) * width)
        if total >= wanted:
            return (index + 1.0) * width
    return _DEPTH


@compiled
def keep_top_h(count: Any, largest: Any, share: Any, memory: Any) -> Any:
    """Keep the candidates that top-H keeps; return their count."""
    logits, weights = memory.doubles[LOGITS], memory.doubles[WEIGHTS]
    rest, moment = weigh_others(logits, count, largest, weights)
    to_entropies(logits, count, largest, rest, weights)
    return keep_by_entropy(count, largest, share * entropy_of_sums(rest, moment), memory)
