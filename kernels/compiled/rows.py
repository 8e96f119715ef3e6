"""Numba: runs the program of one row, with as few passes over the whole row as possible.

What a row is between two instructions: see `state`. Each function runs one instruction, changes the
state and moves on to the next, or says by `state.outcome` why it cannot.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.candidates import (
    deviation_of,
    divide,
    edit_by_bitmask,
    keep_at_least,
    keep_nearest,
    keep_possible,
    keep_top_k,
    largest_of,
    mark,
    penalise,
    unmark,
)
from decoding.kernels.compiled.choices import edit_named, run_xtc
from decoding.kernels.compiled.dense import collect_reaching, weigh_entries
from decoding.kernels.compiled.draw import coin
from decoding.kernels.compiled.entropy import (
    entropy_of_sums,
    keep_top_h,
    sums_of_others,
    temperature_of,
    weigh_others,
)
from decoding.kernels.compiled.final import bound_blocks, count_ties, keep_ties, write_shadow
from decoding.kernels.compiled.jit import compiled, owning
from decoding.kernels.compiled.masks import add_mask, can_wait, scan_edited
from decoding.kernels.compiled.memory import (
    IDS,
    LOGITS,
    OCCURRENCES,
    SLOT,
    TOUCHED,
    TOUCHED_IDS,
    WEIGHTS,
)
from decoding.kernels.compiled.passes import can_divide, count_between, lowest_finite
from decoding.kernels.compiled.repeats import add_repeats
from decoding.kernels.compiled.scopes import count_scope
from decoding.kernels.compiled.state import (
    BEYOND,
    DONE,
    EMPTIED,
    NEEDS_SHADOW,
    become_compact,
    can_divide_window,
    can_window,
    has_bounds,
    is_cut,
    is_edited,
    row_in,
)
from decoding.kernels.compiled.touched import (
    can_divide_touched,
    compact_by_bitmask,
    forget,
)
from decoding.kernels.compiled.truncation import CUT, TOP_H, bound_of, truncate
from decoding.kernels.program import NEEDS_DEVIATION, NEEDS_SQUARES, NEEDS_TOTAL, Opcode
from decoding.kernels.randomness import XTC_COIN

TEMPERATURE, TOP_K, TOP_P = int(Opcode.TEMPERATURE), int(Opcode.TOP_K), int(Opcode.TOP_P)
TYPICAL_P = int(Opcode.TYPICAL_P)
BITMASK, BITMASK_BIAS = int(Opcode.BITMASK), int(Opcode.BITMASK_BIAS)
DYNAMIC, XTC = int(Opcode.DYNAMIC_TEMPERATURE), int(Opcode.XTC)
LOGIT_BIAS, LOGIT_SCALE = int(Opcode.LOGIT_BIAS), int(Opcode.LOGIT_SCALE)
NO_REPEAT_NGRAM, DRY = int(Opcode.NO_REPEAT_NGRAM), int(Opcode.DRY)
REPETITION, FREQUENCY = int(Opcode.REPETITION_PENALTY), int(Opcode.FREQUENCY_PENALTY)
PRESENCE = int(Opcode.PRESENCE_PENALTY)

_XTC_COIN = np.uint64(XTC_COIN)

FEW = 2_048
"""A bitmask of so many tokens makes a row compact: from there on a pass over all costs less."""


@compiled
def _run_compact(item: Any, step: Any) -> Any:
    """One instruction, which is no edit of chosen tokens, on a compact row."""
    memory, count = step.memory, step.state.count
    ids, logits, weights = memory.integers[IDS], memory.doubles[LOGITS], memory.doubles[WEIGHTS]
    opcode, first, largest = item.opcode, item.first, largest_of(logits, count)
    if opcode == TEMPERATURE:
        divide(logits, count, first)
    elif opcode == DYNAMIC:
        rest, moment = weigh_others(logits, count, largest, weights)
        divide(logits, count, temperature_of(item, entropy_of_sums(rest, moment), count))
    elif opcode == TOP_H:
        count = keep_top_h(count, largest, first, memory)
    elif opcode == XTC:
        run_xtc(item, step)
        count = keep_possible(ids, logits, count)
    elif opcode == TOP_K:
        count = keep_top_k(count, np.int64(first), item.second == 1.0, memory)
    elif opcode == CUT:
        total, moment, sigma, squares, needs = 1.0, 0.0, 0.0, 1.0, np.int64(first)
        if needs & NEEDS_DEVIATION:
            sigma = deviation_of(logits, count)
        if needs & (NEEDS_TOTAL | NEEDS_SQUARES):
            total, moment = weigh_entries(logits, count, largest, weights)
        if needs & NEEDS_SQUARES:
            squares = 0.0
            for place in range(count):
                squares += weights[place] ** 2
        bound = bound_of(item, step.sparse, largest, total, moment, sigma, squares)
        count = -1 if np.isnan(sigma) else keep_at_least(ids, logits, count, bound)
    elif opcode in (TOP_P, TYPICAL_P):
        total, moment = weigh_entries(logits, count, largest, weights)
        centre = largest if opcode == TOP_P else largest + moment / total
        count = keep_nearest(count, centre, first * total, opcode == TYPICAL_P, memory)
    else:
        inside, outside = (0.0, -np.inf) if opcode == BITMASK else (first, 0.0)
        edit_by_bitmask(ids, logits, count, memory.bitmasks[item.slot], inside, outside)
        count = keep_possible(ids, logits, count)
    become_compact(step, count)


@compiled
def _scan(step: Any) -> Any:
    """Make the block maxima those of the row."""
    if step.state.stale:
        step.state.stale, step.state.largest = False, scan_edited(step)


@compiled
def _end_if_emptied(step: Any) -> Any:
    """End a dense row of which an edit has left no token."""
    _scan(step)
    state = step.state
    # More than are touched, or all that are possible.
    if (
        collect_reaching(step, step.memory.doubles[state.maxima], -np.inf, -np.inf, state.count)
        == 0
    ):
        forget(step)
        state.outcome = EMPTIED


@compiled
def _run_temperature(item: Any, step: Any) -> Any:
    """Run a temperature on a dense row: divide touched logits, note it for all others."""
    state, first = step.state, item.first
    if not (can_divide(row_in(step), first) and can_divide_touched(step, first)):
        state.outcome = BEYOND
    elif state.temperature != 1.0 and first != 1.0:
        # Dividing twice is not dividing by the product.
        state.outcome = NEEDS_SHADOW
    else:
        for place in range(state.count):
            step.memory.doubles[TOUCHED][place] /= first
        state.low, state.high = state.low / first, state.high / first
        state.temperature *= first
        # What is kept weighs something else now.
        state.kept_total, state.kept_moment = np.nan, np.nan
        state.index += 1


@compiled
def _reads_few(index: Any, step: Any) -> Any:
    """Whether the next truncation looks at few tokens, before anything looks at all of them."""
    while index < step.last:
        item = step.instructions[index]
        if item.opcode == TOP_K or item.opcode == CUT:
            return item.opcode == TOP_K or item.first == 0.0
        if item.opcode in (TOP_P, TYPICAL_P, TOP_H, DYNAMIC, XTC):
            return False
        index += 1
    return False


@compiled
def _run_bitmask(item: Any, step: Any) -> Any:
    """Run a bitmask, or a bias of the tokens in one, on a dense row."""
    state, memory = step.state, step.memory
    bitmask, is_mask = memory.bitmasks[item.slot], item.opcode == BITMASK
    if is_mask:
        kept = compact_by_bitmask(step, bitmask, min(step.limit, FEW))
        if kept >= 0:
            become_compact(step, kept)
            return
    bias = 0.0 if is_mask else item.first
    if not ((is_mask or state.temperature == 1.0) and can_wait(step, bias)):
        state.outcome = NEEDS_SHADOW
        return
    touched_ids, touched = memory.integers[TOUCHED_IDS], memory.doubles[TOUCHED]
    edit_by_bitmask(touched_ids, touched, state.count, bitmask, bias, -np.inf if is_mask else 0.0)
    add_mask(step, bitmask, bias, is_mask)
    if not _reads_few(state.index, step):
        write_shadow(step)
    elif is_mask:
        _end_if_emptied(step)
    state.index += state.outcome == DONE


@owning
def _run_edit(item: Any, step: Any) -> Any:
    """An edit of chosen tokens, which touches those of a dense row."""
    state, memory, opcode, bans = step.state, step.memory, item.opcode, False
    if state.compact:
        mark(memory.integers[SLOT], memory.integers[IDS], state.count)
    if opcode in (LOGIT_BIAS, LOGIT_SCALE):
        bans = edit_named(step, step.sparse, item.sparse_start, item.sparse_stop, item)
    elif opcode in (NO_REPEAT_NGRAM, DRY):
        bans = add_repeats(item, step)
    else:
        count_scope(item, step)
        occurrences = memory.integers[OCCURRENCES]
        logits = memory.doubles[LOGITS if state.compact else TOUCHED]
        penalise(opcode, item.first, logits, occurrences, state.count)
    if state.compact:
        unmark(memory.integers[SLOT], memory.integers[IDS], state.count)
        become_compact(
            step, keep_possible(memory.integers[IDS], memory.doubles[LOGITS], state.count)
        )
        return
    if bans:
        _end_if_emptied(step)
    state.index += state.outcome == DONE


@compiled
def _run_statistics(item: Any, step: Any) -> Any:
    """A dynamic temperature, or XTC, on a dense row without edits."""
    state, row = step.state, row_in(step)
    if item.opcode == XTC:
        if not run_xtc(item, step):
            state.outcome = BEYOND
    elif state.temperature != 1.0:
        # Dividing twice is not dividing by the product.
        state.outcome = NEEDS_SHADOW
    else:
        rest, moment = sums_of_others(step)
        alive = count_between(row, lowest_finite(row), np.inf)
        state.temperature = temperature_of(item, entropy_of_sums(rest, moment), alive)
        if not can_divide(row, state.temperature):
            state.outcome = BEYOND
    state.index += state.outcome == DONE


@compiled
def _is_last(index: Any, step: Any) -> Any:
    """Whether an instruction is followed by temperatures alone."""
    while index + 1 < step.last:
        index += 1
        if step.instructions[index].opcode != TEMPERATURE:
            return False
    return True


@compiled
def _run_truncation(item: Any, step: Any) -> Any:
    """Run the first truncation of a dense row: candidates, or a window of what stays."""
    state = step.state
    kept = truncate(item, step, _is_last(state.index, step))
    if state.outcome == BEYOND or np.isnan(state.low):
        state.outcome = BEYOND
    elif kept >= 0:
        forget(step)
        become_compact(step, kept)
    elif has_bounds(step) or is_cut(step):
        state.index += 1
    else:
        # The bounds of the shadow will be known: come again.
        state.outcome = NEEDS_SHADOW


@compiled
def _cut_window(item: Any, step: Any) -> Any:
    """Another truncation of a row of which only ties for the least and few others are left."""
    state, memory, opcode = step.state, step.memory, item.opcode
    tie, ties, last_tie = state.low, state.ties, state.last_tie
    state.outcome = NEEDS_SHADOW
    is_known = opcode in (TOP_K, TOP_P, TYPICAL_P, CUT)
    if not is_known or state.high < np.inf or not can_window(step):
        return
    most, least = min(step.limit, FEW), np.nextafter(tie, np.inf)
    above = collect_reaching(
        step, step.memory.doubles[step.state.maxima], least, tie if ties == 0 else least, most
    )
    if above < 0 or (above > 0 and opcode not in (TOP_K, TOP_P)):
        return
    state.outcome = DONE
    if opcode == TOP_K and above >= item.first:
        forget(step)
        become_compact(step, keep_top_k(above, np.int64(item.first), item.second == 1.0, memory))
        return
    bound_blocks(step)
    if ties == 0:
        ties = count_ties(step, tie, last_tie)
    wanted = ties
    if opcode == TOP_K and item.second != 1.0:
        wanted = np.int64(min(item.first - above, wanted))
    elif opcode == TOP_P:
        logits, weights = memory.doubles[LOGITS], memory.doubles[WEIGHTS]
        largest = max(largest_of(logits, above), tie)
        total, _ = weigh_entries(logits, above, largest, weights)
        weight = math.exp(max(tie - largest, -700.0))
        rest = item.first * (total + weight * ties) - total
        if rest <= 0.0:
            forget(step)
            become_compact(step, keep_nearest(above, largest, rest + total, False, memory))
            return
        wanted = np.int64(min(max(math.ceil(rest / weight), 1.0), wanted))
    keep_ties(step, tie, above, wanted, last_tie, ties)
    state.index += 1


@owning
def run(step: Any) -> Any:
    """Run a row's instructions from `state.index` on."""
    state = step.state
    while state.index < step.last and state.outcome == DONE:
        item = step.instructions[state.index]
        opcode = item.opcode
        is_mask = opcode in (BITMASK, BITMASK_BIAS)
        reads_sums = opcode in (TOP_P, TYPICAL_P, TOP_H, DYNAMIC, XTC) or (
            opcode == CUT and item.first != 0.0
        )
        if opcode == XTC and coin(len(step.history), _XTC_COIN, item.seed) >= item.third:
            state.index += 1
        elif is_cut(step) and (opcode != TEMPERATURE or not can_divide_window(step)):
            # What comes next looks at the row as it stands.
            _cut_window(item, step)
        elif opcode in (
            LOGIT_BIAS, LOGIT_SCALE, NO_REPEAT_NGRAM, DRY, REPETITION, FREQUENCY, PRESENCE
        ):  # fmt: skip
            _run_edit(item, step)
        elif state.compact:
            _run_compact(item, step)
        elif opcode == TEMPERATURE:
            _run_temperature(item, step)
        elif is_mask:
            _run_bitmask(item, step)
        elif reads_sums and is_edited(step):
            # Their sums are over the row as it stands.
            state.outcome = NEEDS_SHADOW
        else:
            _scan(step)
            if opcode in (DYNAMIC, XTC):
                _run_statistics(item, step)
            else:
                _run_truncation(item, step)
        if state.outcome == NEEDS_SHADOW:
            state.outcome = DONE
            write_shadow(step)
    if state.outcome == DONE and not state.compact:
        _scan(step)
    elif state.outcome != DONE:
        forget(step)
