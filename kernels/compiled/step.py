"""The decoding step over some rows of a batch: the compiled function that Python calls."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from decoding.kernels.compiled.candidates import edit_by_bitmask
from decoding.kernels.compiled.finish import LEFT_TO_NUMPY, finish
from decoding.kernels.compiled.jit import compiled, entry
from decoding.kernels.compiled.memory import (
    IDS,
    LOGITS,
    RAW_MAX,
    TOUCHED,
    TOUCHED_IDS,
    WORK_MAX,
    Memory,
)
from decoding.kernels.compiled.passes import (
    BLOCK,
    copy_edited_row,
    find_fault,
    is_wide,
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
from decoding.kernels.compiled.touched import flush, forget, make_shadow
from decoding.kernels.result import EMPTY_SUPPORT, INVALID_LOGITS, OK, ROW, TOP

DRAW, DESCRIBE, EDIT = 0, 1, 2
"""What can be asked of a step."""

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
    elif abs(largest) > _HUGE and is_wide(row):
        outcome.status = LEFT_TO_NUMPY
    return largest, raw_largest, raw_total, raw_moment


@compiled
def write_row(row: Any, state: Any, memory: Any, out: Any, start: Any, width: Any) -> Any:
    """What the program left of a row, into `out`, which is float64."""
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    if not state.compact:
        for token_id in range(width):
            out[start + token_id] = value_at(row, token_id) / state.temperature
        ids, logits = memory.integers[TOUCHED_IDS], memory.doubles[TOUCHED]
    else:
        for token_id in range(width):
            out[start + token_id] = -np.inf
    for place in range(state.count):
        out[start + ids[place]] = logits[place]
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
    memory: Any,
    shadow: Any,
    block_max: Any,
) -> Any:
    """Copy what stays of a row into its shadow; a bitmask that waits for one is met on the way.

    Returns whether the touched logits are moderate, the shadow's largest, and the instruction to go
    on from.
    """
    index, everything = state.index, state.low == -np.inf and state.high == np.inf
    if everything and index < last:
        item = instructions[index]
        biases = item.opcode == BITMASK_BIAS and state.temperature == 1.0
        if item.opcode == BITMASK or biases:
            bitmask = bitmasks[item.slot]
            inside, outside = (item.first, 0.0) if biases else (0.0, -np.inf)
            touched_ids, touched = memory.integers[TOUCHED_IDS], memory.doubles[TOUCHED]
            edit_by_bitmask(touched_ids, touched, state.count, bitmask, inside, outside)
            copy_edited_row(row, tail, bitmask, inside, outside, shadow, block_max)
            moderate, most = flush(state.temperature, state.count, memory, shadow, block_max)
            return moderate, most, index + 1
    moderate, most = make_shadow(row, tail, state, memory, shadow, block_max)
    return moderate, most, index


@compiled
def restarted(state: Any, index: Any) -> Any:
    """A dense row whose shadow holds its final logits, before an instruction."""
    return State(DONE, index, False, 0, False, 1.0, -np.inf, np.inf, state.last_tie, np.nan)


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
        if state.outcome == NEEDS_SHADOW:
            moderate, shadow_max, start = begin_shadow(
                row,
                tail,
                state,
                instructions,
                plan.last,
                bitmasks,
                memory,
                shadow,
                work_max,
            )
            if not moderate:
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
                # A shadow cannot be patched from itself.
                moderate, _ = flush(state.temperature, state.count, memory, shadow, work_max)
                if not moderate:
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
