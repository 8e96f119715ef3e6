"""Runs the program of one row, with as few passes over the whole row as possible.

A row is either *dense*, the stored logits by a temperature but for the touched tokens, or
*compact*, a list of candidates. `run` stops where it needs the row to be a shadow, which may be
written to, and is called again with that shadow.
"""

from __future__ import annotations

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
from decoding.kernels.compiled.dense import (
    weigh_entries,
)
from decoding.kernels.compiled.draw import coin
from decoding.kernels.compiled.entropy import (
    entropy_of_sums,
    keep_top_h,
    sums_of_others,
    temperature_of,
    weigh_others,
)
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import (
    HISTOGRAM,
    IDS,
    KEYS,
    LOGITS,
    OCCURRENCES,
    PLACES,
    SEEN,
    TOUCHED,
    TOUCHED_IDS,
    VALUES,
    WEIGHTS,
)
from decoding.kernels.compiled.passes import (
    can_divide,
    count_between,
    divide_row,
    edit_row,
    lowest_finite,
    scan,
)
from decoding.kernels.compiled.repeats import repeats_of
from decoding.kernels.compiled.scopes import is_usual, walk, walk_candidates, walk_scope
from decoding.kernels.compiled.touched import (
    can_divide_touched,
    compact_by_bitmask,
    dense_max,
    flush,
    forget,
    make_shadow,
)
from decoding.kernels.compiled.truncation import (
    CUT,
    TOP_H,
    bound_of,
    has_bounds,
    truncate,
)
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


class State(NamedTuple):
    """Where a row stands between instructions.

    index: the next instruction. count: candidates of a compact row, else touched tokens.
    walked: whether the history's tokens are among the touched. temperature: what the stored logits
    of a dense row are divided by. weighed: the reference of the
    weights that a compact row has, NaN for none. The bounds say what a shadow is to
    keep, as in `passes.copy_row`.
    """

    outcome: Any
    index: Any
    compact: Any
    count: Any
    walked: Any
    temperature: Any
    low: Any
    high: Any
    last_tie: Any
    weighed: Any


@compiled
def _amounts(opcode: Any, first: Any) -> Any:
    """The arguments of `penalise` of one instruction."""
    return (
        first if opcode == REPETITION else 1.0,
        first if opcode == FREQUENCY else 0.0,
        first if opcode == PRESENCE else 0.0,
    )


