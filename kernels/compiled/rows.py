"""Numba: runs the program of one row, with as few passes over the whole row as possible.

A row is either *dense*, the stored logits after at most two masks and by a temperature, but for
the touched tokens, or *compact*, a list of candidates. `run` stops where it needs the row to be a
shadow, which may be written to, and is called again with that shadow.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

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
    penalise,
)
from decoding.kernels.compiled.choices import (
    bias_candidates,
    bias_touched,
    keep_xtc,
    scale_candidates,
    scale_touched,
    xtc_of_row,
)
from decoding.kernels.compiled.dense import collect_reaching, weigh_entries
from decoding.kernels.compiled.draw import coin
from decoding.kernels.compiled.entropy import (
    entropy_of_sums,
    keep_top_h,
    sums_of_others,
    temperature_of,
    weigh_others,
)
from decoding.kernels.compiled.final import (
    can_window,
    count_ties,
    final_of,
    has_bounds,
    largest_final,
    window_of_ties,
)
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.masks import can_wait, no_masks, one_more, scan_edited
from decoding.kernels.compiled.memory import (
    IDS,
    LOGITS,
    OCCURRENCES,
    PLACES,
    SEEN,
    TOUCHED,
    TOUCHED_IDS,
    WEIGHTS,
    WORK_MAX,
)
from decoding.kernels.compiled.passes import (
    Window,
    can_divide,
    copy_row,
    count_between,
    divide_row,
    edit_row,
    everything,
    is_whole,
    lowest_finite,
    scan,
)
from decoding.kernels.compiled.repeats import repeats_of_candidates, repeats_of_row
from decoding.kernels.compiled.scopes import is_usual, walk, walk_candidates, walk_scope
from decoding.kernels.compiled.touched import (
    Dense,
    can_divide_touched,
    compact_by_bitmask,
    flush,
    forget,
    is_possible,
)
from decoding.kernels.compiled.truncation import CUT, TOP_H, bound_of, truncate
from decoding.kernels.program import NEEDS_DEVIATION, NEEDS_SQUARES, NEEDS_TOTAL, Opcode
from decoding.kernels.randomness import XTC_COIN

TEMPERATURE, TOP_K, TOP_P = int(Opcode.TEMPERATURE), int(Opcode.TOP_K), int(Opcode.TOP_P)
TYPICAL_P = int(Opcode.TYPICAL_P)
REPETITION, FREQUENCY = int(Opcode.REPETITION_PENALTY), int(Opcode.FREQUENCY_PENALTY)
PRESENCE, LOGIT_BIAS = int(Opcode.PRESENCE_PENALTY), int(Opcode.LOGIT_BIAS)
BITMASK, BITMASK_BIAS = int(Opcode.BITMASK), int(Opcode.BITMASK_BIAS)
DYNAMIC, XTC = int(Opcode.DYNAMIC_TEMPERATURE), int(Opcode.XTC)
LOGIT_SCALE = int(Opcode.LOGIT_SCALE)
NO_REPEAT_NGRAM, DRY = int(Opcode.NO_REPEAT_NGRAM), int(Opcode.DRY)

_XTC_COIN = np.uint64(XTC_COIN)

DONE, EMPTIED, NEEDS_SHADOW, BEYOND = 0, 1, 2, 3
"""How `run` ends; BEYOND: the row's numbers are outside what this arithmetic is made for."""

FEW = 2_048
"""A bitmask of so many tokens makes a row compact: from there on a pass over all costs less."""


class Sums(NamedTuple):
    """Σ w and Σ w · gap of a row as it is stored, if known."""

    known: Any
    total: Any
    moment: Any


class Source(NamedTuple):
    """The stored logits of a dense row, with their block maxima and sums.

    row: a `Row`. block_max: its block maxima. sums: those of `weigh` relative to its largest stored
    logit, at scale 1. is_shadow: whether it may be written to.
    """

    row: Any
    block_max: Any
    sums: Any
    is_shadow: Any


