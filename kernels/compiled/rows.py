"""One row: its program, instruction by instruction, touching the whole row as seldom as possible.

A row is either *dense*, the stored logits times `scale` but for the touched tokens, or *compact*,
a list of candidates. `run` stops where it needs the row to be a shadow, which may be written to,
and is called again with that shadow.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from decoding.kernels.compiled.candidates import (
    bit_of,
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
from decoding.kernels.compiled.blocks import as_real, value_at
from decoding.kernels.compiled.dense import (
    append_touched,
    collect_largest,
    collect_nearest,
    find_bounds,
    weigh_entries,
)
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import (
    BINS_OF_BLOCK,
    HISTOGRAM,
    IDS,
    KEYS,
    LOGITS,
    OCCURRENCES,
    PLACES,
    SEEN,
    SLOT,
    TOUCHED,
    TOUCHED_IDS,
    VALUES,
    WEIGHTS,
)
from decoding.kernels.compiled.passes import (
    BLOCK,
    block_count,
    collect,
    copy_row,
    edit_row,
    scan,
    weigh,
)
from decoding.kernels.program import Opcode

TEMPERATURE, TOP_K, TOP_P = int(Opcode.TEMPERATURE), int(Opcode.TOP_K), int(Opcode.TOP_P)
MIN_P, TYPICAL_P = int(Opcode.MIN_P), int(Opcode.TYPICAL_P)
REPETITION, FREQUENCY = int(Opcode.REPETITION_PENALTY), int(Opcode.FREQUENCY_PENALTY)
PRESENCE, LOGIT_BIAS = int(Opcode.PRESENCE_PENALTY), int(Opcode.LOGIT_BIAS)
BITMASK, BITMASK_BIAS = int(Opcode.BITMASK), int(Opcode.BITMASK_BIAS)

DONE, EMPTIED, NEEDS_SHADOW, BEYOND = 0, 1, 2, 3
"""How `run` ends; BEYOND: the row's numbers are outside what this arithmetic is made for."""


class Sums(NamedTuple):
    """Σ w and Σ w · gap of a row as it is stored, if known."""

    known: Any
    total: Any
    moment: Any


class State(NamedTuple):
    """Where a row stands between instructions.

    index: the next instruction. count: candidates of a compact row, else touched tokens.
    walked: whether the history's tokens are among the touched. weighed: the reference of the weights
    that a compact row has, NaN for none. The bounds say what a shadow is to
    keep, as in `passes.copy_row`.
    """

    outcome: Any
    index: Any
    compact: Any
    count: Any
    walked: Any
    scale: Any
    low: Any
    high: Any
    last_tie: Any
    weighed: Any


@compiled
def touch(row: Any, token_id: Any, scale: Any, memory: Any, count: Any) -> Any:
    """The token's place among the touched, and how many these are now."""
    slot = memory.integers[SLOT]
    if slot[token_id] != 0:
        return np.int64(slot[token_id]) - 1, count
    slot[token_id] = count + 1
    memory.integers[TOUCHED_IDS][count] = token_id
    memory.doubles[TOUCHED][count] = value_at(row, token_id) * scale
    memory.integers[SEEN][count] = 0
    memory.integers[OCCURRENCES][count] = 0
    return count, count + 1


@compiled
def walk(
    row: Any, history: Any, prompt_length: Any, vocab: Any, scale: Any, memory: Any, count: Any
) -> Any:
    """Touch every token of the history and note how often it was generated."""
    for index in range(len(history)):
        token_id = np.int64(history[index])
        if 0 <= token_id < vocab:
            place, count = touch(row, token_id, scale, memory, count)
            memory.integers[SEEN][place] = 1
            memory.integers[OCCURRENCES][place] += index >= prompt_length
    return count


@compiled
def walk_candidates(history: Any, prompt_length: Any, vocab: Any, memory: Any, count: Any) -> Any:
    """Note which candidates the history has, and how often they were generated."""
    mark(memory.integers[SLOT], memory.integers[IDS], count)
    seen, occurrences = memory.integers[SEEN], memory.integers[OCCURRENCES]
    for place in range(count):
        seen[place] = occurrences[place] = 0
    for index in range(len(history)):
        token_id = np.int64(history[index])
        if 0 <= token_id < vocab:
            place = memory.integers[SLOT][token_id] - 1
            if place >= 0:
                memory.integers[SEEN][place] = 1
                memory.integers[OCCURRENCES][place] += index >= prompt_length
    unmark(memory.integers[SLOT], memory.integers[IDS], count)


