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
)
from decoding.kernels.compiled.entropy import top_h_of_row
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import (
    HISTOGRAM,
    IDS,
    KEYS,
    LOGITS,
    PLACES,
    SLOT,
    TOUCHED,
    TOUCHED_IDS,
    VALUES,
    WEIGHTS,
)
from decoding.kernels.compiled.passes import (
    collect,
    deviation,
    is_wide,
    largest_of_blocks,
    weigh,
)
from decoding.kernels.compiled.scalars import as_real
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
def sums_of(row: Any, tail: Any, block_max: Any, sums: Any, temperature: Any) -> Any:
    """Σ w and Σ w · gap of a dense row without touched tokens."""
    if sums.known and temperature == 1.0:
        return sums.total, sums.moment
    return weigh(row, tail, largest_of_blocks(row, tail, block_max), 1.0 / temperature)


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
    row: Any,
    tail: Any,
    block_max: Any,
    largest: Any,
    sums: Any,
    opcode: Any,
    item: Any,
    sparse: Any,
    state: Any,
    limit: Any,
    memory: Any,
) -> Any:
    """The first truncation of a dense row: candidates, or the bounds of a shadow.

    largest: the row's largest logit, not looked at for top-k. The row has no touched tokens but for
    top-k and cuts that need no statistics. Bounds that are NaN: the row's numbers are beyond this
    arithmetic. No number of candidates, −1, and bounds that keep everything: it must be a shadow of
    temperature 1 first.
    """
    temperature, touched, first = state.temperature, state.count, item.first
    ids, logits, keys, weights = (
        memory.integers[IDS],
        memory.doubles[LOGITS],
        memory.doubles[KEYS],
        memory.doubles[WEIGHTS],
    )
    low, high, last_tie = -np.inf, np.inf, np.int64(len(row))
    can_bound = has_bounds(row, touched, temperature)
    if opcode == TOP_K:
        k = np.int64(min(first, np.float64(len(row))))
        count = collect_largest(
            row,
            tail,
            block_max,
            temperature,
            k,
            limit,
            memory.integers[SLOT],
            memory.integers[TOUCHED_IDS],
            memory.doubles[TOUCHED],
            touched,
            ids,
            logits,
            memory.doubles[VALUES],
        )
        if count >= 0:
            count = keep_top_k(
                ids, logits, count, k, item.second == 1.0, keys, memory.doubles[VALUES]
            )
        elif can_bound:
            stored = largest_of_blocks(row, tail, block_max)
            low, high, last_tie = find_bounds(
                row,
                tail,
                block_max,
                stored,
                stored,
                0.0,
                np.float64(k),
                limit,
                item.second == 1.0,
                memory,
            )
    elif opcode == CUT:
        total, moment, sigma, squares, needs = 1.0, 0.0, 0.0, 1.0, np.int64(first)
        if needs & NEEDS_DEVIATION:
            sigma = deviation(row, tail, largest_of_blocks(row, tail, block_max)) / temperature
            if np.isnan(sigma):
                return -1, sigma, sigma, last_tie
        if needs & NEEDS_TOTAL:
            total, moment = sums_of(row, tail, block_max, sums, temperature)
        if needs & NEEDS_SQUARES:
            stored = largest_of_blocks(row, tail, block_max)
            squares, _ = weigh(row, tail, stored, 2.0 / temperature)
        bound = bound_of(item, sparse, largest, total, moment, sigma, squares)
        count = collect(
            row,
            tail,
            block_max,
            temperature,
            bound,
            np.inf,
            limit,
            1,
            memory.integers[SLOT],
            ids,
            logits,
            0,
        )
        if count >= 0:
            count = append_touched(
                memory.integers[TOUCHED_IDS],
                memory.doubles[TOUCHED],
                touched,
                bound,
                np.inf,
                ids,
                logits,
                count,
            )
        elif can_bound:
            low = smallest_at_least(row, bound, temperature)
    elif opcode == TOP_H:
        count = top_h_of_row(row, tail, block_max, largest, temperature, first, memory)
    else:
        total, moment = sums_of(row, tail, block_max, sums, temperature)
        centre = largest if opcode == TOP_P else largest + moment / total
        count, reach = collect_nearest(
            row,
            tail,
            block_max,
            temperature,
            largest,
            total,
            centre,
            first,
            limit,
            memory.integers[SLOT],
            ids,
            logits,
            weights,
            memory.doubles[VALUES],
            memory.doubles[HISTOGRAM],
        )
        if count >= 0:
            count = keep_nearest(
                ids,
                logits,
                count,
                centre,
                reach,
                first * total,
                opcode == TYPICAL_P,
                keys,
                weights,
                memory.doubles[VALUES],
                memory.integers[PLACES],
                memory.doubles[HISTOGRAM],
            )
        elif can_bound:
            stored = largest_of_blocks(row, tail, block_max)
            low, high, last_tie = find_bounds(
                row,
                tail,
                block_max,
                stored if opcode == TOP_P else centre * temperature,
                stored,
                1.0 / temperature,
                first * total,
                limit,
                opcode == TYPICAL_P,
                memory,
            )
    return count, low, high, last_tie


@compiled
def has_bounds(row: Any, touched: Any, temperature: Any) -> Any:
    """Whether bounds of stored logits say what stays: no logit is edited, and no two become ties.

    Two float32 that are not the same never are the same float64 when they are divided.
    """
    return touched == 0 and (temperature == 1.0 or not is_wide(row))


@compiled
def smallest_at_least(row: Any, bound: Any, temperature: Any) -> Any:
    """A number of the row's precision that separates z / T ≥ bound from the rest."""
    low = np.float64(as_real(row, bound * temperature))
    while low / temperature >= bound:
        low = np.float64(np.nextafter(as_real(row, low), as_real(row, -np.inf)))
    while low / temperature < bound:
        low = np.float64(np.nextafter(as_real(row, low), as_real(row, np.inf)))
    return low
