"""The end of a row's step: the draw and its description."""

from __future__ import annotations

from typing import Any

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
    RAW_MAX,
    SLOT,
    TOUCHED,
    TOUCHED_IDS,
    WORDS,
)
from decoding.kernels.compiled.passes import block_count
from decoding.kernels.compiled.scalars import value_at
from decoding.kernels.compiled.touched import are_moderate, dense_max, forget, patch

LEFT_TO_NUMPY = 3
"""A status beside those of `decoding.kernels.result`: numbers beyond this arithmetic."""


@compiled
def greedy_of_row(
    row: Any, tail: Any, block_max: Any, temperature: Any, largest: Any, count: Any, memory: Any
) -> Any:
    """The lowest id of a dense row's largest logits."""
    best = np.int64(len(row))
    for place in range(count):
        if memory.doubles[TOUCHED][place] == largest:
            best = min(best, np.int64(memory.integers[TOUCHED_IDS][place]))
    size = len(tail)
    for block in range(block_count(row, tail)):
        start = block * size
        if start >= best:
            break
        if not block_max[block] / temperature >= largest:
            continue
        for token_id in range(start, min(start + size, len(row))):
            is_largest = value_at(row, token_id) / temperature == largest
            if is_largest and memory.integers[SLOT][token_id] == 0:
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

    shadow: where the blocks with touched tokens of a dense row go.
    """
    count, temperature = state.count, state.temperature
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    log_total, entropy, support = 0.0, 0.0, count
    if state.compact:
        largest = largest_of(logits, count)
        if wanted:
            log_total, entropy = describe_candidates(count, largest, state.weighed, memory)
        if plan.greedy != 0 or abs(largest) >= NOISELESS:
            place = greedy_candidate(ids, logits, count)
        else:
            place = draw_candidate(count, position, plan.seed, memory)
        token_id, logit = np.int64(ids[place]), logits[place]
    else:
        if not are_moderate(count, memory):
            forget(memory, count)
            outcome.status = LEFT_TO_NUMPY
            return
        total, moment = 1.0, 0.0
        largest = dense_max(row, tail, block_max, temperature, count, memory)
        final_max = memory.doubles[FINAL_MAX]
        patched = memory.integers[WORDS][: block_count(row, tail)]
        is_greedy = plan.greedy != 0 or abs(largest) >= NOISELESS
        token_id, logit = np.int64(-1), largest
        if is_greedy:
            token_id = greedy_of_row(row, tail, block_max, temperature, largest, count, memory)
        if wanted or not is_greedy:
            patch(row, tail, block_max, temperature, count, memory, shadow, final_max)
        if wanted and plan.top_n > 0:
            count = collect_top(
                row,
                tail,
                block_max,
                temperature,
                plan.top_n,
                limit,
                count,
                memory,
                shadow,
                final_max,
            )
        else:
            forget(memory, count)
        if not is_greedy:
            token_id, logit = draw_from_row(
                row, shadow, patched, final_max, temperature, position, plan.seed, memory
            )
        if wanted:
            total, moment, support = weigh_patched(
                row, shadow, patched, final_max, temperature, largest
            )
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
