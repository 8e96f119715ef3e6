"""Numba: applies at most two vocabulary bitmasks to a row's logits when they are read.

A grammar's mask or a green list changes half of a row. Where the next truncation looks at few
tokens, writing all of that down would cost more than the truncation: the block maxima are taken of
the edited logits, in one pass that writes nothing, and only the tokens that are looked at are
edited exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from decoding.kernels.compiled.blocks import copy_edited_block, largest_edited_block
from decoding.kernels.compiled.candidates import bit_of
from decoding.kernels.compiled.jit import compiled, inlined
from decoding.kernels.compiled.memory import WORK_MAX
from decoding.kernels.compiled.passes import BLOCK, MASK, SLACK, blocks_of, is_wide
from decoding.kernels.compiled.scalars import value_at
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
def amounts_of(state: Any) -> Any:
    """What two masks add inside and outside; a second one that is not there adds nothing."""
    if state.other_slot < 0:
        return state.inside, state.outside, 0.0, 0.0
    return state.inside, state.outside, state.other_inside, state.other_outside


@inlined
def bitmasks_in(step: Any) -> Any:
    """The words of both masks."""
    state, bitmasks = step.state, step.memory.bitmasks
    return bitmasks[max(state.slot, 0)], bitmasks[max(state.other_slot, 0)]


@compiled
def slack_of(step: Any, top: Any) -> Any:
    """More than what adding in float32 has made of a logit."""
    added = abs(top)
    for number in amounts_of(step.state):
        if number > -np.inf:
            added += abs(number)
    return added * SLACK + 1e-37


@compiled
def scan_edited(step: Any) -> Any:
    """Bound every block's largest logit after the masks, a little above it at most.

    The bounds are the row's maxima from then on; returns the largest.
    """
    row, (one, other), amounts = row_in(step), bitmasks_in(step), amounts_of(step.state)
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
def copy_edited(step: Any, block: Any, out: Any) -> Any:
    """One block of a row after the masks into `out`, float64; its largest logit."""
    row, (one, other), start = row_in(step), bitmasks_in(step), block * BLOCK
    if start + BLOCK <= MASK * len(one):
        amounts = amounts_of(step.state)
        return copy_edited_block(row, start, start + BLOCK, one, other, *amounts, out)
    top = -np.inf
    for lane in range(BLOCK):
        logit = -np.inf
        if start + lane < row.width:
            logit = edited_at(step, start + lane)
        out[lane] = logit
        top = max(top, logit)
    return top
