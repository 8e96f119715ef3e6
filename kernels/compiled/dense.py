"""Numba functions that list the candidates of a row's first truncation.

Before the first truncation a row is never copied: it is the stored logits by a `temperature`, but
for the *touched* tokens (penalised, biased), whose logits stand in a short list; `slot[token]` is
1 + its place there, 0 for all others. A truncation finds in the block maxima which blocks can hold
what it keeps, and collects the *candidates*. Where these would be more than `limit`, it finds the
bounds of their logits instead, a `passes.Window`. The draw and its description read the row within
them; for any other instruction a *shadow* of the row takes its place, −inf outside them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from decoding.kernels.compiled.blocks import weigh_eight
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.masks import collect_edited, slack_of
from decoding.kernels.compiled.memory import (
    IDS,
    LOGITS,
    TOUCHED,
    TOUCHED_IDS,
    VALUES,
)
from decoding.kernels.compiled.passes import blocks_of, collect
from decoding.kernels.compiled.selection import kth_smallest, nth_largest

_BOUNDS = 4
"""So often a bound of the k-th largest logit is raised."""


@compiled
def _append_touched(touched_count: Any, low: Any, count: Any, memory: Any) -> Any:
    """Append the touched tokens with low ≤ logit and logit > −∞; return the new count."""
    for place in range(touched_count):
        logit = memory.doubles[TOUCHED][place]
        if logit >= low and logit > -np.inf:
            memory.integers[IDS][count] = memory.integers[TOUCHED_IDS][place]
            memory.doubles[LOGITS][count] = logit
            count += 1
    return count


@compiled
def _bound_of_rank(block_max: Any, blocks: Any, rank: Any, values: Any) -> Any:
    """A number that at least `rank` block maxima reach, and not many more.

    By bisection, which vectorises; where a few steps do not find one, by selection.
    """
    low, high = np.inf, -np.inf
    for block in range(blocks):
        low, high = min(low, block_max[block]), max(high, block_max[block])
    for _ in range(12):
        middle = 0.5 * low + 0.5 * high
        count = 0
        for block in range(blocks):
            count += block_max[block] >= middle
        if count < rank:
            high = middle
        elif count > rank + rank // 4 + 8:
            low = middle
        else:
            return middle
    for block in range(blocks):
        values[block] = -block_max[block]
    return -kth_smallest(values, blocks, rank)


@compiled
def collect_reaching(
    dense: Any, block_max: Any, low: Any, tie: Any, limit: Any, count: Any, memory: Any
) -> Any:
    """List the tokens of a dense row whose logit is `low` or more; how many.

    tie: see `collect_edited`. count: touched tokens, which a limit does not count. Where the others
    are more than the limit, −1 − how many were listed until that was plain.
    """
    if dense.masks.slot >= 0:
        found = collect_edited(dense, block_max, low, tie, limit, memory)
    else:
        found = collect(dense.row, block_max, dense.temperature, low, dense.high, limit, 1, memory)
    listed = _append_touched(count, low, max(found, -1 - found), memory)
    return listed if found >= 0 else -1 - listed


@compiled
def collect_largest(
    dense: Any, block_max: Any, k: Any, limit: Any, count: Any, counts_ties: Any, memory: Any
) -> Any:
    """List a set that holds the k largest logits and every tie with the k-th; its size, and NaN.

    Where too many tie with the k-th: how many larger ones are listed, and the k-th. −1 and NaN
    where neither can be found. count: touched tokens. counts_ties: whether `final.count_ties` comes
    next.

    The k-th largest block maximum is a lower bound of the k-th largest logit: about k blocks have
    logits above it. Where many more tokens reach it, the k-th largest of some of them is a better
    bound, and as a rule the one that they tie with.
    """
    logits, values = memory.doubles[LOGITS], memory.doubles[VALUES]
    blocks = blocks_of(dense.row)
    rank = k + min(count, 8 + k // 4)
    while True:
        low, most = -np.inf, limit
        if rank < blocks:
            low = _bound_of_rank(block_max, blocks, rank, values)
            if dense.masks.slot >= 0:
                low -= 2.0 * slack_of(dense.masks, low)
            low /= dense.temperature
            most = min(limit, 64 * (rank + rank // 4 + 16))
        found = collect_reaching(dense, block_max, low, low, most, count, memory)
        if found < 0:
            break
        if found >= k or low == -np.inf:
            return np.int64(found), np.nan
        rank *= 4
    for _ in range(_BOUNDS):
        listed = -1 - found
        if listed < k:
            break
        kth = nth_largest(logits, listed, k, values)
        above = np.nextafter(kth, np.inf)
        tie = kth if counts_ties else above
        found = collect_reaching(dense, block_max, above, tie, limit, count, memory)
        if found >= 0:
            return np.int64(found), np.nan if found >= k else kth
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