class Step(NamedTuple):
    """The program, history and memory of a row, which all its instructions share.

    last: where the row's instructions end. limit: the most candidates that are listed. shadow: an
    array for a whole row of float64; shadow_row: the same as a `Row`.
    """

    instructions: Any
    last: Any
    sparse: Any
    history: Any
    prompt_length: Any
    vocab: Any
    limit: Any
    shadow: Any
    shadow_row: Any
    memory: Any


class State(NamedTuple):
    """The state of a row between two instructions.

    index: the next instruction. count: candidates of a compact row, else touched tokens.
    walked: whether the history's tokens are among the touched. masks, temperature: see `Dense`.
    largest: of a dense row, before the temperature, touched tokens and window aside. stale: whether
    that and the block maxima are not those of the row; they are recomputed when they are needed.
    kept: the window of a dense row; see `final.has_bounds`.
    """

    outcome: Any
    index: Any
    compact: Any
    count: Any
    walked: Any
    masks: Any
    temperature: Any
    largest: Any
    stale: Any
    kept: Any


@compiled
def beginning(index: Any, largest: Any, vocab: Any) -> Any:
    """A dense row as it is stored, before an instruction."""
    return State(
        DONE, np.int64(index), False, np.int64(0), False, no_masks(), 1.0, largest, False,
        everything(vocab),
    )  # fmt: skip


@compiled
def candidates(state: Any, count: Any, vocab: Any) -> Any:
    """A compact row, after the instruction of `state`."""
    outcome = DONE if count > 0 else (EMPTIED if count == 0 else BEYOND)
    index = state.index + 1 if count > 0 else state.index
    count = max(np.int64(count), np.int64(0))
    return State(
        outcome, index, True, count, False, no_masks(), 1.0, -np.inf, False, everything(vocab)
    )


@compiled
def ended(state: Any, outcome: Any, count: Any) -> Any:
    """A row that an instruction ends; `count` touched tokens are to be forgotten."""
    return State(
        outcome, state.index, state.compact, np.int64(count), state.walked, state.masks,
        state.temperature, state.largest, state.stale, state.kept,
    )  # fmt: skip


@compiled
def edited(state: Any, count: Any, walked: Any) -> Any:
    """A dense row after an instruction that edited touched tokens."""
    return State(
        DONE, state.index + 1, False, np.int64(count), walked, state.masks, state.temperature,
        state.largest, state.stale, state.kept,
    )  # fmt: skip


@compiled
def rescaled(state: Any, temperature: Any, largest: Any) -> Any:
    """A dense row with another temperature, before its instruction."""
    return State(
        DONE, state.index, False, state.count, state.walked, state.masks, temperature, largest,
        state.stale, state.kept,
    )  # fmt: skip


@compiled
def _amounts(opcode: Any, first: Any) -> Any:
    """The arguments of `penalise` of one instruction."""
    return (
        first if opcode == REPETITION else 1.0,
        first if opcode == FREQUENCY else 0.0,
        first if opcode == PRESENCE else 0.0,
    )


