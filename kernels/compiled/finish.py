"""Numba: draws a row's token once the row's program has run, and describes the draw."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from decoding.kernels.compiled.candidates import largest_of
from decoding.kernels.compiled.describe import collect_top, describe, describe_candidates, write_top
from decoding.kernels.compiled.draw import (
    NOISELESS,
    draw_candidate,
    draw_from_row,
    greedy_candidate,
    weigh_final,
)
from decoding.kernels.compiled.final import bound_blocks, largest_final, list_equal
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import LOGITS, PLACES, WINDOW_MAX
from decoding.kernels.compiled.passes import (
    count_between,
    largest_of_blocks,
    largest_within,
    lowest_finite,
    weigh_within,
)
from decoding.kernels.compiled.state import is_cut, is_edited, is_flat, row_in, window_of
from decoding.kernels.compiled.touched import are_moderate, forget

LEFT_TO_NUMPY = 3
"""A status beside those of `decoding.kernels.result`: numbers beyond this arithmetic."""


class Raw(NamedTuple):
    """A row as the model gave it.

    row: a `Row`. block_max: its block maxima. largest: of its logits. total: Σ exp(z − largest),
    NaN where nothing raw is asked for.
    """

    row: Any
    block_max: Any
    largest: Any
    total: Any


@compiled
def _finish_candidates(plan: Any, wanted: Any, outcome: Any, step: Any) -> Any:
    """Draw among a row's candidates; return the largest logit, ln Σ exp(z − largest), the count."""
    memory, count = step.memory, step.state.count
    largest, log_total, entropy = largest_of(memory.doubles[LOGITS], count), 0.0, 0.0
    if wanted:
        log_total, entropy = describe_candidates(count, largest, memory)
    if plan.greedy != 0 or abs(largest) >= NOISELESS:
        token_id, logit = greedy_candidate(step)
    else:
        token_id, logit = draw_candidate(step, plan.seed)
    outcome.token_id, outcome.support_size, outcome.entropy = token_id, count, entropy
    outcome.processed_logprob = logit - largest - log_total
    return largest, log_total, count


@compiled
def _finish_row(plan: Any, wanted: Any, outcome: Any, step: Any) -> Any:
    """Draw from a dense row; return as `_finish_candidates`, count −1 beyond this arithmetic."""
    row, memory, state = row_in(step), step.memory, step.state
    edited, temperature, window = is_edited(step), state.temperature, window_of(step)
    shift, stored, is_within = 0.0, 0.0, is_cut(step) and not edited
    if is_within:
        # What has been summed is relative to the whole row's largest.
        block_max, within = step.memory.doubles[step.state.maxima], memory.doubles[WINDOW_MAX]
        stored = largest_within(row, block_max, window, within)
        shift = largest_of_blocks(row, block_max) / temperature - stored / temperature
        state.maxima = WINDOW_MAX
    bound_blocks(step)
    largest = stored / temperature if is_within else largest_final(step)
    token_id, logit, listed = np.int64(-1), largest, np.int64(0)
    if not are_moderate(step):
        forget(step)
        return largest, 0.0, np.int64(-1)
    if wanted and plan.top_n > 0:
        listed = np.int64(collect_top(plan.top_n, step))
    if plan.greedy != 0 or abs(largest) >= NOISELESS:
        found = memory.integers[PLACES]
        if list_equal(step, largest, 0, 0, 1, found) > 0:
            token_id = np.int64(found[0])
    else:
        token_id, logit = draw_from_row(step, plan.seed)
    total, moment, support = state.kept_total, state.kept_moment, np.int64(state.support)
    if not wanted:
        total, moment = 1.0, 0.0
    elif (
        not is_cut(step)
        and not edited
        and state.sums_temperature == temperature
        and not np.isnan(state.moment)
    ):
        total, moment = state.total, state.moment
        if support == 0:
            support = np.int64(count_between(row, lowest_finite(row), np.inf))
    elif np.isnan(total) and not edited and is_flat(step):
        support = np.int64(min(state.last_tie + 1, state.width))
        shift, total, moment = 0.0, 1.0 * support, 0.0
    elif np.isnan(total) and not is_within:
        total, moment, support = weigh_final(step, largest)
    elif np.isnan(total):
        shift = 0.0
        total, moment, support = weigh_within(
            row, step.memory.doubles[step.state.maxima], window, stored, 1.0 / temperature
        )
    forget(step)
    log_total = np.log(total)
    outcome.entropy = max(0.0, log_total - moment / total)
    outcome.token_id, outcome.support_size = token_id, support
    outcome.processed_logprob = logit - largest - (log_total + shift)
    return largest, log_total + shift, np.int64(-1) if token_id < 0 else listed


@compiled
def finish(raw: Any, plan: Any, wanted: Any, outcome: Any, top: Any, step: Any) -> Any:
    """Draw from what the program left of a row, and describe the draw if that is wanted."""
    if step.state.compact:
        largest, log_total, listed = _finish_candidates(plan, wanted, outcome, step)
    else:
        largest, log_total, listed = _finish_row(plan, wanted, outcome, step)
    if listed < 0:
        outcome.status = LEFT_TO_NUMPY
    elif wanted:
        if plan.raw != 0:
            describe(raw, np.int64(outcome.token_id), outcome)
        else:
            outcome.raw_logprob, outcome.rank = np.nan, 0
        if plan.top_n > 0:
            write_top(raw, largest, log_total, listed, plan.top_n, outcome, top, step.memory)