@compiled
def untouched_max(row: Any, tail: Any, block_max: Any, touched_count: Any, memory: Any) -> Any:
    """The largest stored logit of the tokens that are not touched; −inf if there are none."""
    blocks, size = block_count(row, tail), len(tail)
    left = memory.doubles[VALUES]
    for block in range(blocks):
        left[block] = block_max[block]
    best = -np.inf
    while True:
        chosen = 0
        for block in range(1, blocks):
            if left[block] > left[chosen]:
                chosen = block
        if not left[chosen] > best:
            return best
        left[chosen] = -np.inf
        if touched_count == 0:
            return block_max[chosen]
        for token_id in range(chosen * size, min(chosen * size + size, len(row))):
            value = value_at(row, token_id)
            if value > best and memory.integers[SLOT][token_id] == 0:
                best = value


@compiled
def dense_max(
    row: Any, tail: Any, block_max: Any, scale: Any, touched_count: Any, memory: Any
) -> Any:
    """The largest logit of a dense row."""
    best = untouched_max(row, tail, block_max, touched_count, memory) * scale
    for place in range(touched_count):
        best = max(best, memory.doubles[TOUCHED][place])
    return best


@compiled
def make_shadow(row: Any, tail: Any, state: Any, memory: Any, shadow: Any) -> Any:
    """Copy what stays of a row into its shadow, touched tokens as they are; forgets the touched."""
    copy_row(row, tail, state.low, state.high, state.last_tie, shadow)
    for place in range(state.count):
        token_id = memory.integers[TOUCHED_IDS][place]
        shadow[token_id] = memory.doubles[TOUCHED][place] / state.scale
        memory.integers[SLOT][token_id] = 0


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
    state: Any, opcode: Any, item: Any, sparse: Any, bitmasks: Any, history: Any,
    prompt_length: Any, vocab: Any, memory: Any,
) -> Any:  # fmt: skip
    """One instruction on a compact row; the number of candidates left."""
    ids, logits, count, first = memory.integers[IDS], memory.doubles[LOGITS], state.count, item.first
    if opcode == TEMPERATURE:
        divide(logits, count, first)
    elif opcode == TOP_K:
        count = keep_top_k(
            ids, logits, count, np.int64(first), item.second == 1.0, memory.doubles[KEYS], memory.doubles[VALUES]
        )
    elif opcode == MIN_P:
        count = keep_at_least(ids, logits, count, largest_of(logits, count) + math.log(first))
    elif opcode in (TOP_P, TYPICAL_P):
        largest = largest_of(logits, count)
        total, moment = weigh_entries(logits, count, largest, memory.doubles[WEIGHTS])
        centre = largest if opcode == TOP_P else largest + moment / total
        count = keep_nearest(
            ids, logits, count, centre, np.inf, first * total, opcode == TYPICAL_P,
            memory.doubles[KEYS], memory.doubles[WEIGHTS], memory.doubles[VALUES], memory.integers[PLACES], memory.doubles[HISTOGRAM],
        )  # fmt: skip
    elif opcode == BITMASK:
        edit_by_bitmask(ids, logits, count, bitmasks[item.slot], 0.0, -np.inf)
        count = keep_possible(ids, logits, count)
    elif opcode == BITMASK_BIAS:
        edit_by_bitmask(ids, logits, count, bitmasks[item.slot], first, 0.0)
    elif opcode == LOGIT_BIAS:
        mark(memory.integers[SLOT], ids, count)
        for entry in range(item.sparse_start, item.sparse_stop):
            token_id = sparse[entry].token_id
            if token_id < vocab and memory.integers[SLOT][token_id] != 0:
                logits[memory.integers[SLOT][token_id] - 1] += sparse[entry].value
        unmark(memory.integers[SLOT], ids, count)
        count = keep_possible(ids, logits, count)
    else:
        walk_candidates(history, prompt_length, vocab, memory, count)
        repetition, frequency, presence = _amounts(opcode, first)
        penalise(
            logits, count, memory.integers[SEEN], memory.integers[OCCURRENCES], repetition, frequency, presence
        )
    return count


