"""Numba: sparse edits of a row, the float64 logits of penalised or biased tokens beside the row.

`slot[token]` is 1 + its place among the touched, 0 for all others. A *final* logit is one that no
temperature has to divide any more. An operation that must see the row as a whole gets a *shadow*, a
float64 copy that holds the final logit of every token. A draw needs only a *patched* row: the
blocks with touched tokens are read from the shadow, the others as stored. No edited logit is
rounded on the way: see "One arithmetic" in `decoding.kernels.program`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from decoding.kernels.compiled.blocks import largest_value
from decoding.kernels.compiled.candidates import unmark
from decoding.kernels.compiled.jit import compiled, inlined
from decoding.kernels.compiled.masks import edited_at, no_masks
from decoding.kernels.compiled.memory import (
    IDS,
    LOGITS,
    OCCURRENCES,
    SEEN,
    SLOT,
    TOUCHED,
    TOUCHED_IDS,
    WORDS,
)
from decoding.kernels.compiled.passes import (
    BLOCK,
    blocks_of,
    copy_block,
    divide_row,
    everything,
    largest_of_blocks,
)
from decoding.kernels.compiled.scalars import bit_count, trailing_zeros, value_at

_MOST = 1e300
_LARGEST = 1.7976931348623157e308


class Dense(NamedTuple):
    """A whole row as the program left it, but for the touched tokens.

    row: as it is stored. masks: of `masks.Masks`, which are met first. temperature: what divides
    the logits then. high: what is larger then is not there.
    """

    row: Any
    masks: Any
    temperature: Any
    high: Any


@compiled
def plain(row: Any, temperature: Any) -> Any:
    """A row without masks."""
    return Dense(row, no_masks(), temperature, np.inf)


@inlined
def untouched_at(dense: Any, token_id: Any, memory: Any) -> Any:
    """The logit of a token that is not touched."""
    return edited_at(dense.row, token_id, dense.masks, memory.bitmasks) / dense.temperature


@inlined
def enlist(token_id: Any, memory: Any, count: Any) -> Any:
    """The token's place among the touched, and how many these are now; see `read_touched`."""
    slot = memory.integers[SLOT]
    place = np.int64(slot[token_id]) - 1
    if place < 0:
        place = count
        count += 1
        slot[token_id] = count
        memory.integers[TOUCHED_IDS][place] = token_id
        memory.integers[SEEN][place] = 0
        memory.integers[OCCURRENCES][place] = 0
    return place, count


@compiled
def read_touched(dense: Any, before: Any, count: Any, memory: Any) -> Any:
    """Read the logits of the touched tokens from place `before` on, which were enlisted."""
    touched_ids, touched = memory.integers[TOUCHED_IDS], memory.doubles[TOUCHED]
    if dense.masks.slot < 0:
        for place in range(before, count):
            touched[place] = value_at(dense.row, np.int64(touched_ids[place])) / dense.temperature
    else:
        for place in range(before, count):
            touched[place] = untouched_at(dense, np.int64(touched_ids[place]), memory)


@inlined
def touch(dense: Any, token_id: Any, memory: Any, count: Any) -> Any:
    """The token's place among the touched, and how many these are now."""
    place, now = enlist(token_id, memory, count)
    read_touched(dense, count, now, memory)
    return place, now


