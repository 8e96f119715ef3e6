"""What is made of a row in the end: a token, and what describes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from decoding.kernels.compiled.candidates import largest_of
from decoding.kernels.compiled.dense import weigh_entries
from decoding.kernels.compiled.describe import (
    collect_top,
    describe,
    describe_candidates,
    weigh_row,
    write_top,
)
from decoding.kernels.compiled.draw import (
    NOISELESS,
    draw_candidate,
    draw_from_row,
    greedy_candidate,
)
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import (
    IDS,
    LOGITS,
    RAW_MAX,
    SLOT,
    TOUCHED,
    TOUCHED_IDS,
    WEIGHTS,
    WORDS,
    WORK_MAX,
)
from decoding.kernels.compiled.passes import (
    block_count,
    count_between,
    largest_of_blocks,
    lowest_finite,
)
from decoding.kernels.compiled.scalars import value_at
from decoding.kernels.compiled.touched import dense_max, forget, patch, round_touched

LEFT_TO_NUMPY = 3
"""A status beside those of `decoding.kernels.result`: numbers beyond this arithmetic."""


@compiled
def greedy_of_row(row: Any, tail: Any, block_max: Any, scale: Any, count: Any, memory: Any) -> Any:
    """The lowest id of a dense row's largest logits."""
    largest = dense_max(row, tail, block_max, scale, count, memory)
    best = np.int64(len(row))
    for place in range(count):
        if memory.doubles[TOUCHED][place] == largest:
            best = min(best, np.int64(memory.integers[TOUCHED_IDS][place]))
    size = len(tail)
    for block in range(block_count(row, tail)):
        start = block * size
        if start >= best:
            break
        if not block_max[block] * scale >= largest:
            continue
        for token_id in range(start, min(start + size, len(row))):
            if value_at(row, token_id) * scale == largest and memory.integers[SLOT][token_id] == 0:
                return min(best, np.int64(token_id))
    return best


@compiled
def finish(
    row: Any,
    tail: Any,
    block_max: Any,
    state: Any,
    raw: Any,
    raw_tail: Any,
    raw_largest: Any,
    raw_total: Any,
    plan: Any,
    position: Any,
    wanted: Any,
    limit: Any,
    outcome: Any,
    top: Any,
    memory: Any,
    shadow: Any,
) -> Any:
    """Draw from what the program left of a row, and describe the draw if that is wanted.

    A dense row whose largest token is described has no touched tokens.
    """
    count, scale = state.count, state.scale
    ids, logits, weights = memory.integers[IDS], memory.doubles[LOGITS], memory.doubles[WEIGHTS]
    log_total, entropy, support = 0.0, 0.0, count
    if state.compact:
        largest = largest_of(logits, count)
        # The weights are relative to the row before the truncation, where that is near enough.
        reference = state.weighed if largest - state.weighed > -600.0 else largest
        if wanted:
            log_total, entropy = describe_candidates(count, largest, state.weighed, memory)
        if plan.greedy != 0 or abs(largest) >= NOISELESS:
            place = greedy_candidate(ids, logits, count)
        else:
            if not wanted and reference == largest:
                weigh_entries(logits, count, largest, weights)
            place = draw_candidate(
                ids,
                logits,
                count,
                reference,
                weights,
                position,
                plan.seed,
                memory.integers[WORDS].view(np.uint32),
            )
        token_id, logit = np.int64(ids[place]), logits[place]
    else:
        total, moment = 1.0, 0.0
        largest = largest_of_blocks(row, tail, block_max) * scale
        if plan.greedy != 0 or (count == 0 and abs(largest) >= NOISELESS):
            if count > 0:
                round_touched(row, tail, block_max, scale, count, memory)
            token_id = greedy_of_row(row, tail, block_max, scale, count, memory)
            logit = value_at(row, token_id) * scale
            forget(memory, count)
            if wanted:
                total, moment = weigh_row(row, tail, largest, scale)
                support = count_between(row, tail, lowest_finite(row), np.inf)
                if plan.top_n > 0:
                    count = collect_top(
                        row, tail, block_max, scale, largest, plan.top_n, limit, 0, memory, shadow
                    )
        else:
            work_max = memory.doubles[WORK_MAX]
            fits, top_logit = patch(row, tail, block_max, scale, count, memory, shadow, work_max)
            if not fits:
                forget(memory, count)
                outcome.status = LEFT_TO_NUMPY
                return
            largest = top_logit * scale
            if wanted and plan.top_n > 0:
                count = collect_top(
                    row, tail, work_max, scale, largest, plan.top_n, limit, count, memory, shadow
                )
            else:
                forget(memory, count)
            token_id, logit, total, moment, support = draw_from_row(
                row,
                shadow,
                memory.integers[WORDS][: block_count(row, tail)],
                work_max,
                scale,
                top_logit,
                position,
                plan.seed,
                memory.singles,
            )
            logit *= scale
        if wanted:
            log_total = np.log(total)
            entropy = max(0.0, log_total - moment / total)
    outcome.token_id = token_id
    if not wanted:
        return
    outcome.processed_logprob = logit - largest - log_total
    outcome.entropy = entropy
    outcome.support_size = support
    raw_log = describe(
        raw, raw_tail, memory.doubles[RAW_MAX], raw_largest, raw_total, token_id, outcome
    )
    if plan.top_n > 0:
        if count < 0:
            outcome.status = LEFT_TO_NUMPY
            return
        write_top(
            raw, raw_largest, raw_log, count, plan.top_n, largest, log_total, outcome, top, memory
        )
