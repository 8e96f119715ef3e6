"""Numba: reads a dense row's final logits by block, without a copy of it; counts ties.

A *final* logit is one that no temperature has to divide any more. A block with edited tokens is
written into a buffer when it is read, all others are read as they are stored. Tokens that tie for
the last place of a truncation are counted by block, not listed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.blocks import largest_value
from decoding.kernels.compiled.candidates import largest_of
from decoding.kernels.compiled.dense import weigh_entries
from decoding.kernels.compiled.formats import FLOAT64, Row
from decoding.kernels.compiled.jit import compiled, inlined
from decoding.kernels.compiled.masks import copy_edited
from decoding.kernels.compiled.memory import (
    FINAL_MAX,
    LINKS,
    LOGITS,
    PLACES,
    TIES,
    TOUCHED,
    TOUCHED_IDS,
    WEIGHTS,
    WORDS,
    WORK_END,
    WORK_MAX,
)
from decoding.kernels.compiled.passes import (
    BLOCK,
    blocks_of,
    copy_block,
    count_in_block,
    largest_of_blocks,
    lowest_finite,
    stored_bounds,
)
from decoding.kernels.compiled.scalars import address_of, row_of_doubles, value_at
from decoding.kernels.compiled.state import (
    BEYOND,
    EMPTIED,
    begin,
    is_cut,
    is_edited,
    is_flat,
    is_kept,
    row_in,
    window_of,
)
from decoding.kernels.compiled.touched import are_moderate, forget, logit_at, untouched_at


@compiled
def bound_blocks(step: Any) -> Any:
    """Bound each block's final logits, into `FINAL_MAX`; chain its touched tokens in `LINKS`.

    The first of a block's chain is in `WORDS`, as 1 + its place, 0 for none. `least` and `most`
    become the bounds of stored logits that are copied.
    """
    memory, state, block_max = step.memory, step.state, step.memory.doubles[step.state.maxima]
    first, links = memory.integers[WORDS], memory.integers[LINKS]
    bounds, blocks = memory.doubles[FINAL_MAX], blocks_of(state)
    state.least, state.most = lowest_finite(row_in(step)), np.inf
    if is_cut(step) and not is_edited(step):
        window = window_of(step)
        state.least, state.most = window.low, window.high
    for block in range(blocks):
        bounds[block] = block_max[block] / state.temperature
    for block in range(blocks if is_edited(step) else 0):
        first[block] = 0
    for place in range(state.count):
        block = memory.integers[TOUCHED_IDS][place] // BLOCK
        links[place] = first[block]
        first[block] = place + 1
        bounds[block] = max(bounds[block], memory.doubles[TOUCHED][place])


@compiled
def final_at(step: Any, token_id: Any) -> Any:
    """A final logit; −inf outside the window, and beyond the row."""
    if token_id >= step.vocab:
        return -np.inf
    logit = logit_at(step, token_id) if is_edited(step) else untouched_at(step, token_id)
    return logit if is_kept(step, logit, token_id) else -np.inf


@inlined
def is_edited_block(step: Any, block: Any) -> Any:
    """Whether a block is not as it is stored."""
    masked = step.state.masked
    return is_edited(step) and (masked or step.memory.integers[WORDS][block] != 0)


@compiled
def write_block(step: Any, block: Any, out: Any) -> Any:
    """The final logits of a block into `out`, of float64; the largest of them.

    out: may be the block itself, of a shadow. Needs `bound_blocks`.
    """
    state, start, place = step.state, block * BLOCK, np.int64(0)
    if state.masked:
        top = copy_edited(step, block, out) / state.temperature
        for lane in range(BLOCK if state.temperature != 1.0 else 0):
            out[lane] /= state.temperature
    else:
        top = copy_block(row_in(step), block, state.least, state.most, state.temperature, out)
    if state.count > 0:
        place = np.int64(step.memory.integers[WORDS][block])
    cuts = is_cut(step) and (is_edited(step) or state.last_tie < min(start + BLOCK, step.vocab) - 1)
    is_right = place == 0 and not cuts
    while place != 0:
        token_id = step.memory.integers[TOUCHED_IDS][place - 1]
        out[token_id - start] = step.memory.doubles[TOUCHED][place - 1]
        place = np.int64(step.memory.integers[LINKS][place - 1])
    low, high, last_lane = state.low, state.high, state.last_tie - start
    for lane in range(BLOCK if cuts else 0):
        # Without branches, so that it vectorises.
        kept = (out[lane] > low) | ((out[lane] == low) & (lane <= last_lane))
        out[lane] = out[lane] if kept & (out[lane] <= high) else -np.inf
    return top if is_right else largest_value(row_of_doubles(out), 0, BLOCK)


@compiled
def opened(step: Any, block: Any) -> Any:
    """Write one block's final logits to scratch; return a row of which only that block is valid."""
    out = step.memory.doubles[WORK_END][BLOCK : 2 * BLOCK]
    write_block(step, block, out)
    start, width = block * BLOCK, step.vocab
    address = address_of(out) - start * 8
    return Row(address, np.int64(FLOAT64), np.int64(width), start + BLOCK, address)


