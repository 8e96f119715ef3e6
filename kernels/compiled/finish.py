"""Numba: the end of a row's step, after its program has run: the draw and its description."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from decoding.kernels.compiled.candidates import largest_of
from decoding.kernels.compiled.describe import (
    collect_top,
    describe,
    describe_candidates,
    write_top,
)
from decoding.kernels.compiled.draw import (
    NOISELESS,
    Final,
    draw_candidate,
    draw_from_row,
    greedy_candidate,
    weigh_patched,
)
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import (
    FINAL_MAX,
    IDS,
    LOGITS,
    SLOT,
    TOUCHED,
    TOUCHED_IDS,
    WINDOW_MAX,
    WORDS,
)
from decoding.kernels.compiled.passes import (
    BLOCK,
    blocks_of,
    count_between,
    is_whole,
    largest_within,
    lowest_finite,
    weigh_within,
)
from decoding.kernels.compiled.scalars import value_at
from decoding.kernels.compiled.touched import are_moderate, dense_max, forget, patch, plain

LEFT_TO_NUMPY = 3
"""A status beside those of `decoding.kernels.result`: numbers beyond this arithmetic."""


class Raw(NamedTuple):
    """A row as the model gave it.

    row: a `Row`. block_max: its block maxima. largest: of its logits. total: Σ exp(z − largest), 1
    where no description is asked for.
    """

    row: Any
    block_max: Any
    largest: Any
    total: Any


class Drawn(NamedTuple):
    """A token and what its description needs.

    token_id: −1 where the row's numbers are beyond this arithmetic. logit: its final logit.
    largest, log_total: of the final logits, and ln Σ exp(z − largest). listed: how many candidates
    hold the likeliest tokens, −1 where they cannot be listed.
    """

    token_id: Any
    logit: Any
    largest: Any
    log_total: Any
    entropy: Any
    support: Any
    listed: Any


@compiled
def _greedy_of_row(
    row: Any, block_max: Any, temperature: Any, largest: Any, count: Any, memory: Any
) -> Any:
    """The lowest id of a dense row's largest logits."""
    best = np.int64(row.width)
    for place in range(count):
        if memory.doubles[TOUCHED][place] == largest:
            best = min(best, np.int64(memory.integers[TOUCHED_IDS][place]))
    for block in range(blocks_of(row)):
        start = block * BLOCK
        if start >= best:
            break
        if not block_max[block] / temperature >= largest:
            continue
        for token_id in range(start, min(start + BLOCK, row.width)):
            is_largest = value_at(row, token_id) / temperature == largest
            if is_largest and memory.integers[SLOT][token_id] == 0:
                return min(best, np.int64(token_id))
    return best


@compiled
def _finish_candidates(state: Any, plan: Any, wanted: Any, step: Any) -> Any:
    """Draw from a compact row."""
    memory, count = step.memory, state.count
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    largest, log_total, entropy = largest_of(logits, count), 0.0, 0.0
    if wanted:
        log_total, entropy = describe_candidates(count, largest, memory)
    if plan.greedy != 0 or abs(largest) >= NOISELESS:
        place = greedy_candidate(ids, logits, count)
    else:
        place = draw_candidate(count, len(step.history), plan.seed, memory)
    token_id = np.int64(ids[place])
    return Drawn(token_id, logits[place], largest, log_total, entropy, count, count)


@compiled
def _finish_row(source: Any, state: Any, plan: Any, wanted: Any, step: Any) -> Any:
    """Draw from a dense row; the blocks with touched tokens are written into the shadow."""
    row, block_max, memory, window = source.row, source.block_max, step.memory, state.kept
    count, temperature = state.count, state.temperature
    largest = dense_max(plain(row, temperature), block_max, count, memory)
    shift, stored = 0.0, largest
    if not is_whole(window):
        # Without touched tokens; what has been summed is relative to the whole row's largest.
        shift, block_max = largest, memory.doubles[WINDOW_MAX]
        stored = largest_within(row, source.block_max, window, block_max)
        largest = stored / temperature
        shift -= largest
    if not are_moderate(count, memory):
        forget(memory, count)
        return Drawn(np.int64(-1), 0.0, largest, 0.0, 0.0, count, count)
    is_greedy = plan.greedy != 0 or abs(largest) >= NOISELESS
    token_id, logit, listed = np.int64(-1), largest, np.int64(0)
    if is_greedy:
        token_id = _greedy_of_row(row, block_max, temperature, largest, count, memory)
    patched, final_max = memory.integers[WORDS][: blocks_of(row)], memory.doubles[FINAL_MAX]
    final = Final(row, step.shadow_row, patched, final_max, temperature, window)
    if wanted or not is_greedy:
        patch(row, block_max, temperature, window, count, memory, step.shadow, final_max)
    if wanted and plan.top_n > 0:
        listed = np.int64(collect_top(final, block_max, plan.top_n, count, step))
    else:
        forget(memory, count)
    if not is_greedy:
        token_id, logit = draw_from_row(final, len(step.history), plan.seed, memory)
    if not wanted:
        return Drawn(token_id, logit, largest, 0.0, 0.0, np.int64(0), listed)
    total, moment, support = window.total, window.moment, np.int64(window.support)
    sums = source.sums
    if is_whole(window) and count == 0 and sums.known and temperature == 1.0:
        total, moment = sums.total, sums.moment
        support = np.int64(count_between(row, lowest_finite(row), np.inf))
    elif is_whole(window):
        total, moment, support = weigh_patched(final, largest)
    elif np.isnan(total):
        shift = 0.0
        total, moment, support = weigh_within(row, block_max, window, stored, 1.0 / temperature)
    log_total = np.log(total)
    entropy = max(0.0, log_total - moment / total)
    return Drawn(token_id, logit, largest, log_total + shift, entropy, support, listed)


@compiled
def finish(
    source: Any, state: Any, raw: Any, plan: Any, wanted: Any, outcome: Any, top: Any, step: Any
) -> Any:
    """Draw from what the program left of a row, and describe the draw if that is wanted."""
    if state.compact:
        drawn = _finish_candidates(state, plan, wanted, step)
    else:
        drawn = _finish_row(source, state, plan, wanted, step)
    outcome.token_id = drawn.token_id
    if drawn.token_id < 0 or (wanted and plan.top_n > 0 and drawn.listed < 0):
        outcome.status = LEFT_TO_NUMPY
        return
    if not wanted:
        return
    outcome.processed_logprob = drawn.logit - drawn.largest - drawn.log_total
    outcome.entropy = drawn.entropy
    outcome.support_size = drawn.support
    describe(raw, drawn.token_id, outcome)
    if plan.top_n > 0:
        write_top(raw, drawn, plan.top_n, outcome, top, step.memory)