@compiled
def _untouched_max(dense: Any, block_max: Any, touched_count: Any, memory: Any) -> Any:
    """The largest logit of the tokens that are not touched; −inf if there are none."""
    row = dense.row
    if touched_count == 0 and dense.masks.slot < 0:
        return largest_of_blocks(row, block_max) / dense.temperature
    # Only blocks with touched tokens, and bounds, are looked into, the most promising first.
    is_bound, blocks, inexact = dense.masks.slot >= 0, blocks_of(row), memory.integers[WORDS]
    for block in range(blocks):
        inexact[block] = is_bound
    for place in range(touched_count):
        inexact[memory.integers[TOUCHED_IDS][place] // BLOCK] = 1
    best, first, highest = -np.inf, -1, -np.inf
    for block in range(blocks):
        if inexact[block] == 0:
            best = max(best, block_max[block] / dense.temperature)
        elif block_max[block] > highest:
            first, highest = block, block_max[block]
    for turn in range(-1, blocks):
        block = first if turn < 0 else turn
        if block < 0 or inexact[block] == 0 or not block_max[block] / dense.temperature > best:
            continue
        for token_id in range(block * BLOCK, min(block * BLOCK + BLOCK, row.width)):
            if memory.integers[SLOT][token_id] == 0:
                best = max(best, untouched_at(dense, token_id, memory))
    return best


@compiled
def dense_max(dense: Any, block_max: Any, touched_count: Any, memory: Any) -> Any:
    """The largest logit of a dense row. block_max: of the row after the masks, or bounds of it."""
    best = _untouched_max(dense, block_max, touched_count, memory)
    for place in range(touched_count):
        best = max(best, memory.doubles[TOUCHED][place])
    return best


@compiled
def is_possible(dense: Any, block_max: Any, touched_count: Any, memory: Any) -> Any:
    """Whether a dense row has any token left. block_max: as for `dense_max`."""
    for place in range(touched_count):
        if memory.doubles[TOUCHED][place] > -np.inf:
            return True
    for block in range(blocks_of(dense.row)):
        if block_max[block] == -np.inf:
            continue
        for token_id in range(block * BLOCK, min(block * BLOCK + BLOCK, dense.row.width)):
            if memory.integers[SLOT][token_id] != 0:
                continue
            if untouched_at(dense, token_id, memory) > -np.inf:
                return True
    return False


@compiled
def are_moderate(count: Any, memory: Any) -> Any:
    """Whether the touched logits are far from the end of float64, where nothing here overflows."""
    moderate = True
    for place in range(count):
        moderate &= memory.doubles[TOUCHED][place] < _MOST
    return moderate


@compiled
def can_divide_touched(count: Any, temperature: Any, memory: Any) -> Any:
    """`passes.can_divide` of the touched logits."""
    fits = True
    for place in range(count):
        logit = memory.doubles[TOUCHED][place]
        fits &= logit == -np.inf or abs(logit) <= _LARGEST * temperature
    return fits


@compiled
def write_touched(count: Any, memory: Any, shadow: Any, block_max: Any) -> Any:
    """Write the touched tokens into the blocks of a shadow that holds final logits.

    Keeps its block maxima right.
    """
    touched_ids, touched = memory.integers[TOUCHED_IDS], memory.doubles[TOUCHED]
    for place in range(count):
        token_id = np.int64(touched_ids[place])
        shadow[token_id] = touched[place]
        block_max[token_id // BLOCK] = np.nan
    for place in range(count):
        block = np.int64(touched_ids[place]) // BLOCK
        if np.isnan(block_max[block]):
            block_max[block] = largest_value(shadow, block * BLOCK, block * BLOCK + BLOCK)


@compiled
def flush(
    shadow_row: Any, temperature: Any, count: Any, memory: Any, shadow: Any, block_max: Any
) -> Any:
    """Divide a shadow by its temperature, write the touched tokens into it, and forget them.

    From then on its temperature is 1. shadow_row: the shadow as a `Row`. Returns whether the
    touched are moderate, and its largest.
    """
    moderate = are_moderate(count, memory)
    divide_row(shadow, block_max, temperature)
    write_touched(count, memory, shadow, block_max)
    forget(memory, count)
    return moderate, largest_of_blocks(shadow_row, block_max)


@compiled
def patch(
    row: Any,
    block_max: Any,
    temperature: Any,
    window: Any,
    count: Any,
    memory: Any,
    shadow: Any,
    shadow_max: Any,
) -> Any:
    """Write the blocks with touched tokens, and a last that is not whole, into the shadow.

    They hold final logits there, −inf outside the window. shadow_max: where the largest final logit
    of every block goes. Which blocks are patched is left in `integers[WORDS]`.
    """
    patched, touched_ids = memory.integers[WORDS], memory.integers[TOUCHED_IDS]
    blocks = blocks_of(row)
    for block in range(blocks):
        shadow_max[block] = block_max[block] / temperature
    for block in range(blocks):
        patched[block] = 0
    for place in range(count):
        patched[touched_ids[place] // BLOCK] = 1
    if row.width % BLOCK != 0:
        patched[row.width // BLOCK] = 1
    for block in range(blocks):
        if patched[block] != 0:
            copy_block(row, block, window, temperature, shadow)
    write_touched(count, memory, shadow, shadow_max)


@compiled
def patch_all(row: Any, temperature: Any, memory: Any, shadow: Any) -> Any:
    """Write the blocks that are not patched into the shadow as well."""
    for block in range(blocks_of(row)):
        if memory.integers[WORDS][block] == 0:
            copy_block(row, block, everything(row.width), temperature, shadow)


@compiled
def forget(memory: Any, touched_count: Any) -> Any:
    """Wipe the slots of the touched tokens."""
    unmark(memory.integers[SLOT], memory.integers[TOUCHED_IDS], touched_count)


@compiled
def compact_by_bitmask(dense: Any, bitmask: Any, count: Any, limit: Any, memory: Any) -> Any:
    """List the possible tokens of a dense row whose bit is set; the count, −1 beyond a limit.

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
            if token_id >= dense.row.width:
                break
            place = slot[token_id]
            logit = touched[place - 1] if place != 0 else untouched_at(dense, token_id, memory)
            if logit > -np.inf:
                ids[kept] = token_id
                logits[kept] = logit
                kept += 1
    forget(memory, count)
    return kept
