"""Numba functions that describe a drawn token: logprobs, rank, entropy, the likeliest tokens."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.dense import collect_largest, weigh_entries
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.masks import no_masks
from decoding.kernels.compiled.memory import (
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
    is_whole,
    is_wide,
    largest_of_blocks,
)
from decoding.kernels.compiled.scalars import above_of, value_at
from decoding.kernels.compiled.selection import largest_places
from decoding.kernels.compiled.touched import Dense, forget, patch_all
from decoding.kernels.compiled.truncation import nth_and_more
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
def collect_top(final: Any, block_max: Any, n: Any, count: Any, step: Any) -> Any:
    """Candidates that hold the n largest of a dense row and enough of their ties; how many.

    −1 where that is beyond this arithmetic. block_max: of the stored logits in the window. count:
    touched tokens, for which the row is patched; they are forgotten.
    """
    row, temperature, memory, limit = final.row, final.temperature, step.memory, step.limit
    window = final.window
    dense = Dense(row, no_masks(), temperature, window.high / temperature)
    found = collect_largest(dense, block_max, n, limit, count, memory)
    forget(memory, count)
    if found < 0 and count == 0:
        if temperature != 1.0 and is_wide(row):
            return found  # dividing may have made ties of what is not the same in the row
        is_capped = window.high < np.inf
        found = _collect_ties(row, block_max, temperature, n, is_capped, limit, memory)
    elif found < 0:
        patch_all(row, temperature, memory, step.shadow)
        return _collect_ties(step.shadow_row, final.block_max, 1.0, n, False, limit, memory)
    if is_whole(window):
        return found
    ids, logits, kept = memory.integers[IDS], memory.doubles[LOGITS], np.int64(0)
    low = window.low / temperature
    for place in range(found):
        if logits[place] > low or (logits[place] == low and ids[place] <= window.last_tie):
            ids[kept], logits[kept] = ids[place], logits[place]
            kept += 1
    return kept if found >= 0 else found


@compiled
def _collect_ties(
    row: Any, block_max: Any, temperature: Any, n: Any, is_capped: Any, limit: Any, memory: Any
) -> Any:
    """`collect_top` where more tie than can be listed; no token is touched."""
    window = nth_and_more(row, block_max, n, True, is_capped, memory)
    nth = window.low
    if np.isnan(nth):
        return np.int64(-1)
    above = above_of(row, nth) / temperature
    most = largest_of_blocks(row, block_max) / temperature if is_capped else np.inf
    count = collect(
        row,
        block_max,
        temperature,
        above,
        most,
        max(limit, n),
        1,
        memory.integers[SLOT],
        memory.integers[IDS],
        memory.doubles[LOGITS],
    )
    # Too many to list is not none: fewer than n are above the n-th, so the bound is not its.
    # Where the n-th is −inf, fewer than n tokens are possible.
    if count < 0 or nth == -np.inf:
        return np.int64(count)
    return np.int64(
        append_equal(
            row,
            nth,
            nth / temperature,
            n + TIES_BEYOND_TOP_N - count,
            memory.integers[IDS],
            memory.doubles[LOGITS],
            count,
        )
    )


@compiled
def describe(raw: Any, token_id: Any, outcome: Any) -> Any:
    """Raw logprob and rank of the drawn token."""
    value = value_at(raw.row, token_id)
    outcome.raw_logprob = value - raw.largest - math.log(raw.total)
    outcome.rank = 1 + count_above(raw.row, raw.block_max, value)


@compiled
def describe_candidates(count: Any, largest: Any, memory: Any) -> Any:
    """ln Σ exp(z − largest) and the entropy."""
    logits, weights = memory.doubles[LOGITS], memory.doubles[WEIGHTS]
    total, moment = weigh_entries(logits, count, largest, weights)
    log_total = math.log(total)
    return log_total, max(0.0, log_total - moment / total)
