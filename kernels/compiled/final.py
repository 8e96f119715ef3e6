"""The final logits of a dense row, one block at a time, without a copy of the row.

A block with edited tokens is written into a buffer when it is read, all others are read as they
are stored. Tokens that tie for the last place of a truncation are counted by block, not listed.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from decoding.kernels.compiled.blocks import divide_block, largest_value
from decoding.kernels.compiled.candidates import largest_of
from decoding.kernels.compiled.dense import weigh_entries
from decoding.kernels.compiled.formats import FLOAT64, Row
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.masks import copy_edited, edited_at
from decoding.kernels.compiled.memory import (
    FINAL_MAX,
    LINKS,
    LOGITS,
    TIES,
    TOUCHED,
    TOUCHED_IDS,
    WEIGHTS,
    WORDS,
    WORK_END,
)
from decoding.kernels.compiled.passes import (
    BLOCK,
    Window,
    blocks_of,
    copy_block,
    count_in_block,
    everything,
    holds,
    is_whole,
    is_wide,
    largest_of_blocks,
    smallest_at_least,
    wide_row,
)
from decoding.kernels.compiled.scalars import address_of, below_of, row_of_doubles, value_at
from decoding.kernels.compiled.touched import logit_at


class Final(NamedTuple):
    """What a draw sees of a dense row.

    dense: the row as the program left it, with its touched tokens. window: of it; see `has_bounds`.
    is_edited: whether some logits are not those of the stored row by its temperature.
    """

    dense: Any
    window: Any
    is_edited: Any


@compiled
def has_bounds(dense: Any, touched: Any) -> Any:
    """Whether bounds of stored logits say what stays: no logit is edited, and no two become ties.

    Two float32 that are not the same never are the same float64 when they are divided. The bounds
    of a `Window` are final logits instead where a logit is edited.
    """
    is_edited = touched > 0 or dense.masks.slot >= 0
    return not is_edited and can_window(dense)


@compiled
def can_window(dense: Any) -> Any:
    """Whether a window can say what stays of a dense row."""
    return dense.temperature == 1.0 or not is_wide(dense.row)


@compiled
def final_of(dense: Any, block_max: Any, window: Any, count: Any, memory: Any) -> Any:
    """The final logits of a dense row; chains the touched tokens of each block in `LINKS`.

    block_max: of the row after the masks, or bounds of it. Bounds of each block's final logits go
    into `FINAL_MAX`. The first of a block's chain is in `WORDS`, as 1 + its place, 0 for none.
    """
    first, links, touched_ids = (
        memory.integers[WORDS],
        memory.integers[LINKS],
        memory.integers[TOUCHED_IDS],
    )
    bounds = memory.doubles[FINAL_MAX]
    is_edited, blocks = count > 0 or dense.masks.slot >= 0, blocks_of(dense.row)
    for block in range(blocks):
        bounds[block] = block_max[block] / dense.temperature
    for block in range(blocks if is_edited else 0):
        first[block] = 0
    for place in range(count):
        block = touched_ids[place] // BLOCK
        links[place] = first[block]
        first[block] = place + 1
        bounds[block] = max(bounds[block], memory.doubles[TOUCHED][place])
    return Final(dense, window, is_edited)


@compiled
def final_at(final: Any, token_id: Any, memory: Any) -> Any:
    """A final logit; −inf outside the window, and beyond the row."""
    dense = final.dense
    if token_id >= dense.row.width:
        return -np.inf
    if final.is_edited:
        logit = logit_at(dense, token_id, memory)
        return logit if holds(final.window, logit, token_id) else -np.inf
    value = value_at(dense.row, token_id)
    return value / dense.temperature if holds(final.window, value, token_id) else -np.inf


@compiled
def is_edited_block(final: Any, block: Any, memory: Any) -> Any:
    """Whether a block is not as it is stored."""
    return final.is_edited and (final.dense.masks.slot >= 0 or memory.integers[WORDS][block] != 0)


@compiled
def opened(final: Any, block: Any, memory: Any) -> Any:
    """A row of which one block may be read, until the next is opened: its final logits."""
    dense, start = final.dense, block * BLOCK
    row, out = dense.row, memory.doubles[WORK_END][BLOCK : 2 * BLOCK]
    if dense.masks.slot >= 0:
        copy_edited(row, block, dense.masks, memory.bitmasks, out)
        if dense.temperature != 1.0:
            divide_block(out, 0, BLOCK, dense.temperature)
    else:
        copy_block(row, block, everything(row.width), dense.temperature, out)
    place = np.int64(memory.integers[WORDS][block])
    while place != 0:
        out[memory.integers[TOUCHED_IDS][place - 1] - start] = memory.doubles[TOUCHED][place - 1]
        place = np.int64(memory.integers[LINKS][place - 1])
    if not is_whole(final.window):
        for lane in range(BLOCK):
            if not holds(final.window, out[lane], start + lane):
                out[lane] = -np.inf
    address = address_of(out) - start * 8
    return Row(address, np.int64(FLOAT64), row.width, start + BLOCK, address)


@compiled
def _largest_untouched(final: Any, block: Any, memory: Any) -> Any:
    """The largest logit of a block's tokens that are not touched."""
    dense, start = final.dense, block * BLOCK
    row, out = dense.row, memory.doubles[WORK_END][BLOCK : 2 * BLOCK]
    if dense.masks.slot >= 0:
        top = copy_edited(row, block, dense.masks, memory.bitmasks, out)
    else:
        top = copy_block(row, block, everything(row.width), 1.0, out)
    place = np.int64(memory.integers[WORDS][block])
    if place != 0:
        while place != 0:
            out[memory.integers[TOUCHED_IDS][place - 1] - start] = -np.inf
            place = np.int64(memory.integers[LINKS][place - 1])
        top = largest_value(row_of_doubles(out), 0, BLOCK)
    return top / dense.temperature


