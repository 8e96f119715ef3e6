"""Numba functions that list the largest logits of a dense row, as the candidates of a truncation.

A truncation finds in the block maxima which blocks can hold what it keeps, and collects the
*candidates*. Where these would be more than `limit`, it finds the bounds of their logits instead, a
`passes.Window`. The draw and its description read the row within them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.blocks import (
    masks_edited,
    masks_of_equal,
    masks_reaching,
    weigh_eight,
)
from decoding.kernels.compiled.candidates import bit_of
from decoding.kernels.compiled.jit import compiled, inlined
from decoding.kernels.compiled.masks import slack_of
from decoding.kernels.compiled.memory import (
    ALLOWED,
    BIASED,
    BINS_OF_BLOCK,
    IDS,
    LOGITS,
    SLOT,
    TIES,
    TOUCHED,
    TOUCHED_IDS,
    VALUES,
)
from decoding.kernels.compiled.passes import (
    BLOCK,
    MASK,
    blocks_of,
    is_hopeless,
    smallest_at_least,
    stored_bounds,
)
from decoding.kernels.compiled.scalars import (
    above_of,
    bit_count,
    row_of_doubles,
    trailing_zeros,
    value_at,
)
from decoding.kernels.compiled.selection import nth_largest
from decoding.kernels.compiled.state import equal_blocks, is_cut, is_flat, is_kept, row_in
from decoding.kernels.compiled.touched import untouched_at

_BOUNDS = 4
"""So often a bound of the k-th largest logit is raised."""


@inlined
def _find_reaching(
    step: Any, first: Any, inside: Any, outside: Any, is_equal: Any, words: Any
) -> Any:
    """Find which tokens of a block reach a bound after the masks; see `blocks.masks_edited`.

    is_equal: whether all logits of the block are known to be those of the row's first token.
    """
    row, biased, allowed = row_in(step), step.memory.integers[BIASED], step.memory.integers[ALLOWED]
    if is_equal:
        logit = value_at(row, 0)
        masks_of_equal(first, biased, allowed, logit >= inside, logit >= outside, words)
    else:
        masks_edited(row, first, first + BLOCK, biased, allowed, inside, outside, words)


@compiled
def _collect(step: Any, block_max: Any, low: Any, tie: Any, limit: Any) -> Any:
    """List the untouched tokens of a row, low ≤ logit, within its window's high, in order of id.

    Returns their count; the logits that are listed are not divided by the temperature. Where there
    are more than `limit`, or plainly seem to be after some blocks, −1 − how many were listed until
    then. Of a row with masks, how many tokens of a block, touched or not, have tie ≤ logit < low is
    written into `TIES`, where some can be, and the bound of a block of which none, touched or
    not, reaches `low` is lowered to what is below.
    """
    row, memory, state = row_in(step), step.memory, step.state
    slot, ids, logits = memory.integers[SLOT], memory.integers[IDS], memory.doubles[LOGITS]
    masked, counts, temperature = state.masked, memory.doubles[TIES], state.temperature
    bias = state.bias
    ties, cuts = masked and tie < low, not masked and state.high < np.inf
    # Finite, so that what fills the last block up, −inf, is below it.
    bounds = row_of_doubles(block_max) if masked else row
    least, most = stored_bounds(bounds, low, state.high, temperature)
    floor, inside, outside, tie_inside, tie_outside = least, least, least, least, least
    if masked:
        inside = smallest_at_least(row, low, temperature, bias)
        outside = smallest_at_least(row, low, temperature, 0.0)
    if ties:
        floor = smallest_at_least(bounds, tie, temperature, 0.0)
        tie_inside = smallest_at_least(row, tie, temperature, bias)
        tie_outside = smallest_at_least(row, tie, temperature, 0.0)
    biased, count = memory.integers[BIASED], 0
    words, lower = memory.integers[BINS_OF_BLOCK], np.nextafter(least, -np.inf)
    others, above = words[BLOCK // MASK :], above_of(row, most)
    equal = equal_blocks(step)
    for block in range(blocks_of(row)):
        if ties:
            counts[block] = 0.0
        if not block_max[block] >= floor:
            continue
        if block <= 64 and is_hopeless(count, block * BLOCK, row, limit):
            return -1 - count
        reached, below = np.uint32(0), 0
        first = block * BLOCK
        if masked:
            _find_reaching(step, first, inside, outside, block < equal, words)
        else:
            masks_reaching(row, first, first + BLOCK, least, words)
        if ties:
            _find_reaching(step, first, tie_inside, tie_outside, block < equal, others)
        elif cuts:
            masks_reaching(row, first, first + BLOCK, above, others)
            for index in range(BLOCK // MASK):
                words[index] &= ~others[index]
        for start in range(first, first + BLOCK, MASK):
            mask = np.uint32(words[(start - first) // MASK])
            reached |= mask
            if ties:
                below += bit_count(np.uint32(mask ^ np.uint32(others[(start - first) // MASK])))
            if count + MASK > limit and count + bit_count(mask) > limit:
                return -1 - count
            while mask != 0:
                token_id = start + trailing_zeros(mask)
                mask = np.uint32(mask & np.uint32(mask - np.uint32(1)))
                ids[count], logits[count] = token_id, value_at(row, token_id)
                if masked and bit_of(biased, token_id):
                    logits[count] += bias
                count += slot[token_id] == 0
        if ties:
            counts[block] = below
        # Not where a touched token reached it: as it was, it is one of the block's ties.
        if masked and reached == 0:
            block_max[block] = lower
    return count


@compiled
def _bound_of_rank(block_max: Any, blocks: Any, rank: Any) -> Any:
    """A number that at least `rank` block maxima reach, and as a rule not many more; else −inf.

    By bisection, which vectorises.
    """
    low, high, finite = np.inf, -np.inf, 0
    for block in range(blocks):
        top = block_max[block]
        low, high = min(low, top if top > -np.inf else np.inf), max(high, top)
        finite += top > -np.inf
    if finite < rank:
        return -np.inf
    for _ in range(12):
        middle = 0.5 * low + 0.5 * high
        count = 0
        for block in range(blocks):
            count += block_max[block] >= middle
        if count < rank:
            high = middle
        else:
            low = middle
        if rank <= count <= rank + rank // 4 + 8:
            break
    return low


@compiled
def collect_reaching(step: Any, block_max: Any, low: Any, tie: Any, limit: Any) -> Any:
    """List the tokens of a dense row whose logit is `low` or more, but not −∞; how many.

    tie: see `_collect`. A limit does not count touched tokens. Where the others are more than
    it, −1 − how many were listed until that was plain.
    """
    memory, found = step.memory, _collect(step, block_max, low, tie, limit)
    listed, temperature = max(found, -1 - found), step.state.temperature
    for place in range(listed if temperature != 1.0 else 0):
        memory.doubles[LOGITS][place] /= temperature
    for place in range(step.state.count):
        logit = memory.doubles[TOUCHED][place]
        if logit >= low and logit > -np.inf:
            memory.integers[IDS][listed] = memory.integers[TOUCHED_IDS][place]
            memory.doubles[LOGITS][listed] = logit
            listed += 1
    return listed if found >= 0 else -1 - listed


@compiled
def keep_window_of(step: Any, count: Any) -> Any:
    """Keep the listed tokens that are in the row's window; how many; a count below 0 stays."""
    ids, logits, kept = step.memory.integers[IDS], step.memory.doubles[LOGITS], 0
    for place in range(count if is_cut(step) else 0):
        if is_kept(step, logits[place], ids[place]):
            ids[kept], logits[kept] = ids[place], logits[place]
            kept += 1
    return np.int64(kept if is_cut(step) and count > 0 else count)


