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
    mask_edited,
)
from decoding.kernels.compiled.candidates import bit_of
from decoding.kernels.compiled.jit import compiled, inlined
from decoding.kernels.compiled.passes import BLOCK, MASK, SLACK, blocks_of, is_wide
from decoding.kernels.compiled.scalars import trailing_zeros, value_at

_MOST = 1e30
"""Larger numbers are not added in float32."""
_ROUNDING = 1e-15


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
def _slack(masks: Any, top: Any) -> Any:
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
                top += _slack(masks, top)
        else:
            for token_id in range(start, min(start + BLOCK, row.width)):
                top = max(top, edited_at(row, token_id, masks, bitmasks))
        block_max[block] = top
        largest = max(largest, top)
    return largest


@compiled
def collect_edited(
    row: Any,
    masks: Any,
    bitmasks: Any,
    block_max: Any,
    temperature: Any,
    low: Any,
    limit: Any,
    slot: Any,
    ids: Any,
    logits: Any,
) -> Any:
    """`passes.collect` of the tokens with low ≤ z / T, z after the masks."""
    least = low * temperature
    if least > -np.inf:
        least -= abs(least) * _ROUNDING
    # Finite, so that what fills the last block up, −inf, is below it.
    least = max(least, -1.7976931348623157e308)
    one, other = bitmasks[max(masks.slot, 0)], bitmasks[max(masks.other_slot, 0)]
    count = 0
    for block in range(blocks_of(row)):
        if not block_max[block] >= least:
            continue
        for start in range(block * BLOCK, block * BLOCK + BLOCK, MASK):
            word = start // MASK
            if word >= len(one):
                break
            mask = mask_edited(
                row, start, one[word], other[word], masks.inside, masks.outside,
                masks.other_inside, masks.other_outside, least,
            )  # fmt: skip
            if count + MASK > limit:
                return -1
            while mask != 0:
                token_id = start + trailing_zeros(mask)
                mask = np.uint32(mask & np.uint32(mask - np.uint32(1)))
                logit = edited_at(row, token_id, masks, bitmasks) / temperature
                if logit >= low and logit > -np.inf and slot[token_id] == 0:
                    ids[count] = token_id
                    logits[count] = logit
                    count += 1
    return count


@compiled
def copy_edited_row(row: Any, masks: Any, bitmasks: Any, shadow: Any, block_max: Any) -> Any:
    """Copy a row into a shadow of whole blocks, after the masks; its block maxima are written."""
    one, other = bitmasks[max(masks.slot, 0)], bitmasks[max(masks.other_slot, 0)]
    for block in range(blocks_of(row)):
        start = block * BLOCK
        top = -np.inf
        if start + BLOCK <= MASK * len(one):
            top = copy_edited_block(
                row, start, start + BLOCK, one, other, masks.inside, masks.outside,
                masks.other_inside, masks.other_outside, shadow,
            )  # fmt: skip
        else:
            for token_id in range(start, start + BLOCK):
                logit = -np.inf
                if token_id < row.width:
                    logit = edited_at(row, token_id, masks, bitmasks)
                shadow[token_id] = logit
                top = max(top, logit)
        block_max[block] = top
