"""Numba: the decoding step over some rows of a batch, the compiled function that Python calls."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from decoding.kernels.compiled.final import final_at
from decoding.kernels.compiled.finish import LEFT_TO_NUMPY, Raw, finish
from decoding.kernels.compiled.formats import BFLOAT16, FLOAT32, FLOAT64, Row
from decoding.kernels.compiled.jit import compiled, entry, owning
from decoding.kernels.compiled.memory import (
    DOUBLES,
    IDS,
    INTEGERS,
    LOGITS,
    RAW_END,
    RAW_MAX,
    WORK_END,
    WORK_MAX,
    Memory,
)
from decoding.kernels.compiled.passes import BLOCK, find_fault, is_wide, scan
from decoding.kernels.compiled.records import (
    ASKED,
    BATCH,
    BITMASK_COUNT,
    BITMASK_WORDS,
    BITMASKS,
    ENTRIES,
    ENTRY_COUNT,
    FORMAT,
    INSTRUCTION,
    INSTRUCTION_COUNT,
    INSTRUCTIONS,
    LIKELIEST,
    LIKELIEST_COUNT,
    MOST_LISTED,
    OUT,
    OUTCOMES,
    PLAN,
    PLANS,
    RAW_ROWS,
    SCRATCH,
    SPARSE,
    STATE,
    STRIDE,
    THREADS,
    TURNS,
    WIDTH,
)
from decoding.kernels.compiled.rows import run
from decoding.kernels.compiled.scalars import add_shared, as_pointer
from decoding.kernels.compiled.state import DONE, EMPTIED, Step, begin
from decoding.kernels.compiled.survey import Survey, survey
from decoding.kernels.compiled.touched import forget
from decoding.kernels.program import NEEDS_TOTAL, Opcode
from decoding.kernels.result import EMPTY_SUPPORT, INVALID_LOGITS, OK, ROW, TOP

DRAW, DESCRIBE, EDIT = 0, 1, 2
"""The tasks of a step: a token, a token with its description, or the edited logits."""

TEMPERATURE, TYPICAL_P, CUT = map(int, (Opcode.TEMPERATURE, Opcode.TYPICAL_P, Opcode.CUT))

_LEAST, _MOST = 0.5, 2.0
"""Sums at these temperatures are taken beside those at 1. At lower ones
weights grow so fast that the sums would begin anew often; at higher ones the least weight, that
of tokens that are removed, is not nothing."""

_NEXT, _DONE, _LEFT = range(3)
"""Indices into `turns`, the counters that the threads of a step share; see `step_rows`."""
_WAITS = 10_000
"""So often the end of other threads' rows is waited for, some 100 µs."""
_HUGE = 1e38
"""From this size on rows of float64, and they alone, are left to NumPy."""


@owning
def _fill(end: Any, stored: Any, infinite: Any) -> Any:
    """Copy the end of a row into a block, and fill that up."""
    for lane in range(BLOCK):
        end[lane] = stored[lane] if lane < len(stored) else infinite


@owning
def row_of(address: Any, format_: Any, width: Any, end: Any) -> Any:
    """A row in memory; what is left after its last whole block is copied to `end`, float64."""
    whole = width // BLOCK * BLOCK
    size = 8 if format_ == FLOAT64 else (4 if format_ == FLOAT32 else 2)
    behind, rest = np.int64(end.ctypes.data), width - whole
    if rest > 0:
        first, last = as_pointer(address + whole * size), as_pointer(behind)
        if size == 8:
            _fill(end[:BLOCK], carray(first, (rest,), np.float64), -np.inf)
        elif size == 4:
            stored = carray(first, (rest,), np.uint32)
            _fill(carray(last, (BLOCK,), np.uint32), stored, np.uint32(0xFF800000))
        else:
            infinite = np.uint16(0xFF80 if format_ == BFLOAT16 else 0xFC00)
            halves = carray(first, (rest,), np.uint16)
            _fill(carray(last, (BLOCK,), np.uint16), halves, infinite)
    return Row(
        np.int64(address), np.int64(format_), np.int64(width), np.int64(whole),
        np.int64(behind - whole * size),
    )  # fmt: skip


@compiled
def _write_row(step: Any, out: Any, start: Any) -> Any:
    """Write the final logits of a row into `out`, which is float64."""
    ids, logits = step.memory.integers[IDS], step.memory.doubles[LOGITS]
    if not step.state.compact:
        for token_id in range(step.vocab):
            out[start + token_id] = final_at(step, token_id)
        forget(step)
        return
    for token_id in range(step.vocab):
        out[start + token_id] = -np.inf
    for place in range(step.state.count):
        out[start + ids[place]] = logits[place]


@compiled
def _temperature_of_sums(plan: Any, wanted: Any, instructions: Any) -> Any:
    """At which temperature a row's Σ w and Σ w · gap are needed by what looks at it first; or 0."""
    first, count = instructions[plan.first], plan.last - plan.first
    if count == 0:
        return 1.0 if wanted else 0.0
    if first.opcode == TEMPERATURE:
        near = _LEAST <= first.first <= _MOST
        return first.first if near and count == 1 and wanted else 0.0
    summed = first.opcode == CUT and np.int64(first.first) & NEEDS_TOTAL != 0
    return 1.0 if summed or first.opcode == TYPICAL_P else 0.0