@compiled
def run_compact(
    state: Any,
    opcode: Any,
    item: Any,
    sparse: Any,
    bitmasks: Any,
    history: Any,
    prompt_length: Any,
    vocab: Any,
    memory: Any,
) -> Any:
    """One instruction on a compact row; the number of candidates left.

    −1 where the numbers are beyond this arithmetic.
    """
    ids, logits, count, first = (
        memory.integers[IDS],
        memory.doubles[LOGITS],
        state.count,
        item.first,
    )
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
        count = keep_top_k(
            ids,
            logits,
            count,
            np.int64(first),
            item.second == 1.0,
            memory.doubles[KEYS],
            memory.doubles[VALUES],
        )
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
        count = keep_nearest(
            ids,
            logits,
            count,
            centre,
            np.inf,
            first * total,
            opcode == TYPICAL_P,
            memory.doubles[KEYS],
            memory.doubles[WEIGHTS],
            memory.doubles[VALUES],
            memory.integers[PLACES],
            memory.doubles[HISTOGRAM],
        )
    elif opcode == BITMASK:
        edit_by_bitmask(ids, logits, count, bitmasks[item.slot], 0.0, -np.inf)
        count = keep_possible(ids, logits, count)
    elif opcode == BITMASK_BIAS:
        edit_by_bitmask(ids, logits, count, bitmasks[item.slot], first, 0.0)
    elif opcode == LOGIT_BIAS:
        first_entry, last_entry = item.sparse_start, item.sparse_stop
        count = bias_candidates(sparse, first_entry, last_entry, vocab, memory, count)
    elif opcode in (NO_REPEAT_NGRAM, DRY):
        entries, found = repeats_of(item, sparse, history, prompt_length, vocab, memory)
        count = bias_candidates(entries, 0, found, vocab, memory, count)
    else:
        walk_candidates(item, sparse, history, prompt_length, vocab, memory, count)
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
def run(
    row: Any,
    tail: Any,
    block_max: Any,
    stored_max: Any,
    sums: Any,
    is_shadow: Any,
    stale: Any,
    shadow: Any,
    vocab: Any,
    instructions: Any,
    last: Any,
    sparse: Any,
    bitmasks: Any,
    history: Any,
    prompt_length: Any,
    state: Any,
    limit: Any,
    memory: Any,
) -> Any:
    """Run a row's instructions from `state.index` up to `last`.

    stored_max: the row's largest stored logit. sums: those of `weigh` relative to it, at scale 1.
    stale: whether the block maxima and `stored_max` are not those of the row; they are recomputed
    when they are needed.
    """
    index, compact, count = state.index, state.compact, state.count
    walked, temperature, weighed = state.walked, state.temperature, np.nan
    none, all_ids = -np.inf, np.int64(len(row))
    while index < last:
        item = instructions[index]
        opcode, first = item.opcode, item.first
        here = State(
            DONE, index, compact, count, walked, temperature, none, np.inf, all_ids, weighed
        )
        can_empty = False
        if opcode == XTC and coin(len(history), _XTC_COIN, item.seed) >= item.third:
            index += 1
            continue
        if compact:
            weighed = np.nan
            count = run_compact(
                here, opcode, item, sparse, bitmasks, history, prompt_length, vocab, memory
            )
            can_empty = count == 0
            if count < 0:
                return State(
                    BEYOND, index, True, 0, walked, temperature, none, np.inf, all_ids, weighed
                )
        elif opcode == TEMPERATURE:
            if not (can_divide(row, tail, first) and can_divide_touched(count, first, memory)):
                return State(
                    BEYOND, index, False, count, walked, temperature, none, np.inf, all_ids, weighed
                )
            if temperature != 1.0 and first != 1.0:
                # Dividing twice is not dividing by the product.
                if not is_shadow:
                    return State(
                        NEEDS_SHADOW,
                        index,
                        False,
                        count,
                        walked,
                        temperature,
                        none,
                        np.inf,
                        all_ids,
                        weighed,
                    )
                divide_row(shadow, block_max, temperature)
                stored_max, temperature = stored_max / temperature, 1.0
            temperature *= first
            for place in range(count):
                memory.doubles[TOUCHED][place] /= first
        elif opcode in (BITMASK, BITMASK_BIAS):
            if opcode == BITMASK:
                kept = compact_by_bitmask(
                    row, bitmasks[item.slot], temperature, count, min(limit, FEW), memory
                )
                if kept == 0:
                    return State(
                        EMPTIED, index, True, 0, False, temperature, none, np.inf, all_ids, weighed
                    )
                if kept > 0:
                    compact, count, walked, stale = True, kept, False, False
                    index += 1
                    continue
            if not is_shadow:
                return State(
                    NEEDS_SHADOW,
                    index,
                    False,
                    count,
                    walked,
                    temperature,
                    none,
                    np.inf,
                    all_ids,
                    weighed,
                )
            inside = first if opcode == BITMASK_BIAS else 0.0
            outside = 0.0 if opcode == BITMASK_BIAS else -np.inf
            bitmask = bitmasks[item.slot]
            if opcode == BITMASK_BIAS:
                divide_row(shadow, block_max, temperature)
                stored_max, temperature = stored_max / temperature, 1.0
            edit_row(shadow, bitmask, inside, outside)
            edit_by_bitmask(
                memory.integers[TOUCHED_IDS],
                memory.doubles[TOUCHED],
                count,
                bitmask,
                inside,
                outside,
            )
            stale = True
            can_empty = opcode == BITMASK
        elif opcode == LOGIT_BIAS:
            count, can_empty = bias_touched(
                row, sparse, item.sparse_start, item.sparse_stop, temperature, vocab, memory, count
            )
        elif opcode in (NO_REPEAT_NGRAM, DRY):
            entries, found = repeats_of(item, sparse, history, prompt_length, vocab, memory)
            count, can_empty = bias_touched(
                row, entries, 0, found, temperature, vocab, memory, count
            )
        elif opcode == LOGIT_SCALE:
            count = scale_touched(row, item, sparse, temperature, vocab, memory, count)
        elif opcode in (REPETITION, FREQUENCY, PRESENCE):
            usual = is_usual(item)
            if not usual:
                count = walk_scope(
                    row, item, sparse, history, prompt_length, vocab, temperature, memory, count
                )
            elif not walked:
                count = walk(row, history, prompt_length, vocab, temperature, memory, count)
                walked = True
            repetition, frequency, presence = _amounts(opcode, first)
            penalise(
                memory.doubles[TOUCHED],
                count,
                memory.integers[SEEN if usual else PLACES],
                memory.integers[OCCURRENCES if usual else PLACES],
                repetition,
                frequency,
                presence,
            )
        else:
            if count > 0 and opcode != TOP_K and not (opcode == CUT and first == 0.0):
                # Their sums are over the row as it stands.
                if not is_shadow:
                    return State(
                        NEEDS_SHADOW,
                        index,
                        False,
                        count,
                        walked,
                        temperature,
                        none,
                        np.inf,
                        all_ids,
                        weighed,
                    )
                if stale:
                    scan(row, tail, block_max)
                moderate, stored_max = flush(temperature, count, memory, shadow, block_max)
                temperature = 1.0
                if not moderate:
                    return State(
                        BEYOND, index, False, 0, False, temperature, none, np.inf, all_ids, weighed
                    )
                count, walked, stale = 0, False, False
            if stale:
                stored_max, stale = scan(row, tail, block_max), False
            largest = stored_max / temperature
            if count > 0:
                largest = dense_max(row, tail, block_max, temperature, count, memory)
            if opcode in (DYNAMIC, XTC):
                if opcode == XTC:
                    count = xtc_of_row(
                        row,
                        tail,
                        block_max,
                        largest,
                        sums,
                        temperature,
                        item,
                        sparse,
                        limit,
                        memory,
                    )
                else:
                    if temperature != 1.0:
                        # Dividing twice is not dividing by the product.
                        if not is_shadow:
                            return State(
                                NEEDS_SHADOW,
                                index,
                                False,
                                0,
                                walked,
                                temperature,
                                none,
                                np.inf,
                                all_ids,
                                weighed,
                            )
                        divide_row(shadow, block_max, temperature)
                        stored_max, temperature = largest, 1.0
                    rest, moment = sums_of_others(row, tail, block_max, temperature, memory)
                    alive = count_between(row, tail, lowest_finite(row), np.inf)
                    temperature = temperature_of(item, entropy_of_sums(rest, moment), alive)
                if count < 0 or not can_divide(row, tail, temperature):
                    return State(
                        BEYOND, index, False, 0, False, temperature, none, np.inf, all_ids, weighed
                    )
                index += 1
                continue
            here = State(
                DONE, index, False, count, walked, temperature, none, np.inf, all_ids, weighed
            )
            kept, low, high, last_tie = truncate(
                row, tail, block_max, largest, sums, opcode, item, sparse, here, limit, memory
            )
            if np.isnan(low):
                forget(memory, count)
                return State(
                    BEYOND, index, False, 0, walked, temperature, none, np.inf, all_ids, weighed
                )
            if kept < 0:
                # Where no bounds are known yet, those of the shadow will be: come again.
                after = index + 1 if has_bounds(row, count, temperature) else index
                if not is_shadow:
                    return State(
                        NEEDS_SHADOW,
                        after,
                        False,
                        count,
                        walked,
                        temperature,
                        low,
                        high,
                        last_tie,
                        weighed,
                    )
                here = State(
                    DONE, index, False, count, walked, temperature, low, high, last_tie, weighed
                )
                moderate, stored_max = make_shadow(row, tail, here, memory, shadow, block_max)
                temperature = 1.0
                if not moderate:
                    return State(
                        BEYOND, index, False, 0, False, temperature, none, np.inf, all_ids, weighed
                    )
                index, count, walked = after, 0, False
                continue
            forget(memory, count)
            compact, count, walked = True, kept, False
            if opcode in (TOP_P, TYPICAL_P):
                weighed = largest
        if can_empty and not compact:
            if stale:
                stored_max, stale = scan(row, tail, block_max), False
            largest = dense_max(row, tail, block_max, temperature, count, memory)
            can_empty = largest == -np.inf
        if can_empty:
            if not compact:
                forget(memory, count)
            return State(
                EMPTIED, index, compact, 0, walked, temperature, none, np.inf, all_ids, weighed
            )
        index += 1
    if stale:
        scan(row, tail, block_max)
    return State(DONE, index, compact, count, walked, temperature, none, np.inf, all_ids, weighed)