@compiled
def run_compact(item: Any, count: Any, step: Any) -> Any:
    """One instruction on a compact row; the number of candidates left.

    −1 where the numbers are beyond this arithmetic.
    """
    memory, sparse, vocab = step.memory, step.sparse, step.vocab
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    opcode, first = item.opcode, item.first
    if opcode == TEMPERATURE:
        divide(logits, count, first)
    elif opcode == DYNAMIC:
        largest = largest_of(logits, count)
        rest, moment = weigh_others(logits, count, largest, memory.doubles[WEIGHTS])
        divide(logits, count, temperature_of(item, entropy_of_sums(rest, moment), count))
    elif opcode == TOP_H:
        count = keep_top_h(count, largest_of(logits, count), first, memory)
    elif opcode == XTC:
        count = keep_xtc(count, item, sparse, memory)
    elif opcode == LOGIT_SCALE:
        scale_candidates(item, sparse, vocab, memory, count)
    elif opcode == TOP_K:
        count = keep_top_k(count, np.int64(first), item.second == 1.0, memory)
    elif opcode == CUT:
        largest = largest_of(logits, count)
        total, moment, sigma, squares, needs = 1.0, 0.0, 0.0, 1.0, np.int64(first)
        if needs & NEEDS_DEVIATION:
            sigma = deviation_of(logits, count)
            if np.isnan(sigma):
                return -1
        if needs & (NEEDS_TOTAL | NEEDS_SQUARES):
            total, moment = weigh_entries(logits, count, largest, memory.doubles[WEIGHTS])
        if needs & NEEDS_SQUARES:
            squares = 0.0
            for place in range(count):
                squares += memory.doubles[WEIGHTS][place] ** 2
        bound = bound_of(item, sparse, largest, total, moment, sigma, squares)
        count = keep_at_least(ids, logits, count, bound)
    elif opcode in (TOP_P, TYPICAL_P):
        largest = largest_of(logits, count)
        total, moment = weigh_entries(logits, count, largest, memory.doubles[WEIGHTS])
        centre = largest if opcode == TOP_P else largest + moment / total
        count = keep_nearest(count, centre, first * total, opcode == TYPICAL_P, memory)
    elif opcode == BITMASK:
        edit_by_bitmask(ids, logits, count, memory.bitmasks[item.slot], 0.0, -np.inf)
        count = keep_possible(ids, logits, count)
    elif opcode == BITMASK_BIAS:
        edit_by_bitmask(ids, logits, count, memory.bitmasks[item.slot], first, 0.0)
    elif opcode == LOGIT_BIAS:
        first_entry, last_entry = item.sparse_start, item.sparse_stop
        count = bias_candidates(sparse, first_entry, last_entry, vocab, memory, count)
    elif opcode in (NO_REPEAT_NGRAM, DRY):
        count = repeats_of_candidates(
            item, sparse, step.history, step.prompt_length, vocab, memory, count
        )
    else:
        walk_candidates(item, sparse, step.history, step.prompt_length, vocab, memory, count)
        repetition, frequency, presence = _amounts(opcode, first)
        penalise(
            logits,
            count,
            memory.integers[PLACES],
            memory.integers[PLACES],
            repetition,
            frequency,
            presence,
        )
    return count


@compiled
def _dense(source: Any, state: Any) -> Any:
    return Dense(source.row, state.masks, state.temperature, np.inf)


@compiled
def _is_edited(state: Any) -> Any:
    """Whether a dense row has logits that are not stored ones by its temperature."""
    return state.count > 0 or state.masks.slot >= 0


@compiled
def _scanned(source: Any, state: Any, memory: Any) -> Any:
    """The state with block maxima that are those of the row."""
    if not state.stale:
        return state
    if state.masks.slot >= 0:
        # The stored row's own block maxima are still asked for.
        work_max = memory.doubles[WORK_MAX]
        largest = scan_edited(source.row, state.masks, memory.bitmasks, work_max)
    else:
        largest = scan(source.row, source.block_max)
    return State(
        DONE, state.index, False, state.count, state.walked, state.masks, state.temperature,
        largest, False, state.kept,
    )  # fmt: skip


@compiled
def _not_emptied(source: Any, before: Any, after: Any, memory: Any) -> Any:
    """The state after an edit that may have removed all tokens."""
    found = _scanned(source, after, memory)
    block_max = memory.doubles[WORK_MAX] if found.masks.slot >= 0 else source.block_max
    if is_possible(_dense(source, found), block_max, found.count, memory):
        return found
    forget(memory, found.count)
    return ended(before, EMPTIED, 0)