@compiled
def write_shadow(step: Any) -> Any:
    """Write what is left of a dense row into the shadow, which is the row from then on."""
    memory, moderate, largest = step.memory, are_moderate(step), -np.inf
    bound_blocks(step)
    for block in range(blocks_of(step.state)):
        top = write_block(step, block, step.shadow[block * BLOCK : block * BLOCK + BLOCK])
        memory.doubles[WORK_MAX][block] = top
        largest = max(largest, top)
    forget(step)
    address, whole = address_of(step.shadow), np.int64(len(step.shadow))
    shadow = Row(address, np.int64(FLOAT64), np.int64(step.vocab), whole, address)
    begin(step, shadow, WORK_MAX, largest)
    if not moderate:
        step.state.outcome = BEYOND
    elif largest == -np.inf:
        step.state.outcome = EMPTIED


@compiled
def largest_final(step: Any) -> Any:
    """The largest logit of a dense row that is not edited, or of whose largest some is kept."""
    bounds, blocks = step.memory.doubles[FINAL_MAX], blocks_of(step.state)
    if not is_edited(step):
        return largest_of_blocks(step.state, bounds)
    best, first = -np.inf, 0
    for place in range(step.state.count):
        best = max(best, step.memory.doubles[TOUCHED][place])
    for block in range(blocks):
        if bounds[block] > bounds[first]:
            first = block
    # The most promising block before the others, which need not be looked into as a rule.
    for turn in range(-1, blocks):
        block = first if turn < 0 else turn
        if bounds[block] > best:
            best = max(best, write_block(step, block, step.memory.doubles[WORK_END][BLOCK:]))
    return best


@compiled
def list_equal(step: Any, value: Any, block: Any, skipped: Any, room: Any, ids: Any) -> Any:
    """List tokens whose final logit is `value`, from a block on; how many, at most `room`.

    skipped: so many of the first are left out. Needs `bound_blocks`.
    """
    out, count = step.memory.doubles[WORK_END][BLOCK : 2 * BLOCK], 0
    for other in range(block, blocks_of(step.state)):
        if step.memory.doubles[FINAL_MAX][other] < value:
            continue
        write_block(step, other, out)
        for lane in range(BLOCK):
            if count < room and out[lane] == value:
                ids[count] = other * BLOCK + lane
                count += skipped <= 0
                skipped -= 1
        if count >= room:
            break
    return np.int64(count)


@compiled
def count_ties(step: Any, tie: Any, last_tie: Any) -> Any:
    """How many tokens up to `last_tie` have a final logit; those of each block go into `TIES`.

    Of a row with masks these are there already, by `collect_reaching`, touched tokens as they
    were.
    """
    memory, state, row = step.memory, step.state, row_in(step)
    counts, bounds, is_masked = memory.doubles[TIES], memory.doubles[FINAL_MAX], state.masked
    low, high = stored_bounds(row, tie, tie, state.temperature)
    blocks, flat = blocks_of(row), is_flat(step)
    equal, total = np.float64(BLOCK * (low <= value_at(row, 0) <= high)), np.int64(0)
    for block in range(blocks if flat and not is_masked else 0):
        counts[block] = equal
    if flat and not is_masked and equal > 0.0:
        counts[blocks - 1] = row.width - (blocks - 1) * BLOCK
    for block in range(0 if flat or is_masked else blocks):
        counts[block] = 0.0
        if bounds[block] >= tie:
            counts[block] = count_in_block(row, block * BLOCK, low, high)
    for place in range(state.count):
        touched_id = np.int64(memory.integers[TOUCHED_IDS][place])
        counts[touched_id // BLOCK] -= untouched_at(step, touched_id) == tie
        counts[touched_id // BLOCK] += memory.doubles[TOUCHED][place] == tie
    for block in range(min(blocks, last_tie // BLOCK + 1)):
        total += np.int64(counts[block])
    for token_id in range(last_tie + 1, min(last_tie // BLOCK * BLOCK + BLOCK, row.width)):
        total -= logit_at(step, token_id) == tie
    return np.int64(total)


@compiled
def keep_ties(step: Any, tie: Any, above: Any, wanted: Any, last_tie: Any, ties: Any) -> Any:
    """Keep the listed tokens, which are above a tie, and the first of those that tie.

    above: how many are listed. wanted: how many of the `ties` ties counted up to `last_tie` stay.
    """
    state, logits = step.state, step.memory.doubles[LOGITS]
    if wanted < ties:
        counts, found, block = step.memory.doubles[TIES], step.memory.integers[PLACES], 0
        before = counts[0]
        while before < wanted:
            block += 1
            before += counts[block]
        list_equal(step, tie, block, np.int64(wanted - 1 - (before - counts[block])), 1, found)
        last_tie = np.int64(found[0])
    largest = max(largest_of(logits, above), tie)
    total, moment = weigh_entries(logits, above, largest, step.memory.doubles[WEIGHTS])
    gap = tie - largest
    weight = wanted * math.exp(max(gap, -700.0))
    state.low, state.high = tie, np.inf
    state.last_tie, state.ties, state.support = last_tie, wanted, above + wanted
    state.kept_total, state.kept_moment = total + weight, moment + weight * gap