@compiled
def collect_largest(step: Any, block_max: Any, k: Any, limit: Any, counts_ties: Any) -> Any:
    """List a set with the k largest logits and ties; its size; NaN, or the k-th if partial.

    Where too many tie with the k-th: how many larger ones are listed, and the k-th. −1 and NaN
    where neither can be found. counts_ties: whether `final.count_ties` comes next.

    The k-th largest block maximum is a lower bound of the k-th largest logit: about k blocks have
    logits above it. Where many more tokens reach it, the k-th largest of some of them is a better
    bound, and as a rule the one that they tie with.
    """
    logits, values = step.memory.doubles[LOGITS], step.memory.doubles[VALUES]
    state, blocks = step.state, blocks_of(step.state)
    rank = k + min(state.count, 8 + k // 4)
    # The least of B block maxima is reached by B · ln(B + 1) tokens of a random row, on average.
    if rank > blocks and blocks * math.log(blocks + 1.0) > 1.5 * rank:
        rank = np.int64(blocks)
    kth = np.nan
    if is_flat(step) and not state.masked and k <= step.vocab - state.count:
        kth = untouched_at(step, np.int64(0))  # as all that are not touched tie
    while np.isnan(kth):
        # Of so many tokens that finding the k-th of them takes as long as listing what is above it.
        low, most = -np.inf, min(limit, 4 * rank + np.int64(math.sqrt(rank * step.vocab)))
        if rank <= blocks:
            low = _bound_of_rank(block_max, blocks, rank)
            if state.masked:
                low -= 2.0 * slack_of(step, low)
            low /= state.temperature
            most = min(limit, 64 * (rank + rank // 4 + 16))
        found = collect_reaching(step, block_max, low, low, most)
        if found >= k or (found >= 0 and low == -np.inf):
            return np.int64(found), np.nan
        if found < 0:
            if -1 - found < k:
                return np.int64(-1), np.nan
            kth = nth_largest(logits, -1 - found, k, values)
        rank *= 4
    for _ in range(_BOUNDS):
        above = np.nextafter(kth, np.inf)
        tie = kth if counts_ties else above
        found = collect_reaching(step, block_max, above, tie, limit)
        if found >= 0:
            return np.int64(found), np.nan if found >= k else kth
        if -1 - found < k:
            break
        kth = nth_largest(logits, -1 - found, k, values)
    return np.int64(-1), np.nan


@compiled
def weigh_entries(logits: Any, count: Any, reference: Any, weights: Any) -> Any:
    """w = exp(logit − reference) of the entries into `weights`; returns Σ w and Σ w · gap.

    Writes up to seven entries behind the last of `logits` and `weights`.
    """
    for place in range(count, (count + 7) // 8 * 8):
        logits[place] = -np.inf
    total, moment = 0.0, 0.0
    for start in range(0, count, 8):
        weight, first = weigh_eight(logits, start, reference, weights)
        total += weight
        moment += first
    return total, moment