@compiled
def run_temperature(item: Any, source: Any, state: Any, step: Any) -> Any:
    """A temperature on a dense row."""
    memory, count, first = step.memory, state.count, item.first
    if not (can_divide(source.row, first) and can_divide_touched(count, first, memory)):
        return ended(state, BEYOND, count)
    if state.temperature != 1.0 and first != 1.0:
        # Dividing twice is not dividing by the product.
        if not source.is_shadow:
            return ended(state, NEEDS_SHADOW, count)
        divide_row(step.shadow, source.block_max, state.temperature)
        state = rescaled(state, 1.0, state.largest / state.temperature)
    for place in range(count):
        memory.doubles[TOUCHED][place] /= first
    kept = state.kept
    # What the window weighs is so no more.
    kept = Window(kept.low, kept.high, kept.last_tie, np.nan, np.nan, kept.support, kept.ties)
    return State(
        DONE, state.index + 1, False, count, state.walked, state.masks, state.temperature * first,
        state.largest, state.stale, kept,
    )  # fmt: skip


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
def run_bitmask(item: Any, source: Any, state: Any, step: Any) -> Any:
    """A mask, or a bias of the tokens in one, on a dense row."""
    memory, count = step.memory, state.count
    bitmask, is_mask = memory.bitmasks[item.slot], item.opcode == BITMASK
    inside, outside = 0.0, -np.inf
    if is_mask:
        dense, most = _dense(source, state), min(step.limit, FEW)
        kept = compact_by_bitmask(dense, bitmask, count, most, memory)
        if kept >= 0:
            return candidates(state, kept, step.vocab)
    else:
        inside, outside = item.first, 0.0
    masks = state.masks
    if not source.is_shadow:
        waits = state.temperature == 1.0 and can_wait(masks, inside)
        if not (waits and _reads_few(state.index, step)):
            return ended(state, NEEDS_SHADOW, count)
        masks = one_more(masks, item.slot, inside, outside)
    else:
        if not is_mask:
            divide_row(step.shadow, source.block_max, state.temperature)
            state = rescaled(state, 1.0, state.largest / state.temperature)
        edit_row(step.shadow, bitmask, inside, outside)
    touched_ids, touched = memory.integers[TOUCHED_IDS], memory.doubles[TOUCHED]
    edit_by_bitmask(touched_ids, touched, count, bitmask, inside, outside)
    after = State(
        DONE, state.index + 1, False, count, state.walked, masks, state.temperature, state.largest,
        True, state.kept,
    )  # fmt: skip
    return _not_emptied(source, state, after, memory) if is_mask else after


@compiled
def run_edit(item: Any, source: Any, state: Any, step: Any) -> Any:
    """An edit of few tokens of a dense row, which touches them."""
    memory, count, walked = step.memory, state.count, state.walked
    sparse, history, vocab = step.sparse, step.history, step.vocab
    opcode, dense, can_empty = item.opcode, _dense(source, state), False
    if opcode == LOGIT_BIAS:
        count, can_empty = bias_touched(
            dense, sparse, item.sparse_start, item.sparse_stop, vocab, memory, count
        )
    elif opcode in (NO_REPEAT_NGRAM, DRY):
        count, can_empty = repeats_of_row(
            dense, item, sparse, history, step.prompt_length, vocab, memory, count
        )
    elif opcode == LOGIT_SCALE:
        count = scale_touched(dense, item, sparse, vocab, memory, count)
    else:
        usual = is_usual(item)
        if not usual:
            count = walk_scope(
                dense, item, sparse, history, step.prompt_length, vocab, memory, count
            )
        elif not walked:
            count = walk(dense, history, step.prompt_length, vocab, memory, count)
            walked = True
        repetition, frequency, presence = _amounts(opcode, item.first)
        penalise(
            memory.doubles[TOUCHED],
            count,
            memory.integers[SEEN if usual else PLACES],
            memory.integers[OCCURRENCES if usual else PLACES],
            repetition,
            frequency,
            presence,
        )
    after = edited(state, count, walked)
    return _not_emptied(source, state, after, memory) if can_empty else after


@compiled
def _flushed(source: Any, state: Any, step: Any) -> Any:
    """A shadow that holds the final logit of every token; BEYOND where one is none."""
    state = _scanned(source, state, step.memory)
    moderate, largest = flush(
        source.row, state.temperature, state.count, step.memory, step.shadow, source.block_max
    )
    found = beginning(state.index, largest, step.vocab)
    return found if moderate else ended(found, BEYOND, 0)