@compiled
def truncate(
    row: Any, tail: Any, block_max: Any, largest: Any, sums: Any, opcode: Any, item: Any,
    state: Any, limit: Any, memory: Any,
) -> Any:  # fmt: skip
    """The first truncation of a dense row: candidates, or the bounds of a shadow.

    largest: the row's largest logit, not looked at for top-k. The row has no touched tokens but for
    top-k and min-p.
    """
    scale, touched, first = state.scale, state.count, item.first
    ids, logits, keys, weights = memory.integers[IDS], memory.doubles[LOGITS], memory.doubles[KEYS], memory.doubles[WEIGHTS]
    low, high, last_tie = -np.inf, np.inf, np.int64(len(row))
    if opcode == TOP_K:
        k = np.int64(min(first, np.float64(len(row))))
        count = collect_largest(
            row, tail, block_max, scale, k, limit, memory.integers[SLOT],
            memory.integers[TOUCHED_IDS], memory.doubles[TOUCHED], touched, ids, logits, memory.doubles[VALUES],
        )  # fmt: skip
        if count >= 0:
            count = keep_top_k(ids, logits, count, k, item.second == 1.0, keys, memory.doubles[VALUES])
        elif touched == 0:
            low, high, last_tie = find_bounds(
                row, tail, largest / scale, largest / scale, 0.0, np.float64(k), limit,
                item.second == 1.0, ids, logits, keys, weights, memory.doubles[VALUES], memory.integers[PLACES],
                memory.doubles[HISTOGRAM], memory.integers[BINS_OF_BLOCK][:BLOCK], memory.singles,
            )  # fmt: skip
    elif opcode == MIN_P:
        bound = largest + math.log(first)
        count = collect(
            row, tail, block_max, scale, bound, np.inf, limit, 1, memory.integers[SLOT], ids, logits, 0
        )
        if count >= 0:
            count = append_touched(
                memory.integers[TOUCHED_IDS], memory.doubles[TOUCHED], touched, bound, np.inf, ids, logits, count
            )
        elif touched == 0:
            low = smallest_at_least(row, tail, bound, scale)
    else:
        reference = largest / scale
        if sums.known and scale == 1.0:
            total, moment = sums.total, sums.moment
        else:
            total, moment = weigh(row, tail, reference, scale)
        centre = largest if opcode == TOP_P else largest + moment / total
        count, reach = collect_nearest(
            row, tail, block_max, scale, largest, total, centre, first, limit,
            memory.integers[SLOT], ids, logits, weights, memory.doubles[VALUES], memory.doubles[HISTOGRAM],
        )  # fmt: skip
        if count >= 0:
            count = keep_nearest(
                ids, logits, count, centre, reach, first * total, opcode == TYPICAL_P,
                keys, weights, memory.doubles[VALUES], memory.integers[PLACES], memory.doubles[HISTOGRAM],
            )  # fmt: skip
        else:
            low, high, last_tie = find_bounds(
                row, tail, centre / scale, reference, scale, first * total, limit,
                opcode == TYPICAL_P, ids, logits, keys, weights, memory.doubles[VALUES], memory.integers[PLACES],
                memory.doubles[HISTOGRAM], memory.integers[BINS_OF_BLOCK][:BLOCK], memory.singles,
            )  # fmt: skip
    return count, low, high, last_tie


@compiled
def smallest_at_least(row: Any, tail: Any, bound: Any, scale: Any) -> Any:
    """A number of the row's precision that separates z · scale ≥ bound from the rest."""
    low = np.float64(as_real(row, bound / scale))
    while low * scale >= bound:
        low = np.float64(np.nextafter(as_real(row, low), as_real(row, -np.inf)))
    while low * scale < bound:
        low = np.float64(np.nextafter(as_real(row, low), as_real(row, np.inf)))
    return low