@compiled
def largest_final(final: Any, count: Any, memory: Any) -> Any:
    """The largest logit of a dense row, whatever its window. count: touched tokens."""
    row, bounds = final.dense.row, memory.doubles[FINAL_MAX]
    if not final.is_edited:
        return largest_of_blocks(row, bounds)
    best, first = -np.inf, 0
    for place in range(count):
        best = max(best, memory.doubles[TOUCHED][place])
    for block in range(blocks_of(row)):
        if bounds[block] > bounds[first]:
            first = block
    # The most promising block before the others, which need not be looked into as a rule.
    for turn in range(-1, blocks_of(row)):
        block = first if turn < 0 else turn
        if bounds[block] > best:
            best = max(best, _largest_untouched(final, block, memory))
    return best


@compiled
def list_ties(
    final: Any, tie: Any, room: Any, ids: Any, logits: Any, count: Any, memory: Any
) -> Any:
    """Append the first `room` tokens whose final logit is `tie`; the new count."""
    for block in range(blocks_of(final.dense.row)):
        if memory.doubles[FINAL_MAX][block] < tie:
            continue
        for token_id in range(block * BLOCK, min(block * BLOCK + BLOCK, final.dense.row.width)):
            if room <= 0:
                return count
            if final_at(final, token_id, memory) == tie:
                ids[count], logits[count] = token_id, tie
                count += 1
                room -= 1
    return count


@compiled
def count_ties(final: Any, tie: Any, last_tie: Any, memory: Any) -> Any:
    """How many tokens up to `last_tie` have a final logit; those of each block go into `TIES`.

    Of a row with masks these are there already, by `collect_edited`, touched tokens as they were.
    """
    dense, counts, bounds = final.dense, memory.doubles[TIES], memory.doubles[FINAL_MAX]
    row, temperature, masks = dense.row, dense.temperature, dense.masks
    is_masked = masks.slot >= 0
    # What the temperature makes the tie of; after masks it is no number of the row's precision.
    real = wide_row(row) if is_masked else row
    low = smallest_at_least(real, tie, temperature)
    high = below_of(real, smallest_at_least(real, np.nextafter(tie, np.inf), temperature))
    total = 0.0
    for block in range(blocks_of(row)):
        if not is_masked:
            counts[block] = 0.0
            if bounds[block] >= tie:
                counts[block] = count_in_block(row, block * BLOCK, low, high)
        if final.is_edited and bounds[block] >= tie:
            place = np.int64(memory.integers[WORDS][block])
            while place != 0:
                touched_id = np.int64(memory.integers[TOUCHED_IDS][place - 1])
                counts[block] -= low <= edited_at(row, touched_id, masks, memory.bitmasks) <= high
                counts[block] += memory.doubles[TOUCHED][place - 1] == tie
                place = np.int64(memory.integers[LINKS][place - 1])
        total += counts[block] if block <= last_tie // BLOCK else 0.0
    for token_id in range(last_tie + 1, min(last_tie // BLOCK * BLOCK + BLOCK, row.width)):
        total -= logit_at(dense, token_id, memory) == tie
    return np.int64(total)


@compiled
def nth_tie(final: Any, tie: Any, n: Any, memory: Any) -> Any:
    """The id of the n-th token, from 1, that `count_ties` has counted."""
    row, counts = final.dense.row, memory.doubles[TIES]
    block: Any = 0
    while counts[block] < n:
        n -= np.int64(counts[block])
        block += 1
    for token_id in range(block * BLOCK, row.width):
        n -= logit_at(final.dense, token_id, memory) == tie
        if n == 0:
            return np.int64(token_id)
    return np.int64(row.width - 1)


@compiled
def window_of_ties(
    final: Any, tie: Any, above: Any, wanted: Any, last_tie: Any, ties: Any, memory: Any
) -> Any:
    """The window of the listed tokens, which are above a tie, and of the first of those that tie.

    above: how many are listed. wanted: how many of the `ties` ties counted up to `last_tie` stay.
    """
    dense, logits = final.dense, memory.doubles[LOGITS]
    if wanted < ties:
        last_tie = nth_tie(final, tie, wanted, memory)
    largest = max(largest_of(logits, above), tie)
    total, moment = weigh_entries(logits, above, largest, memory.doubles[WEIGHTS])
    gap = tie - largest
    weight = wanted * math.exp(max(gap, -700.0))
    low = tie if final.is_edited else smallest_at_least(dense.row, tie, dense.temperature)
    return Window(
        low, np.inf, np.int64(last_tie), total + weight, moment + weight * gap,
        np.int64(above + wanted), np.int64(wanted),
    )  # fmt: skip
