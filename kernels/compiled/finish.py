"""The end of a row's step: the draw and its description."""

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
    WORDS,
)
from decoding.kernels.compiled.passes import BLOCK, blocks_of
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
    memory, count, weighed = step.memory, state.count, state.kept.weighed
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    largest, log_total, entropy = largest_of(logits, count), 0.0, 0.0
    if wanted:
        log_total, entropy = describe_candidates(count, largest, weighed, memory)
    if plan.greedy != 0 or abs(largest) >= NOISELESS:
        place = greedy_candidate(ids, logits, count)
    else:
        place = draw_candidate(count, len(step.history), plan.seed, memory)
    token_id = np.int64(ids[place])
    return Drawn(token_id, logits[place], largest, log_total, entropy, count, count)


@compiled
def _finish_row(source: Any, state: Any, plan: Any, wanted: Any, step: Any) -> Any:
    """Draw from a dense row; the blocks with touched tokens are written into the shadow."""
    row, block_max, memory, shadow = source.row, source.block_max, step.memory, step.shadow
    count, temperature = state.count, state.temperature
    largest = dense_max(plain(row, temperature), block_max, count, memory)
    if not are_moderate(count, memory):
        forget(memory, count)
        return Drawn(np.int64(-1), 0.0, largest, 0.0, 0.0, count, count)
    is_greedy = plan.greedy != 0 or abs(largest) >= NOISELESS
    token_id, logit, listed = np.int64(-1), largest, np.int64(0)
    if is_greedy:
        token_id = _greedy_of_row(row, block_max, temperature, largest, count, memory)
    if wanted or not is_greedy:
        final_max = memory.doubles[FINAL_MAX]
        patch(row, block_max, temperature, count, memory, shadow, final_max)
    if wanted and plan.top_n > 0:
        listed = collect_top(source, temperature, plan.top_n, count, step)
    else:
        forget(memory, count)
    patched = memory.integers[WORDS][: blocks_of(row)]
    if not is_greedy:
        token_id, logit = draw_from_row(
            row, step.shadow_row, patched, memory.doubles[FINAL_MAX], temperature,
            len(step.history), plan.seed, memory,
        )  # fmt: skip
    log_total, entropy, support = 0.0, 0.0, np.int64(0)
    if wanted:
        total, moment, support = weigh_patched(
            row, step.shadow_row, patched, memory.doubles[FINAL_MAX], temperature, largest
        )
        log_total = np.log(total)
        entropy = max(0.0, log_total - moment / total)
    return Drawn(token_id, logit, largest, log_total, entropy, support, listed)


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
