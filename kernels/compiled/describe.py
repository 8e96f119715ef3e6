"""Numba functions that describe a drawn token: logprobs, rank, entropy, the likeliest tokens."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.dense import collect_largest, keep_window_of, weigh_entries
from decoding.kernels.compiled.final import list_equal
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import IDS, LOGITS, PLACES, VALUES, WEIGHTS
from decoding.kernels.compiled.passes import MASK, count_above
from decoding.kernels.compiled.scalars import value_at
from decoding.kernels.compiled.selection import largest_places
from decoding.kernels.result import TIES_BEYOND_TOP_N


@compiled
def write_top(
    raw: Any, largest: Any, log_total: Any, listed: Any, n: Any, outcome: Any, top: Any, memory: Any
) -> Any:
    """Describe the n likeliest of the listed candidates and their ties.

    largest, log_total: of the final logits, and ln Σ exp(z − largest).
    """
    ids, logits, places = memory.integers[IDS], memory.doubles[LOGITS], memory.integers[PLACES]
    most = n + TIES_BEYOND_TOP_N
    found = largest_places(ids, logits, listed, n, most, places, memory.doubles[VALUES])
    raw_log = math.log(raw.total)
    for index in range(found):
        place = places[index]
        entry = top[outcome.top_start + index]
        entry.token_id = ids[place]
        entry.raw_logprob = value_at(raw.row, np.int64(ids[place])) - raw.largest - raw_log
        entry.processed_logprob = logits[place] - largest - log_total
    outcome.top_count = found


@compiled
def collect_top(n: Any, step: Any) -> Any:
    """List candidates that hold the n largest of a dense row and enough of their ties; how many.

    −1 where that is beyond this arithmetic. Needs `final.bound_blocks`.
    """
    memory, block_max = step.memory, step.memory.doubles[step.state.maxima]
    most = max(step.limit, n) + MASK
    found, tie = collect_largest(step, block_max, n, most, False)
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    if not np.isnan(tie):
        ties = list_equal(step, tie, 0, 0, n + TIES_BEYOND_TOP_N - found, ids[found:])
        for _ in range(ties):
            logits[found] = tie
            found += 1
    return keep_window_of(step, found)


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
