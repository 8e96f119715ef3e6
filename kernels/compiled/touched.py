"""Numba: sparse edits of a row, the float64 logits of penalised or biased tokens beside the row.

`slot[token]` is 1 + its place among the touched, 0 for all others. A *final* logit is one that no
temperature has to divide any more. An operation that must see the row as a whole gets a *shadow*, a
float64 copy that holds the final logit of every token. A draw reads one block at a time instead:
see `final`. No edited logit is rounded on the way: see "One arithmetic" in
`decoding.kernels.program`.
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
)
from decoding.kernels.compiled.passes import (
    BLOCK,
    blocks_of,
    divide_row,
    largest_of_blocks,
)
from decoding.kernels.compiled.scalars import bit_count, row_of_doubles, trailing_zeros, value_at

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
def logit_at(dense: Any, token_id: Any, memory: Any) -> Any:
    """The logit of a token, touched or not."""
    place = np.int64(memory.integers[SLOT][token_id])
    return (
        memory.doubles[TOUCHED][place - 1] if place != 0 else untouched_at(dense, token_id, memory)
    )


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
def is_possible(dense: Any, block_max: Any, touched_count: Any, memory: Any) -> Any:
    """Whether a dense row has any token left. block_max: after the masks, or bounds of that."""
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
    row = row_of_doubles(shadow)
    for place in range(count):
        token_id = np.int64(touched_ids[place])
        shadow[token_id] = touched[place]
        block_max[token_id // BLOCK] = np.nan
    for place in range(count):
        block = np.int64(touched_ids[place]) // BLOCK
        if np.isnan(block_max[block]):
            block_max[block] = largest_value(row, block * BLOCK, block * BLOCK + BLOCK)


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