@compiled
def _divided(source: Any, state: Any, largest: Any, step: Any) -> Any:
    """A shadow without touched tokens, at a temperature of 1."""
    divide_row(step.shadow, source.block_max, state.temperature)
    return rescaled(state, 1.0, largest)


@compiled
def run_statistics(item: Any, source: Any, state: Any, step: Any) -> Any:
    """A dynamic temperature, or XTC, on a dense row whose sums and touched tokens are in order."""
    memory, row, block_max = step.memory, source.row, source.block_max
    count, temperature = np.int64(0), state.temperature
    largest = state.largest / temperature
    if item.opcode == XTC:
        count = np.int64(
            xtc_of_row(
                _dense(source, state), block_max, largest, source.sums, item, step.sparse,
                step.limit, memory,
            )
        )  # fmt: skip
    else:
        if temperature != 1.0:
            # Dividing twice is not dividing by the product.
            if not source.is_shadow:
                return ended(state, NEEDS_SHADOW, 0)
            state, temperature = _divided(source, state, largest, step), 1.0
        rest, moment = sums_of_others(row, block_max, temperature, memory)
        alive = count_between(row, lowest_finite(row), np.inf)
        temperature = temperature_of(item, entropy_of_sums(rest, moment), alive)
    if count < 0 or not can_divide(row, temperature):
        return ended(state, BEYOND, max(count, 0))
    state = rescaled(state, temperature, state.largest)
    return edited(state, count, state.walked)


@compiled
def _is_last(index: Any, step: Any) -> Any:
    """Whether an instruction is followed by temperatures alone."""
    while index + 1 < step.last:
        index += 1
        if step.instructions[index].opcode != TEMPERATURE:
            return False
    return True


@compiled
def run_truncation(item: Any, source: Any, state: Any, step: Any) -> Any:
    """The first truncation of a dense row."""
    memory, count, dense = step.memory, state.count, _dense(source, state)
    largest = state.largest / state.temperature
    block_max = memory.doubles[WORK_MAX] if state.masks.slot >= 0 else source.block_max
    if item.opcode != TOP_K and _is_edited(state):
        final = final_of(dense, block_max, state.kept, count, memory)
        largest = largest_final(final, count, memory)
    kept, window = truncate(
        dense, block_max, largest, source.sums, item, step.sparse, count, step.limit,
        _is_last(state.index, step), memory,
    )  # fmt: skip
    if np.isnan(window.low):
        forget(memory, count)
        return ended(state, BEYOND, 0)
    if kept >= 0:
        forget(memory, count)
        return candidates(state, kept, step.vocab)
    if has_bounds(dense, count) or not is_whole(window):
        return State(
            DONE, state.index + 1, False, count, state.walked, state.masks, state.temperature,
            state.largest, state.stale, window,
        )  # fmt: skip
    # The bounds of the shadow will be known: come again.
    return _flushed(source, state, step) if source.is_shadow else ended(state, NEEDS_SHADOW, count)


