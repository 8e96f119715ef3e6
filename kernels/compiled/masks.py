"""Numba: applies at most one bias and any number of bans to a row's logits when they are read.

A grammar's mask or a green list changes half of a row. Where the next truncation looks at few
tokens, writing all of that down would cost more than the truncation: the block maxima are taken of
the edited logits, in one pass that writes nothing, and only the tokens that are looked at are
edited exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from decoding.kernels.compiled.blocks import (
    copy_edited_block,
    largest_edited_block,
    largest_of_equal,
)
from decoding.kernels.compiled.candidates import bit_of
from decoding.kernels.compiled.jit import compiled, inlined
from decoding.kernels.compiled.memory import ALLOWED, BIASED, WORK_MAX
from decoding.kernels.compiled.passes import (
    BLOCK,
    MASK,
    SLACK,
    blocks_of,
    is_wide,
    largest_of_blocks,
)
from decoding.kernels.compiled.scalars import value_at
from decoding.kernels.compiled.state import equal_blocks, row_in

_MOST_ADDED = 1e30
"""Larger numbers are not added in float32."""


@compiled
def can_wait(step: Any, bias: Any) -> Any:
    """Whether `add_mask` can take one more bias; 0, as of a ban, always."""
    fits = abs(bias) < _MOST_ADDED or is_wide(row_in(step))
    return bias == 0.0 or (step.state.bias == 0.0 and fits)


@compiled
def add_mask(step: Any, bitmask: Any, bias: Any, bans: Any) -> Any:
    """From now on, add a bias to the tokens of a bitmask, or ban all others.

    The bitmask is copied, up to a whole number of blocks; beyond its end there are no tokens.
    """
    state, integers = step.state, step.memory.integers
    allowed, biased = integers[ALLOWED], integers[BIASED]
    words = blocks_of(state) * (BLOCK // MASK)
    if not state.masked:
        for index in range(words):
            allowed[index] = -1
    for index in range(words):
        word = bitmask[index] if index < len(bitmask) else np.int32(0)
        if bans:
            allowed[index] &= word
        elif bias != 0.0:
            biased[index] = word
    if bias != 0.0:
        state.bias = bias
    state.masked, state.stale = True, True


@inlined
def edited_at(step: Any, token_id: Any) -> Any:
    """One logit after the masks."""
    state, integers, value = step.state, step.memory.integers, value_at(row_in(step), token_id)
    if state.masked:
        if not bit_of(integers[ALLOWED], token_id):
            return -np.inf
        if bit_of(integers[BIASED], token_id):
            value += state.bias
    return value


@compiled
def slack_of(step: Any, top: Any) -> Any:
    """More than what adding in float32 has made of a logit."""
    return (abs(top) + abs(step.state.bias)) * SLACK + 1e-37


@compiled
def scan_edited(step: Any) -> Any:
    """Bound every block's largest logit after the masks, a little above it at most.

    The bounds are the row's maxima from then on; returns the largest.
    """
    row, integers, bias = row_in(step), step.memory.integers, step.state.bias
    step.state.maxima = WORK_MAX
    block_max, biased, allowed = step.memory.doubles[WORK_MAX], integers[BIASED], integers[ALLOWED]
    equal, logit = equal_blocks(step), value_at(row, 0)
    for block in range(equal):
        block_max[block] = largest_of_equal(block * BLOCK, biased, allowed, logit + bias, logit)
    for block in range(equal, blocks_of(row)):
        start = block * BLOCK
        top = largest_edited_block(row, start, start + BLOCK, biased, allowed, bias)
        block_max[block] = top
    # Apart, so that it vectorises.
    for block in range(blocks_of(row)):
        top = block_max[block]
        block_max[block] = top if is_wide(row) or top == -np.inf else top + slack_of(step, top)
    return largest_of_blocks(row, block_max)


@compiled
def copy_edited(step: Any, block: Any, out: Any) -> Any:
    """One block of a row after the masks into `out`, float64; its largest logit."""
    integers, start = step.memory.integers, block * BLOCK
    masks = integers[BIASED], integers[ALLOWED]
    return copy_edited_block(row_in(step), start, start + BLOCK, *masks, step.state.bias, out)
