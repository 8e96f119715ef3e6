"""Numba: runs a row's first truncation, giving compact candidates or logit bounds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.bounds import find_bounds
from decoding.kernels.compiled.candidates import (
    keep_nearest,
    keep_top_k,
)
from decoding.kernels.compiled.dense import (
    append_touched,
    collect_largest,
    collect_nearest,
    collect_reaching,
)
from decoding.kernels.compiled.entropy import top_h_of_row
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import (
    HISTOGRAM,
    IDS,
    KEYS,
    LOGITS,
    PLACES,
    TOUCHED,
    TOUCHED_IDS,
    VALUES,
    WEIGHTS,
)
from decoding.kernels.compiled.passes import (
    deviation,
    is_wide,
    largest_of_blocks,
    weigh,
)
from decoding.kernels.compiled.scalars import above_of, as_real, below_of
from decoding.kernels.program import (
    NEEDS_DEVIATION,
    NEEDS_SQUARES,
    NEEDS_TOTAL,
    Opcode,
    Term,
)

TOP_K, TOP_P, CUT = int(Opcode.TOP_K), int(Opcode.TOP_P), int(Opcode.CUT)
TYPICAL_P = int(Opcode.TYPICAL_P)
_TERM = len(Term._fields)
_LOWEST = -1e308
"""A term below, as of 10³⁰⁰ deviations, keeps everything; an infinite bound separates nothing."""
TOP_H = int(Opcode.TOP_H)


@compiled
def sums_of(row: Any, block_max: Any, sums: Any, temperature: Any) -> Any:
    """Σ w and Σ w · gap of a dense row without touched tokens."""
    if sums.known and temperature == 1.0:
        return sums.total, sums.moment
    return weigh(row, largest_of_blocks(row, block_max), 1.0 / temperature)


@compiled
def bound_of(
    item: Any, sparse: Any, largest: Any, total: Any, moment: Any, sigma: Any, squares: Any
) -> Any:
    """The least logit that stays of a cut; see `decoding.kernels.program.cut`.

    total, moment, squares: Σ w, Σ w · gap and Σ w², w relative to the largest logit. sigma: the
    deviation. What the cut does not need is 1, 0, 1 and 0.
    """
    log_total, least = math.log(total), 0.0
    entropy, log_squares = log_total - moment / total, math.log(squares)
    for entry in range(item.sparse_start, item.sparse_stop, _TERM):
        term = (
            sparse[entry].value
            + sparse[entry + 1].value * log_total
            + sparse[entry + 2].value * entropy
            + sparse[entry + 3].value * sigma
            + sparse[entry + 4].value * log_squares
        )
        least = min(least, term)
    return largest + max(least, _LOWEST)


@compiled
def truncate(
    dense: Any,
    block_max: Any,
    largest: Any,
    sums: Any,
    item: Any,
    sparse: Any,
    touched: Any,
    limit: Any,
    memory: Any,
) -> Any:
    """The first truncation of a dense row: candidates, or the bounds of a shadow.

    largest: the row's largest logit, not looked at for top-k. The row has no touched tokens and no
    masks but for top-k and cuts that need no statistics. Bounds that are NaN: the row's numbers are
    beyond this arithmetic. No number of candidates, −1, and bounds that keep everything: it must be
    a shadow of temperature 1 first.
    """
    row, temperature, first, opcode = dense.row, dense.temperature, item.first, item.opcode
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    keys, weights = memory.doubles[KEYS], memory.doubles[WEIGHTS]
    low, high, last_tie = -np.inf, np.inf, np.int64(row.width)
    can_bound = has_bounds(dense, touched)
    if opcode == TOP_K:
        k, keeps_ties = np.int64(min(first, np.float64(row.width))), item.second == 1.0
        count = collect_largest(dense, block_max, k, limit, touched, memory)
        if count >= 0:
            count = keep_top_k(ids, logits, count, k, keeps_ties, keys, memory.doubles[VALUES])
        elif can_bound:
            stored = largest_of_blocks(row, block_max)
            wanted = np.float64(k)
            low, high, last_tie = find_bounds(
                row, block_max, stored, stored, 0.0, wanted, limit, keeps_ties, memory
            )
    elif opcode == CUT:
        total, moment, sigma, squares, needs = 1.0, 0.0, 0.0, 1.0, np.int64(first)
        if needs & NEEDS_DEVIATION:
            sigma = deviation(row, largest_of_blocks(row, block_max)) / temperature
            if np.isnan(sigma):
                return -1, sigma, sigma, last_tie
        if needs & NEEDS_TOTAL:
            total, moment = sums_of(row, block_max, sums, temperature)
        if needs & NEEDS_SQUARES:
            squares, _ = weigh(row, largest_of_blocks(row, block_max), 2.0 / temperature)
        bound = bound_of(item, sparse, largest, total, moment, sigma, squares)
        count = collect_reaching(dense, block_max, bound, limit, memory)
        if count >= 0:
            touched_ids, values = memory.integers[TOUCHED_IDS], memory.doubles[TOUCHED]
            count = append_touched(touched_ids, values, touched, bound, np.inf, ids, logits, count)
        elif can_bound:
            low = smallest_at_least(row, bound, temperature)
    elif opcode == TOP_H:
        count = top_h_of_row(row, block_max, largest, temperature, first, memory)
    else:
        is_typical = opcode == TYPICAL_P
        total, moment = sums_of(row, block_max, sums, temperature)
        centre, target = largest, first * total
        if is_typical:
            centre += moment / total
        count, reach = collect_nearest(
            row, block_max, temperature, largest, total, centre, first, limit, memory
        )
        if count >= 0:
            count = keep_nearest(
                ids, logits, count, centre, reach, target, is_typical, keys, weights,
                memory.doubles[VALUES], memory.integers[PLACES], memory.doubles[HISTOGRAM],
            )  # fmt: skip
        elif can_bound:
            stored = largest_of_blocks(row, block_max)
            middle = centre * temperature if is_typical else stored
            scale = 1.0 / temperature
            low, high, last_tie = find_bounds(
                row, block_max, middle, stored, scale, target, limit, is_typical, memory
            )
    return count, low, high, last_tie


@compiled
def has_bounds(dense: Any, touched: Any) -> Any:
    """Whether bounds of stored logits say what stays: no logit is edited, and no two become ties.

    Two float32 that are not the same never are the same float64 when they are divided.
    """
    is_edited = touched > 0 or dense.masks.slot >= 0
    return not is_edited and (dense.temperature == 1.0 or not is_wide(dense.row))


@compiled
def smallest_at_least(row: Any, bound: Any, temperature: Any) -> Any:
    """A number of the row's precision that separates z / T ≥ bound from the rest."""
    low = as_real(row, bound * temperature)
    while low / temperature >= bound:
        low = below_of(row, low)
    while low / temperature < bound:
        low = above_of(row, low)
    return low
