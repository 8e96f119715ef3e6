"""Numba: bitmasks over the whole vocabulary, applied to a row's logits when they are first read.

A grammar's mask or a green list changes half of a row. Where the next truncation looks at few
tokens, writing all of that down would cost more than the truncation: the block maxima are taken of
the edited logits, in one pass that writes nothing, and only the tokens that are looked at are
edited exactly.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from decoding.kernels.compiled.blocks import (
    copy_edited_block,
    largest_edited_block,
    masks_edited,
)
from decoding.kernels.compiled.candidates import bit_of
from decoding.kernels.compiled.jit import compiled, inlined
from decoding.kernels.compiled.memory import IDS, LOGITS, SLOT, TIES
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

_MOST = 1e30
"""Larger numbers are not added in float32."""


class Masks(NamedTuple):
    """The numbers added to stored logits by two bitmasks, one after the other.

    slot: −1 for none. inside, outside: what is added to tokens in it and to the others.
    """

    slot: Any
    inside: Any
    outside: Any
    other_slot: Any
    other_inside: Any
    other_outside: Any


@compiled
def no_masks() -> Any:
    """Nothing is added."""
    return Masks(np.int64(-1), 0.0, 0.0, np.int64(-1), 0.0, 0.0)


@compiled
def can_wait(masks: Any, inside: Any) -> Any:
    """Whether one more mask, which adds `inside` or bans, can be among those waited for."""
    return masks.other_slot < 0 and abs(inside) < _MOST


@compiled
def one_more(masks: Any, slot: Any, inside: Any, outside: Any) -> Any:
    """The masks and another."""
    if masks.slot < 0:
        return Masks(np.int64(slot), inside, outside, np.int64(-1), 0.0, 0.0)
    return Masks(masks.slot, masks.inside, masks.outside, np.int64(slot), inside, outside)


@inlined
def _with_masks(value: Any, token_id: Any, masks: Any, bitmasks: Any) -> Any:
    """A logit after the masks."""
    if masks.slot >= 0:
        value += masks.inside if bit_of(bitmasks[masks.slot], token_id) else masks.outside
    if masks.other_slot >= 0:
        value += (
            masks.other_inside
            if bit_of(bitmasks[masks.other_slot], token_id)
            else masks.other_outside
        )
    return value


@inlined
def edited_at(row: Any, token_id: Any, masks: Any, bitmasks: Any) -> Any:
    """One logit after the masks."""
    return _with_masks(value_at(row, token_id), token_id, masks, bitmasks)


@compiled
def slack_of(masks: Any, top: Any) -> Any:
    """More than what adding in float32 has made of a logit."""
    added = abs(top)
    for number in (masks.inside, masks.outside, masks.other_inside, masks.other_outside):
        if number > -np.inf:
            added += abs(number)
    return added * SLACK + 1e-37


@compiled
def scan_edited(row: Any, masks: Any, bitmasks: Any, block_max: Any) -> Any:
    """A bound of every block's largest logit after the masks, a little above it at most.

    Returns the largest bound.
    """
    one, other = bitmasks[max(masks.slot, 0)], bitmasks[max(masks.other_slot, 0)]
    largest = -np.inf
    for block in range(blocks_of(row)):
        start = block * BLOCK
        top = -np.inf
        if start + BLOCK <= MASK * len(one):
            top = largest_edited_block(
                row, start, start + BLOCK, one, other, masks.inside, masks.outside,
                masks.other_inside, masks.other_outside,
            )  # fmt: skip
            if top > -np.inf and not is_wide(row):
                top += slack_of(masks, top)
        else:
            for token_id in range(start, min(start + BLOCK, row.width)):
                top = max(top, edited_at(row, token_id, masks, bitmasks))
        block_max[block] = top
        largest = max(largest, top)
    return largest


@compiled
def collect_edited(dense: Any, block_max: Any, low: Any, tie: Any, limit: Any, memory: Any) -> Any:
    """`passes.collect` of the tokens with low ≤ z / T, z after the masks.

    How many tokens of a block, touched or not, have tie ≤ z / T < low is written into `TIES`, where
    some can be. The
    bound in `block_max` of a block without any that reaches `low` is lowered to what is below.
    """
    row, masks, bitmasks, temperature = dense.row, dense.masks, memory.bitmasks, dense.temperature
    slot, ids, logits = memory.integers[SLOT], memory.integers[IDS], memory.doubles[LOGITS]
    # Finite, so that what fills the last block up, −inf, is below it.
    wide, counts = wide_row(row), memory.doubles[TIES]
    least, floor = (
        smallest_at_least(wide, low, temperature),
        smallest_at_least(wide, tie, temperature),
    )
    one, other = bitmasks[max(masks.slot, 0)], bitmasks[max(masks.other_slot, 0)]
    count = 0
    for block in range(blocks_of(row)):
        if floor < least:
            counts[block] = 0.0
        if not block_max[block] >= floor:
            continue
        if block <= 16 and is_hopeless(count, block * BLOCK, row, 1, limit):
            return -1 - count
        before, below = count, 0
        for start in range(block * BLOCK, block * BLOCK + BLOCK, MASK):
            word = start // MASK
            if word >= len(one):
                break
            reaching, mask = masks_edited(
                row, start, one[word], other[word], masks.inside, masks.outside,
                masks.other_inside, masks.other_outside, floor, least,
            )  # fmt: skip
            below += bit_count(np.uint32(reaching ^ mask))
            if count + MASK > limit:
                return -1 - count
            while mask != 0:
                token_id = start + trailing_zeros(mask)
                mask = np.uint32(mask & np.uint32(mask - np.uint32(1)))
                if slot[token_id] == 0:
                    ids[count] = token_id
                    logits[count] = edited_at(row, token_id, masks, bitmasks) / temperature
                    count += 1
        if floor < least:
            counts[block] = below
        if count == before:
            block_max[block] = np.nextafter(least, -np.inf)
    return count


@compiled
def copy_edited(row: Any, block: Any, masks: Any, bitmasks: Any, out: Any) -> Any:
    """One block of a row after the masks into `out`, float64; its largest logit."""
    one, other = bitmasks[max(masks.slot, 0)], bitmasks[max(masks.other_slot, 0)]
    start = block * BLOCK
    if start + BLOCK <= MASK * len(one):
        return copy_edited_block(
            row, start, start + BLOCK, one, other, masks.inside, masks.outside,
            masks.other_inside, masks.other_outside, out,
        )  # fmt: skip
    top = -np.inf
    for lane in range(BLOCK):
        logit = -np.inf
        if start + lane < row.width:
            logit = edited_at(row, start + lane, masks, bitmasks)
        out[lane] = logit
        top = max(top, logit)
    return top
