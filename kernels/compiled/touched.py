"""The touched tokens of a dense row: penalised or biased, their logits kept beside the row.

`slot[token]` is 1 + its place among the touched, 0 for all others. What must see the row as a whole
gets a *shadow*, a copy in which the touched stand as they are. For a draw it is enough that blocks
are: of a *patched* row those with touched tokens are read from the shadow, the others as stored.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from decoding.kernels.compiled.candidates import unmark
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import (
    IDS,
    LOGITS,
    OCCURRENCES,
    SEEN,
    SLOT,
    TOUCHED,
    TOUCHED_IDS,
    VALUES,
    WORDS,
)
from decoding.kernels.compiled.passes import (
    BLOCK,
    block_count,
    copy_block,
    copy_row,
    largest_of_blocks,
    largest_value,
    lowest_finite,
)
from decoding.kernels.compiled.scalars import as_real, bit_count, trailing_zeros, value_at


@compiled
def is_precise(logit: Any) -> Any:
    """Whether a float32 in place of this logit changes no logprob by more than 10⁻⁵.

    So it is up to 128; and from 10⁹ on, where neighbours are 64 apart: one is certain, or they tie.
    """
    return abs(logit) <= 128.0 or abs(logit) >= 1e9


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
def untouched_max(row: Any, tail: Any, block_max: Any, touched_count: Any, memory: Any) -> Any:
    """The largest stored logit of the tokens that are not touched; −inf if there are none."""
    if touched_count == 0:
        return largest_of_blocks(row, tail, block_max)
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
def _fits(row: Any, largest: Any, scale: Any, count: Any, memory: Any) -> Any:
    """Whether the touched logits can be rounded to the row's precision.

    The likely ones without moving a logprob by 10⁻⁵, and none beyond its range; `largest` is the
    largest stored logit.
    """
    fits, lowest, touched = is_precise(largest), lowest_finite(row), memory.doubles[TOUCHED]
    negligible = -np.inf
    for place in range(count):
        negligible = max(negligible, touched[place] - 64.0)
    negligible /= scale
    for place in range(count):
        logit = touched[place] / scale
        if logit > -np.inf:
            fits &= lowest <= logit <= -lowest and (logit < negligible or is_precise(logit))
    return fits


@compiled
def round_touched(row: Any, tail: Any, block_max: Any, scale: Any, count: Any, memory: Any) -> Any:
    """Round the touched logits as a shadow would, where they fit: ties are then the same there."""
    if _fits(row, largest_of_blocks(row, tail, block_max), scale, count, memory):
        touched = memory.doubles[TOUCHED]
        for place in range(count):
            touched[place] = np.float64(as_real(row, touched[place] / scale)) * scale


@compiled
def write_touched(
    tail: Any, scale: Any, count: Any, memory: Any, shadow: Any, block_max: Any
) -> Any:
    """Write the touched tokens into a shadow; keeps its block maxima right.

    Returns whether they fit, and the shadow's largest logit.
    """
    largest, size = largest_of_blocks(shadow, tail, block_max), len(tail)
    if count == 0:
        return True, largest
    fits = _fits(shadow, largest, scale, count, memory)
    touched_ids, touched = memory.integers[TOUCHED_IDS], memory.doubles[TOUCHED]
    for place in range(count):
        token_id = np.int64(touched_ids[place])
        shadow[token_id] = touched[place] / scale
        block_max[token_id // size] = np.nan
    for place in range(count):
        block = np.int64(touched_ids[place]) // size
        if np.isnan(block_max[block]):
            block_max[block] = largest_value(shadow, block * size, size)
    return fits, largest_of_blocks(shadow, tail, block_max)


@compiled
def flush(tail: Any, scale: Any, count: Any, memory: Any, shadow: Any, block_max: Any) -> Any:
    """Write the touched tokens into a shadow, and forget them; returns as `write_touched`."""
    fits, largest = write_touched(tail, scale, count, memory, shadow, block_max)
    forget(memory, count)
    return fits, largest


@compiled
def make_shadow(row: Any, tail: Any, state: Any, memory: Any, shadow: Any, block_max: Any) -> Any:
    """Copy what stays of a row into its shadow, touched tokens as they are; returns as `flush`."""
    copy_row(row, tail, state.low, state.high, state.last_tie, shadow, block_max)
    return flush(tail, state.scale, state.count, memory, shadow, block_max)


@compiled
def patch(
    row: Any,
    tail: Any,
    block_max: Any,
    scale: Any,
    count: Any,
    memory: Any,
    shadow: Any,
    shadow_max: Any,
) -> Any:
    """Write the blocks with touched tokens, and a last that is not whole, into the shadow.

    shadow_max: where the block maxima go, of all blocks. Which blocks are patched is left in
    `integers[WORDS]`. Returns as `write_touched`.
    """
    patched, touched_ids = memory.integers[WORDS], memory.integers[TOUCHED_IDS]
    for block in range(block_count(row, tail)):
        patched[block], shadow_max[block] = 0, block_max[block]
    for place in range(count):
        patched[touched_ids[place] // BLOCK] = 1
    if len(row) % BLOCK != 0:
        patched[len(row) // BLOCK] = 1
    for block in range(block_count(row, tail)):
        if patched[block] != 0:
            copy_block(row, tail, block, shadow)
    return write_touched(tail, scale, count, memory, shadow, shadow_max)


@compiled
def patch_all(row: Any, tail: Any, memory: Any, shadow: Any) -> Any:
    """Write the blocks that are not patched into the shadow as well."""
    for block in range(block_count(row, tail)):
        if memory.integers[WORDS][block] == 0:
            copy_block(row, tail, block, shadow)


@compiled
def forget(memory: Any, touched_count: Any) -> Any:
    """Wipe the slots of the touched tokens."""
    unmark(memory.integers[SLOT], memory.integers[TOUCHED_IDS], touched_count)


@compiled
def compact_by_bitmask(
    row: Any, bitmask: Any, scale: Any, count: Any, limit: Any, memory: Any
) -> Any:
    """List the possible tokens of a dense row whose bit is set; how many, −1 if beyond a limit.

    Listed, they leave no token touched.
    """
    allowed = 0
    for index in range(len(bitmask)):
        allowed += bit_count(np.uint32(bitmask[index]))
        if allowed > limit:
            return -1
    slot, touched = memory.integers[SLOT], memory.doubles[TOUCHED]
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    kept = 0
    for index in range(len(bitmask)):
        word = np.uint32(bitmask[index])
        while word != 0:
            token_id = index * 32 + trailing_zeros(word)
            word = np.uint32(word & np.uint32(word - np.uint32(1)))
            if token_id >= len(row):
                break
            place = slot[token_id]
            logit = touched[place - 1] if place != 0 else value_at(row, token_id) * scale
            if logit > -np.inf:
                ids[kept] = token_id
                logits[kept] = logit
                kept += 1
    forget(memory, count)
    return kept