@compiled
def _cut_window(item: Any, source: Any, state: Any, step: Any) -> Any:
    """Another truncation of a row of which only ties for the least and few others are left."""
    memory, window, opcode, count = step.memory, state.kept, item.opcode, state.count
    dense = _dense(source, state)
    block_max = memory.doubles[WORK_MAX] if state.masks.slot >= 0 else source.block_max
    tie = window.low if _is_edited(state) else window.low / state.temperature
    if (
        window.high < np.inf
        or not can_window(dense)
        or opcode not in (TOP_K, TOP_P, TYPICAL_P, CUT)
    ):
        return ended(state, NEEDS_SHADOW, count)
    most = min(step.limit, FEW)
    least, ties = np.nextafter(tie, np.inf), window.ties
    counted = tie if ties == 0 else least
    above = collect_reaching(dense, block_max, least, counted, most, count, memory)
    if above < 0 or (above > 0 and opcode not in (TOP_K, TOP_P)):
        return ended(state, NEEDS_SHADOW, count)
    above = np.int64(above)
    if opcode == TOP_K and above >= item.first:
        forget(memory, count)
        return candidates(state, run_compact(item, above, step), step.vocab)
    final = final_of(dense, block_max, window, count, memory)
    if ties == 0:
        ties = count_ties(final, tie, window.last_tie, memory)
    wanted = np.int64(ties)
    if opcode == TOP_K and item.second != 1.0:
        wanted = np.int64(min(item.first - above, wanted))
    elif opcode == TOP_P:
        logits, weights = memory.doubles[LOGITS], memory.doubles[WEIGHTS]
        largest = max(largest_of(logits, above), tie)
        total, _ = weigh_entries(logits, above, largest, weights)
        weight = math.exp(max(tie - largest, -700.0))
        rest = item.first * (total + weight * ties) - total
        if rest <= 0.0:
            kept = keep_nearest(above, largest, rest + total, False, memory)
            forget(memory, count)
            return candidates(state, kept, step.vocab)
        wanted = np.int64(min(max(math.ceil(rest / weight), 1.0), wanted))
    left = window_of_ties(final, tie, above, wanted, window.last_tie, ties, memory)
    return State(
        DONE, state.index + 1, False, count, state.walked, state.masks, state.temperature,
        state.largest, state.stale, left,
    )  # fmt: skip


@compiled
def _cut_shadow(source: Any, state: Any, step: Any) -> Any:
    """A shadow of which only the window is left."""
    window, is_edited = state.kept, _is_edited(state)
    if not is_edited:
        copy_row(source.row, window, 1.0, step.shadow, source.block_max)
    found = _flushed(source, state, step)
    if is_edited and found.outcome == DONE:
        copy_row(source.row, window, 1.0, step.shadow, source.block_max)
    return found


@compiled
def run(source: Any, state: Any, step: Any) -> Any:
    """Run a row's instructions from `state.index` on."""
    while state.index < step.last:
        item = step.instructions[state.index]
        opcode = item.opcode
        if opcode == XTC and coin(len(step.history), _XTC_COIN, item.seed) >= item.third:
            state = State(
                DONE, state.index + 1, state.compact, state.count, state.walked, state.masks,
                state.temperature, state.largest, state.stale, state.kept,
            )  # fmt: skip
        elif not is_whole(state.kept) and (
            opcode != TEMPERATURE or state.temperature != 1.0 or _is_edited(state)
        ):
            # What comes next looks at the row as it stands.
            cut = _cut_window(item, source, state, step)
            if cut.outcome == NEEDS_SHADOW and source.is_shadow:
                cut = _cut_shadow(source, state, step)
            state = cut
        elif state.compact:
            count = run_compact(item, state.count, step)
            state = candidates(state, count, step.vocab)
        elif opcode == TEMPERATURE:
            state = run_temperature(item, source, state, step)
        elif opcode in (BITMASK, BITMASK_BIAS):
            state = run_bitmask(item, source, state, step)
        elif opcode not in (TOP_K, TOP_P, TYPICAL_P, CUT, TOP_H, DYNAMIC, XTC):
            state = run_edit(item, source, state, step)
        else:
            if _is_edited(state) and opcode != TOP_K and not (opcode == CUT and item.first == 0.0):
                # Their sums are over the row as it stands.
                state = (
                    _flushed(source, state, step)
                    if source.is_shadow
                    else ended(state, NEEDS_SHADOW, state.count)
                )
            else:
                state = _scanned(source, state, step.memory)
            if state.outcome == DONE:
                if opcode in (DYNAMIC, XTC):
                    state = run_statistics(item, source, state, step)
                else:
                    state = run_truncation(item, source, state, step)
        if state.outcome != DONE:
            return state
    return state if state.compact else _scanned(source, state, step.memory)