@compiled
def _begin(
    row: Any, raw: Any, edited: Any, sums: Any, temperature: Any, outcome: Any, memory: Any
) -> Any:
    """Check a row and write its status; return its largest logit, and a `Survey` of the raw row.

    sums: whether the raw row's Σ w is asked for. temperature: see `_temperature_of_sums`.
    """
    if sums or temperature == 1.0:
        found = survey(raw, memory.doubles[RAW_MAX], temperature)
    else:
        found = Survey(scan(raw, memory.doubles[RAW_MAX]), np.nan, np.nan, np.nan, np.int64(0))
    outcome.status = OK
    outcome.top_count = 0
    largest = found.largest
    if not largest < np.inf:
        outcome.status = INVALID_LOGITS
        outcome.fault_position, outcome.fault_count = find_fault(raw)
        return largest, found
    if edited:
        largest = scan(row, memory.doubles[WORK_MAX])
    if largest == -np.inf:
        outcome.status = EMPTY_SUPPORT
        outcome.fault_position = -1
    elif abs(largest) > _HUGE and is_wide(row):
        outcome.status = LEFT_TO_NUMPY
    return largest, found


@compiled
def _note_sums(found: Any, temperature: Any, state: Any) -> Any:
    """Write what a `Survey` of a row as it is stored says into its state."""
    if np.isnan(found.moment):
        state.total, state.moment, state.sums_temperature = found.total, np.nan, 1.0
        return
    state.total, state.moment = found.scaled, found.moment
    state.sums_temperature = temperature if temperature > 0.0 else 1.0
    state.support = found.possible


@entry
def step_rows(logits: Any, token_ids: Any, lengths: Any, prompt_lengths: Any, call: Any) -> Any:
    """Check the rows of a batch that no thread has taken, run their programs; draw or write them.

    logits: bytes. call: integers, at the places that `records` names.

    Turns are three integers that the threads of a call share, 0 when it begins: which row comes
    next, how many are done, and how many are left to NumPy. Returns that when no row is left to
    take and, as a rule, all are done. Where there is one thread, all are 0 again at the end.
    """
    # By address: arrays that Python owns are counted at every use of a part of them.
    stride, width, asked, limit = call[STRIDE], call[WIDTH], call[ASKED], call[MOST_LISTED]
    edited, scratch = call[RAW_ROWS] != 0, call[SCRATCH:]
    wanted = asked == DESCRIBE
    instructions = carray(as_pointer(call[INSTRUCTIONS]), (call[INSTRUCTION_COUNT],), INSTRUCTION)
    sparse = carray(as_pointer(call[ENTRIES]), (call[ENTRY_COUNT],), SPARSE)
    plans = carray(as_pointer(call[PLANS]), (call[BATCH],), PLAN)
    outcomes = carray(as_pointer(call[OUTCOMES]), (call[BATCH],), ROW)
    top = carray(as_pointer(call[LIKELIEST]), (call[LIKELIEST_COUNT],), TOP)
    masks = carray(as_pointer(call[BITMASKS]), (call[BITMASK_COUNT], call[BITMASK_WORDS]), np.int32)
    tokens = carray(as_pointer(np.int64(token_ids.ctypes.data)), token_ids.shape, np.int32)
    doubles = carray(as_pointer(scratch[0]), (DOUBLES, scratch[4]), np.float64)
    integers = carray(as_pointer(scratch[1]), (INTEGERS, scratch[4]), np.int32)
    shadow = carray(as_pointer(scratch[2]), (scratch[5],), np.float64)
    turns = carray(as_pointer(call[TURNS]), (3,), np.int64)
    size = call[BATCH]
    out = carray(as_pointer(call[OUT]), (size * width,), np.float64)
    memory = Memory(doubles, integers, masks)
    state = carray(as_pointer(scratch[3]), (1,), STATE)[0]
    first_byte = np.int64(logits.ctypes.data)
    first_raw = call[RAW_ROWS] if edited else first_byte
    index = add_shared(turns, _NEXT, 1)
    while index < size:
        plan, outcome = plans[index], outcomes[index]
        raw_row = row_of(first_raw + index * stride, call[FORMAT], width, doubles[RAW_END])
        row, maxima = raw_row, RAW_MAX
        if edited:
            row = row_of(first_byte + index * stride, call[FORMAT], width, doubles[WORK_END])
            maxima = WORK_MAX
        sums = wanted and plan.raw != 0
        temperature = 0.0 if edited else _temperature_of_sums(plan, wanted, instructions)
        largest, found = _begin(row, raw_row, edited, sums, temperature, outcome, memory)
        if outcome.status == OK:
            step = Step(
                instructions, plan.last, sparse, tokens[index, : lengths[index]],
                prompt_lengths[index], width, limit, shadow, memory, state,
            )  # fmt: skip
            begin(step, row, maxima, largest)
            state.index = plan.first
            if not (edited or np.isnan(found.total)):
                _note_sums(found, temperature, state)
            run(step)
            if state.outcome == DONE and asked == EDIT:
                _write_row(step, out, index * width)
            elif state.outcome == DONE:
                total = found.total if plan.raw != 0 else np.nan
                raw = Raw(raw_row, doubles[RAW_MAX], found.largest, total)
                finish(raw, plan, wanted, outcome, top, step)
            elif state.outcome == EMPTIED:
                outcome.status = EMPTY_SUPPORT
                outcome.fault_position = state.index - plan.first
            else:
                outcome.status = LEFT_TO_NUMPY
        add_shared(turns, _LEFT, np.int64(outcome.status == LEFT_TO_NUMPY))
        add_shared(turns, _DONE, 1)
        index = add_shared(turns, _NEXT, 1)
    # Another thread's last row takes less time than a lock between the two.
    waits = 0
    while waits < _WAITS and add_shared(turns, _DONE, 0) < size:
        waits += 1
    left = turns[_LEFT]
    if call[THREADS] == 1:
        turns[:] = 0
    return left