@compiled
def run(
    row: Any, tail: Any, block_max: Any, stored_max: Any, sums: Any, is_shadow: Any, shadow: Any,
    vocab: Any, instructions: Any, last: Any, sparse: Any, bitmasks: Any, history: Any,
    prompt_length: Any, state: Any, limit: Any, memory: Any,
) -> Any:  # fmt: skip
    """Run a row's instructions from `state.index` up to `last`.

    stored_max: the row's largest stored logit; sums: those of `weigh` relative to it, at scale 1. A shadow's block maxima are recomputed when they are
    needed after the shadow has changed; so are they after `make_shadow`, that is, at the start.
    """
    index, compact, count = state.index, state.compact, state.count
    walked, scale, stale, weighed = state.walked, state.scale, is_shadow, np.nan
    none, all_ids = -np.inf, np.int64(len(row))
    while index < last:
        item = instructions[index]
        opcode, first = item.opcode, item.first
        here = State(DONE, index, compact, count, walked, scale, none, np.inf, all_ids, weighed)
        can_empty = False
        if compact:
            weighed = np.nan
            count = run_compact(
                here, opcode, item, sparse, bitmasks, history, prompt_length, vocab, memory
            )
            can_empty = count == 0
        elif opcode == TEMPERATURE:
            scale /= first
            if not 1e-18 < scale < 1e18:
                return State(BEYOND, index, compact, count, walked, scale, none, np.inf, all_ids, weighed)
            for place in range(count):
                memory.doubles[TOUCHED][place] /= first
        elif opcode in (BITMASK, BITMASK_BIAS):
            if not is_shadow:
                return State(
                    NEEDS_SHADOW, index, False, count, walked, scale, none, np.inf, all_ids, weighed
                )
            inside = first if opcode == BITMASK_BIAS else 0.0
            outside = 0.0 if opcode == BITMASK_BIAS else -np.inf
            bitmask = bitmasks[item.slot]
            edit_row(row, bitmask, inside / scale, outside)
            edit_by_bitmask(memory.integers[TOUCHED_IDS], memory.doubles[TOUCHED], count, bitmask, inside, outside)
            stale = True
            can_empty = opcode == BITMASK
        elif opcode == LOGIT_BIAS:
            for entry in range(item.sparse_start, item.sparse_stop):
                token_id = sparse[entry].token_id
                if token_id < vocab:
                    place, count = touch(row, token_id, scale, memory, count)
                    memory.doubles[TOUCHED][place] += sparse[entry].value
                    can_empty |= sparse[entry].value == -np.inf
        elif opcode in (REPETITION, FREQUENCY, PRESENCE):
            if not walked:
                count = walk(row, history, prompt_length, vocab, scale, memory, count)
                walked = True
            repetition, frequency, presence = _amounts(opcode, first)
            penalise(
                memory.doubles[TOUCHED], count, memory.integers[SEEN], memory.integers[OCCURRENCES],
                repetition, frequency, presence,
            )  # fmt: skip
        else:
            if count > 0 and opcode in (TOP_P, TYPICAL_P):
                # Their sums are over the row as it stands.
                if not is_shadow:
                    return State(
                        NEEDS_SHADOW, index, False, count, walked, scale, none, np.inf, all_ids, weighed
                    )
                make_shadow(row, tail, here, memory, shadow)
                count, walked, stale = 0, False, True
            if stale:
                stored_max, stale = scan(row, tail, block_max), False
            largest = stored_max * scale
            if count > 0:
                largest = dense_max(row, tail, block_max, scale, count, memory)
            here = State(DONE, index, False, count, walked, scale, none, np.inf, all_ids, weighed)
            kept, low, high, last_tie = truncate(
                row, tail, block_max, largest, sums, opcode, item, here, limit, memory
            )
            if kept < 0:
                # With touched tokens the bounds are not known yet: flush these, and come again.
                after = index + 1 if count == 0 else index
                if not is_shadow:
                    return State(
                        NEEDS_SHADOW, after, False, count, walked, scale, low, high, last_tie, weighed
                    )
                here = State(DONE, index, False, count, walked, scale, low, high, last_tie, weighed)
                make_shadow(row, tail, here, memory, shadow)
                index, count, walked, stale = after, 0, False, True
                continue
            forget(memory, count)
            compact, count, walked = True, kept, False
            if opcode in (TOP_P, TYPICAL_P):
                weighed = largest
        if can_empty and not compact:
            if stale:
                stored_max, stale = scan(row, tail, block_max), False
            can_empty = dense_max(row, tail, block_max, scale, count, memory) == -np.inf
        if can_empty:
            if not compact:
                forget(memory, count)
            return State(EMPTIED, index, compact, 0, walked, scale, none, np.inf, all_ids, weighed)
        index += 1
    if stale:
        scan(row, tail, block_max)
    return State(DONE, index, compact, count, walked, scale, none, np.inf, all_ids, weighed)


@compiled
def forget(memory: Any, touched_count: Any) -> Any:
    """Wipe the slots of the touched tokens."""
    unmark(memory.integers[SLOT], memory.integers[TOUCHED_IDS], touched_count)
