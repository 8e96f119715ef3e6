"""The description of a draw: logprobs, rank, entropy, and the likeliest tokens."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.bounds import find_bounds
from decoding.kernels.compiled.dense import collect_largest, weigh_entries
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import (
    FINAL_MAX,
    IDS,
    LOGITS,
    PLACES,
    SLOT,
    VALUES,
    WEIGHTS,
)
from decoding.kernels.compiled.passes import (
    append_equal,
    collect,
    count_above,
    is_wide,
    largest_of_blocks,
)
from decoding.kernels.compiled.scalars import above_of, value_at
from decoding.kernels.compiled.selection import largest_places
from decoding.kernels.compiled.touched import forget, patch_all, plain
from decoding.kernels.result import TIES_BEYOND_TOP_N


@compiled
def write_top(raw: Any, drawn: Any, n: Any, outcome: Any, top: Any, memory: Any) -> Any:
    """Describe the n likeliest of the listed candidates and their ties."""
    ids, logits, places = memory.integers[IDS], memory.doubles[LOGITS], memory.integers[PLACES]
    most = n + TIES_BEYOND_TOP_N
    found = largest_places(ids, logits, drawn.listed, n, most, places, memory.doubles[VALUES])
    raw_log = math.log(raw.total)
    for index in range(found):
        place = places[index]
        entry = top[outcome.top_start + index]
        entry.token_id = ids[place]
        entry.raw_logprob = value_at(raw.row, np.int64(ids[place])) - raw.largest - raw_log
        entry.processed_logprob = logits[place] - drawn.largest - drawn.log_total
    outcome.top_count = found


@compiled
def collect_top(source: Any, temperature: Any, n: Any, count: Any, step: Any) -> Any:
    """Candidates that hold the n largest of a dense row and enough of their ties; how many.

    −1 where that is beyond this arithmetic. count: touched tokens, for which the row is patched,
    with `FINAL_MAX` the block maxima; they are forgotten.
    """
    row, block_max, memory, limit = source.row, source.block_max, step.memory, step.limit
    found = collect_largest(plain(row, temperature), block_max, n, limit, count, memory)
    forget(memory, count)
    if found >= 0:
        return found
    if count == 0:
        if temperature != 1.0 and is_wide(row):
            return -1  # dividing may have made ties of what is not the same in the row
        return _collect_ties(row, block_max, temperature, n, limit, memory)
    patch_all(row, temperature, memory, step.shadow)
    return _collect_ties(step.shadow_row, memory.doubles[FINAL_MAX], 1.0, n, limit, memory)


@compiled
def _collect_ties(
    row: Any, block_max: Any, temperature: Any, n: Any, limit: Any, memory: Any
) -> Any:
    """`collect_top` where more tie than can be listed; no token is touched."""
    reference = largest_of_blocks(row, block_max)
    nth, _, _ = find_bounds(
        row,
        block_max,
        reference,
        reference,
        0.0,
        np.float64(n),
        limit,
        True,
        memory,
    )
    if np.isnan(nth):
        return -1
    above = above_of(row, nth) / temperature
    count = collect(
        row,
        block_max,
        temperature,
        above,
        np.inf,
        max(limit, n),
        1,
        memory.integers[SLOT],
        memory.integers[IDS],
        memory.doubles[LOGITS],
    )
    if count < 0:
        # Too many to list is not none: fewer than n are above the n-th, so the bound is not its.
        return -1
    if nth == -np.inf:
        # Fewer than n tokens are possible.
        return count
    room = n + TIES_BEYOND_TOP_N - count
    return append_equal(
        row,
        nth,
        nth / temperature,
        room,
        memory.integers[IDS],
        memory.doubles[LOGITS],
        count,
    )


@compiled
def describe(raw: Any, token_id: Any, outcome: Any) -> Any:
    """Raw logprob and rank of the drawn token."""
    value = value_at(raw.row, token_id)
    outcome.raw_logprob = value - raw.largest - math.log(raw.total)
    outcome.rank = 1 + count_above(raw.row, raw.block_max, value)


@compiled
def describe_candidates(count: Any, largest: Any, weighed: Any, memory: Any) -> Any:
    """ln Σ exp(z − largest) and the entropy.

    weighed: the reference of the weights in memory; where it is NaN or too far from the largest,
    they are computed, relative to the largest.
    """
    logits, weights = memory.doubles[LOGITS], memory.doubles[WEIGHTS]
    shift = largest - weighed
    if shift > -600.0:
        total, moment = moments_of(logits, weights, count, largest)
        return math.log(total) - shift, max(0.0, math.log(total) - shift - moment / total)
    total, moment = weigh_entries(logits, count, largest, weights)
    log_total = math.log(total)
    return log_total, max(0.0, log_total - moment / total)


@compiled
def moments_of(logits: Any, weights: Any, count: Any, reference: Any) -> Any:
    """Σ w and Σ w · (z − reference) of weights that are given, in four sums that do not wait."""
    totals, moments = (0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)
    whole = count // 4 * 4
    for place in range(0, whole, 4):
        w0, w1, w2, w3 = (
            weights[place],
            weights[place + 1],
            weights[place + 2],
            weights[place + 3],
        )
        totals = (totals[0] + w0, totals[1] + w1, totals[2] + w2, totals[3] + w3)
        moments = (
            moments[0] + w0 * (logits[place] - reference),
            moments[1] + w1 * (logits[place + 1] - reference),
            moments[2] + w2 * (logits[place + 2] - reference),
            moments[3] + w3 * (logits[place + 3] - reference),
        )
    total = totals[0] + totals[1] + totals[2] + totals[3]
    moment = moments[0] + moments[1] + moments[2] + moments[3]
    for place in range(whole, count):
        total += weights[place]
        moment += weights[place] * (logits[place] - reference)
    return total, moment
