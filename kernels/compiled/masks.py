"""Numba: bitmasks over the whole vocabulary, applied to a row's logits when they are first read.

A grammar's mask or a green list changes half of a row. Where the next truncation looks at few
tokens, writing all of that down would cost more than the truncation: the block maxima are taken of
the edited logits, in one pass that writes nothing, and only the tokens that are looked at are
edited exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from decoding.kernels.compiled.blocks import copy_edited_block, largest_edited_block, masks_edited
from decoding.kernels.compiled.candidates import bit_of
from decoding.kernels.compiled.jit import compiled, inlined
from decoding.kernels.compiled.memory import IDS, LOGITS, SLOT, TIES, WORK_MAX
from decoding.kernels.compiled.passes import (
    BLOCK,
    MASK,
    SLACK,
    blocks_of,
    is_hopeless,
    is_wide,
    smallest_at_least,
    wide_row,
)
from decoding.kernels.compiled.scalars import bit_count, trailing_zeros, value_at
from decoding.kernels.compiled.state import row_in


@inlined
def edited_at(step: Any, token_id: Any) -> Any:
    """One logit after the masks."""
    state, bitmasks, value = step.state, step.memory.bitmasks, value_at(row_in(step), token_id)
    if state.slot >= 0:
        value += state.inside if bit_of(bitmasks[state.slot], token_id) else state.outside
    if state.other_slot >= 0:
        is_in = bit_of(bitmasks[state.other_slot], token_id)
        value += state.other_inside if is_in else state.other_outside
    return value


@inlined
def _amounts(state: Any) -> Any:
    """What two masks add inside and outside; a second one that is not there adds nothing."""
    if state.other_slot < 0:
        return state.inside, state.outside, 0.0, 0.0
    return state.inside, state.outside, state.other_inside, state.other_outside


@inlined
def _bitmasks_in(step: Any) -> Any:
    """The words of both masks."""
    state, bitmasks = step.state, step.memory.bitmasks
    return bitmasks[max(state.slot, 0)], bitmasks[max(state.other_slot, 0)]


@compiled
def slack_of(step: Any, top: Any) -> Any:
    """More than what adding in float32 has made of a logit."""
    added = abs(top)
    for number in _amounts(step.state):
        if number > -np.inf:
            added += abs(number)
    return added * SLACK + 1e-37


@compiled
def scan_edited(step: Any) -> Any:
    """Bound every block's largest logit after the masks, a little above it at most.

    The bounds are the row's maxima from then on; returns the largest.
    """
    row, (one, other), amounts = row_in(step), _bitmasks_in(step), _amounts(step.state)
    step.state.maxima, largest = WORK_MAX, -np.inf
    block_max = step.memory.doubles[WORK_MAX]
    for block in range(blocks_of(row)):
        start = block * BLOCK
        top = -np.inf
        if start + BLOCK <= MASK * len(one):
            top = largest_edited_block(row, start, start + BLOCK, one, other, *amounts)
            if top > -np.inf and not is_wide(row):
                top += slack_of(step, top)
        else:
            for token_id in range(start, min(start + BLOCK, row.width)):
                top = max(top, edited_at(step, token_id))
        block_max[block] = top
        largest = max(largest, top)
    return largest


@compiled
def collect_edited(step: Any, block_max: Any, low: Any, tie: Any, limit: Any) -> Any:
    """`passes.collect` of the tokens with low ≤ z / T, z after the masks.

    How many tokens of a block, touched or not, have tie ≤ z / T < low is written into `TIES`, where
    some can be. The bound in `block_max` of a block without any that reaches `low` is lowered to
    what is below.
    """
    row, memory, temperature = row_in(step), step.memory, step.state.temperature
    slot, ids, logits = memory.integers[SLOT], memory.integers[IDS], memory.doubles[LOGITS]
    # Finite, so that what fills the last block up, −inf, is below it.
    wide, counts = wide_row(row), memory.doubles[TIES]
    least, floor = (
        smallest_at_least(wide, low, temperature),
        smallest_at_least(wide, tie, temperature),
    )
    (one, other), amounts = _bitmasks_in(step), _amounts(step.state)
    count = 0
    for block in range(blocks_of(row)):
        if floor < least:
            counts[block] = 0.0
        if not block_max[block] >= floor:
            continue
        if block <= 16 and is_hopeless(count, block * BLOCK, row, limit):
            return -1 - count
        before, below = count, 0
        for start in range(block * BLOCK, block * BLOCK + BLOCK, MASK):
            word = start // MASK
            if word >= len(one):
                break
            reaching, mask = masks_edited(
                row, start, one[word], other[word], *amounts, floor, least
            )
            below += bit_count(np.uint32(reaching ^ mask))
            if count + MASK > limit:
                return -1 - count
            while mask != 0:
                token_id = start + trailing_zeros(mask)
                mask = np.uint32(mask & np.uint32(mask - np.uint32(1)))
                if slot[token_id] == 0:
                    ids[count] = token_id
                    logits[count] = edited_at(step, token_id) / temperature
                    count += 1
        if floor < least:
            counts[block] = below
        if count == before:
            block_max[block] = np.nextafter(least, -np.inf)
    return count


@compiled
def copy_edited(step: Any, block: Any, out: Any) -> Any:
    """One block of a row after the masks into `out`, float64; its largest logit."""
    row, (one, other), start = row_in(step), _bitmasks_in(step), block * BLOCK
    if start + BLOCK <= MASK * len(one):
        amounts = _amounts(step.state)
        return copy_edited_block(row, start, start + BLOCK, one, other, *amounts, out)
    top = -np.inf
    for lane in range(BLOCK):
        logit = -np.inf
        if start + lane < row.width:
            logit = edited_at(step, start + lane)
        out[lane] = logit
        top = max(top, logit)
    return top
