"""A decoding step over some rows of a batch: the function that Python calls."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from decoding.kernels.compiled.candidates import edit_by_bitmask, largest_of
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
from decoding.kernels.compiled.jit import compiled, entry
from decoding.kernels.compiled.memory import (
    IDS,
    LOGITS,
    PLACES,
    RAW_MAX,
    SLOT,
    TOUCHED,
    TOUCHED_IDS,
    WEIGHTS,
    WORDS,
    WORK_MAX,
    Memory,
)
from decoding.kernels.compiled.passes import (
    BLOCK,
    block_count,
    copy_edited_row,
    count_between,
    find_fault,
    largest_of_blocks,
    lowest_finite,
    scan,
    survey,
)
from decoding.kernels.compiled.records import INSTRUCTION, PLAN, SPARSE
from decoding.kernels.compiled.rows import (
    BEYOND,
    BITMASK,
    BITMASK_BIAS,
    DONE,
    EMPTIED,
    NEEDS_SHADOW,
    State,
    Sums,
    run,
)
from decoding.kernels.compiled.scalars import as_pointer, minus_infinity, value_at
from decoding.kernels.compiled.touched import (
    dense_max,
    flush,
    forget,
    is_precise,
    make_shadow,
    patch,
    round_touched,
)
from decoding.kernels.result import EMPTY_SUPPORT, INVALID_LOGITS, OK, ROW, TOP

DRAW, DESCRIBE, EDIT = 0, 1, 2
"""What can be asked of a step."""

LEFT_TO_NUMPY = 3
"""A status beside those of `decoding.kernels.result`: numbers beyond this arithmetic."""
_HUGE = 1e38
"""From this size on rows of float64, and they alone, are left to NumPy."""


@compiled
def tail_of(row: Any) -> Any:
    """What is left after the last whole block, filled up with −inf; `BLOCK` logits."""
    tail = np.empty(BLOCK, row.dtype)
    start = len(row) // BLOCK * BLOCK
    if start < len(row):
        for lane in range(BLOCK):
            tail[lane] = row[start + lane] if start + lane < len(row) else minus_infinity(row)
    return tail


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

    Of a dense row no token is touched where the whole of it is asked for: for the likeliest tokens,
    and to describe the largest.
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
        else:
            work_max = memory.doubles[WORK_MAX]
            fits, top_logit = patch(row, tail, block_max, scale, count, memory, shadow, work_max)
            if not fits:
                outcome.status = LEFT_TO_NUMPY
                return
            largest = top_logit * scale
            token_id, logit, total, moment, support = draw_from_row(
                row,
                shadow,
                memory.integers[PLACES][: block_count(row, tail)],
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
        if not state.compact:
            count = collect_top(row, tail, block_max, scale, largest, plan.top_n, limit, memory)
            if count < 0:
                outcome.status = LEFT_TO_NUMPY
                return
        write_top(
            raw, raw_largest, raw_log, count, plan.top_n, largest, log_total, outcome, top, memory
        )


@compiled
def begin(
    row: Any,
    tail: Any,
    raw: Any,
    raw_tail: Any,
    edited: Any,
    wanted: Any,
    outcome: Any,
    memory: Any,
) -> Any:
    """Check a row; its largest logit, and largest and sum of the raw row. Its status is written."""
    if wanted:
        raw_largest, raw_total, raw_moment = survey(raw, raw_tail, memory.doubles[RAW_MAX])
    else:
        raw_largest = scan(raw, raw_tail, memory.doubles[RAW_MAX])
        raw_total, raw_moment = 1.0, 0.0
    outcome.status = OK
    outcome.top_count = 0
    if not raw_largest < np.inf:
        outcome.status = INVALID_LOGITS
        outcome.fault_position, outcome.fault_count = find_fault(raw)
        return raw_largest, raw_largest, raw_total, raw_moment
    largest = raw_largest
    if edited:
        largest = scan(row, tail, memory.doubles[WORK_MAX])
    if largest == -np.inf:
        outcome.status = EMPTY_SUPPORT
        outcome.fault_position = -1
    elif abs(largest) > _HUGE and lowest_finite(row) < -1e300:
        outcome.status = LEFT_TO_NUMPY
    return largest, raw_largest, raw_total, raw_moment


@compiled
def write_row(row: Any, state: Any, memory: Any, out: Any, start: Any, width: Any) -> Any:
    """What the program left of a row, into `out`; finite logits stay finite."""
    limit = -lowest_finite(out)
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    if not state.compact:
        for token_id in range(width):
            logit = value_at(row, token_id) * state.scale
            if logit > -np.inf:
                logit = min(max(logit, -limit), limit)
            out[start + token_id] = logit
        ids, logits = memory.integers[TOUCHED_IDS], memory.doubles[TOUCHED]
    else:
        for token_id in range(width):
            out[start + token_id] = -np.inf
    for place in range(state.count):
        logit = logits[place]
        if logit > -np.inf:
            logit = min(max(logit, -limit), limit)
        out[start + ids[place]] = logit
    if not state.compact:
        forget(memory, state.count)


@compiled
def begin_shadow(
    row: Any,
    tail: Any,
    state: Any,
    instructions: Any,
    last: Any,
    bitmasks: Any,
    largest: Any,
    memory: Any,
    shadow: Any,
    block_max: Any,
) -> Any:
    """Copy what stays of a row into its shadow; a bitmask that waits for one is met on the way.

    Returns whether the touched logits fit, the shadow's largest, and the instruction to go on from.
    """
    index, everything = state.index, state.low == -np.inf and state.high == np.inf
    if state.outcome == NEEDS_SHADOW and everything and index < last:
        item = instructions[index]
        if item.opcode == BITMASK or (item.opcode == BITMASK_BIAS and is_precise(largest)):
            bitmask = bitmasks[item.slot]
            inside = item.first if item.opcode == BITMASK_BIAS else 0.0
            outside = 0.0 if item.opcode == BITMASK_BIAS else -np.inf
            touched_ids, touched = memory.integers[TOUCHED_IDS], memory.doubles[TOUCHED]
            edit_by_bitmask(touched_ids, touched, state.count, bitmask, inside, outside)
            copy_edited_row(row, tail, bitmask, inside / state.scale, outside, shadow, block_max)
            fits, most = flush(tail, state.scale, state.count, memory, shadow, block_max)
            return fits, most, index + 1
    fits, most = make_shadow(row, tail, state, memory, shadow, block_max)
    return fits, most, index


@compiled
def restarted(state: Any, index: Any) -> Any:
    """A dense row whose shadow holds what was touched, before an instruction."""
    everyone = state.last_tie
    return State(DONE, index, False, 0, False, state.scale, -np.inf, np.inf, everyone, np.nan)


@entry
def step_rows(
    logits: Any,
    raw_logits: Any,
    bitmasks: Any,
    token_ids: Any,
    lengths: Any,
    prompt_lengths: Any,
    call: Any,
    out: Any,
    doubles: Any,
    integers: Any,
    singles: Any,
    shadow: Any,
    first_row: Any,
    last_row: Any,
) -> Any:
    """Rows `first_row` to `last_row` of a batch: check, run the program, and do what is asked.

    Returns how many of them are left to NumPy.

    call: stride and width of the rows; whether the raw rows are others; what is asked: `DRAW`,
    `DESCRIBE` too, or only `EDIT`, which writes what the program leaves into `out`; the most
    candidates; then address and length of the instructions and their sparse operands, of plans and
    outcomes, and of the likeliest tokens.
    """
    memory = Memory(doubles, integers, singles)
    stride, width, edited, asked, limit = call[0], call[1], call[2] != 0, call[3], call[4]
    wanted = asked == DESCRIBE
    instructions = carray(as_pointer(call[5]), (call[6],), INSTRUCTION)
    sparse = carray(as_pointer(call[7]), (call[8],), SPARSE)
    plans = carray(as_pointer(call[9]), (call[10],), PLAN)
    outcomes = carray(as_pointer(call[11]), (call[10],), ROW)
    top = carray(as_pointer(call[12]), (call[13],), TOP)
    left = 0
    for index in range(first_row, last_row):
        row = logits[index * stride : index * stride + width]
        raw = raw_logits[index * stride : index * stride + width]
        plan, outcome = plans[index], outcomes[index]
        tail, raw_tail = tail_of(row), tail_of(raw)
        largest, raw_largest, raw_total, raw_moment = begin(
            row, tail, raw, raw_tail, edited, wanted, outcome, memory
        )
        if outcome.status != OK:
            left += outcome.status == LEFT_TO_NUMPY
            continue
        history = token_ids[index, : lengths[index]]
        work_max = memory.doubles[WORK_MAX]
        block_max = work_max if edited else memory.doubles[RAW_MAX]
        sums = Sums(wanted and not edited, raw_total, raw_moment)
        state = State(
            DONE, plan.first, False, 0, False, 1.0, -np.inf, np.inf, np.int64(width), np.nan
        )
        state = run(
            row,
            tail,
            block_max,
            largest,
            sums,
            False,
            False,
            shadow,
            width,
            instructions,
            plan.last,
            sparse,
            bitmasks,
            history,
            prompt_lengths[index],
            state,
            limit,
            memory,
        )
        flushes = not state.compact and state.count > 0
        flushes = flushes and wanted and (plan.greedy != 0 or plan.top_n > 0)
        if state.outcome == NEEDS_SHADOW or (state.outcome == DONE and flushes):
            fits, shadow_max, start = begin_shadow(
                row,
                tail,
                state,
                instructions,
                plan.last,
                bitmasks,
                largest,
                memory,
                shadow,
                work_max,
            )
            if not fits:
                outcome.status = LEFT_TO_NUMPY
                left += 1
                continue
            if shadow_max == -np.inf:
                outcome.status = EMPTY_SUPPORT
                outcome.fault_position = state.index - plan.first
                continue
            state = restarted(state, start)
            padding = shadow[:BLOCK]
            state = run(
                shadow,
                padding,
                work_max,
                shadow_max,
                Sums(False, 1.0, 0.0),
                True,
                False,
                shadow,
                width,
                instructions,
                plan.last,
                sparse,
                bitmasks,
                history,
                prompt_lengths[index],
                state,
                limit,
                memory,
            )
            if state.outcome == DONE and asked == EDIT:
                write_row(shadow, state, memory, out, index * width, width)
            elif state.outcome == DONE and not state.compact and state.count > 0:
                fits, _ = flush(padding, state.scale, state.count, memory, shadow, work_max)
                if not fits:
                    outcome.status = LEFT_TO_NUMPY
                    left += 1
                    continue
                state = restarted(state, state.index)
            if state.outcome == DONE and asked != EDIT:
                finish(
                    shadow,
                    padding,
                    work_max,
                    state,
                    raw,
                    raw_tail,
                    raw_largest,
                    raw_total,
                    plan,
                    len(history),
                    wanted,
                    limit,
                    outcome,
                    top,
                    memory,
                    shadow,
                )
        elif state.outcome == DONE and asked == EDIT:
            write_row(row, state, memory, out, index * width, width)
        elif state.outcome == DONE:
            finish(
                row,
                tail,
                block_max,
                state,
                raw,
                raw_tail,
                raw_largest,
                raw_total,
                plan,
                len(history),
                wanted,
                limit,
                outcome,
                top,
                memory,
                shadow,
            )
        if state.outcome == EMPTIED:
            outcome.status = EMPTY_SUPPORT
            outcome.fault_position = state.index - plan.first
        elif state.outcome == BEYOND:
            forget(memory, state.count)
            outcome.status = LEFT_TO_NUMPY
        left += outcome.status == LEFT_TO_NUMPY
    return left
