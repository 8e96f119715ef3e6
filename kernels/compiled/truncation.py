"""Numba functions that run a row's first truncation, giving candidates or bounds of logits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.bounds import Search, as_row, find_bounds
from decoding.kernels.compiled.candidates import keep_top_k
from decoding.kernels.compiled.dense import collect_largest, collect_reaching
from decoding.kernels.compiled.entropy import top_h_of_row
from decoding.kernels.compiled.final import (
    can_window,
    count_ties,
    final_of,
    has_bounds,
    window_of_ties,
)
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import (
    IDS,
    LOGITS,
)
from decoding.kernels.compiled.passes import (
    blocks_of,
    collect,
    deviation,
    everything,
    interval,
    is_whole,
    largest_of_blocks,
    smallest_at_least,
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
_FEW = 1_024
"""More candidates are not listed for the draw alone; four times as many where no sum is known."""


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
    """The least logit that a cut keeps; see `decoding.kernels.program.cut`.

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
def search_by_mass(
    row: Any, block_max: Any, temperature: Any, sums: Any, share: Any, is_typical: Any, memory: Any
) -> Any:
    """The window of top-p or typical-p of a dense row without edits."""
    stored, scale = largest_of_blocks(row, block_max), 1.0 / temperature
    total, moment = np.nan, 0.0
    if is_typical or (sums.known and temperature == 1.0):
        total, moment = sums_of(row, block_max, sums, temperature)
    centre = stored + moment / total * temperature if is_typical else stored
    two_sided, middle = centre < stored, as_real(row, min(centre, stored))
    search = Search(centre, middle, two_sided, stored, scale, share, is_typical)
    # Tokens below largest + ln((1 − share) · Z / V) weigh less than (1 − share) · Z between them.
    # Where Z is not known, what the largest tokens of the blocks weigh stands for it.
    least = total
    if np.isnan(total):
        least, _ = weigh(as_row(block_max, blocks_of(row), True), stored, scale)
    rest = max(1.0 - share, 1e-300) * least / row.width
    far = max(stored - middle, middle - stored - math.log(rest) * temperature) * (1.0 + 1e-6)
    return find_bounds(row, block_max, search, total, far, memory)


@compiled
def _largest_by_search(row: Any, block_max: Any, k: Any, keep_ties: Any, memory: Any) -> Any:
    """The window of the k largest of a row."""
    stored = largest_of_blocks(row, block_max)
    search = Search(stored, stored, False, stored, 0.0, np.float64(k), keep_ties)
    return find_bounds(row, block_max, search, 0.0, np.inf, memory)


@compiled
def collect_window(
    row: Any, block_max: Any, temperature: Any, window: Any, limit: Any, memory: Any
) -> Any:
    """List the tokens of a window; return their count, −1 beyond a limit."""
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    low, high = window.low / temperature, window.high / temperature
    count = collect(row, block_max, temperature, low, high, limit, 1, memory)
    if window.last_tie >= row.width:
        return count
    kept = 0
    for place in range(count):
        if logits[place] > low or ids[place] <= window.last_tie:
            ids[kept], logits[kept] = ids[place], logits[place]
            kept += 1
    return min(count, np.int64(kept)) if count >= 0 else count


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
    is_last: Any,
    memory: Any,
) -> Any:
    """Run the first truncation of a dense row: the count of candidates, or −1 and a window.

    largest: the row's largest logit, not looked at for top-k. is_last: whether nothing but the draw
    looks at the row afterwards. The row has no touched tokens and no masks but for top-k and cuts
    that need no statistics. A window whose low bound is NaN: the row's numbers are beyond this
    arithmetic; one that keeps everything, where `has_bounds` says no: the row must be a shadow of
    temperature 1 first.
    """
    row, temperature, first, opcode = dense.row, dense.temperature, item.first, item.opcode
    window, count = everything(row.width), np.int64(-1)
    can_bound = has_bounds(dense, touched)
    few = min(limit, _FEW) if is_last else limit
    if opcode == TOP_K:
        k, keeps_ties = np.int64(min(first, np.float64(row.width))), item.second == 1.0
        count, tie = collect_largest(dense, block_max, k, limit, touched, True, memory)
        if not np.isnan(tie) and can_window(dense):
            final = final_of(dense, block_max, window, touched, memory)
            ties = count_ties(final, tie, row.width, memory)
            wanted = ties if keeps_ties else min(k - count, ties)
            window = window_of_ties(final, tie, count, wanted, row.width, ties, memory)
            count = np.int64(-1)
        elif not np.isnan(tie):
            count = np.int64(-1)
        elif count >= 0:
            count = keep_top_k(count, k, keeps_ties, memory)
        elif can_bound:
            window = _largest_by_search(row, block_max, k, keeps_ties, memory)
    elif opcode == CUT:
        total, moment, sigma, squares, needs = 1.0, 0.0, 0.0, 1.0, np.int64(first)
        if needs & NEEDS_DEVIATION:
            sigma = deviation(row, largest_of_blocks(row, block_max)) / temperature
            if np.isnan(sigma):
                return count, _beyond(row)
        if needs & NEEDS_TOTAL:
            total, moment = sums_of(row, block_max, sums, temperature)
        if needs & NEEDS_SQUARES:
            squares, _ = weigh(row, largest_of_blocks(row, block_max), 2.0 / temperature)
        bound = bound_of(item, sparse, largest, total, moment, sigma, squares)
        most = min(limit, 4 * few) if can_bound else limit
        count = collect_reaching(dense, block_max, bound, bound, most, touched, memory)
        if count < 0 and can_window(dense):
            low = smallest_at_least(row, bound, temperature) if can_bound else bound
            window = interval(row, low, np.inf)
    elif opcode == TOP_H:
        count = top_h_of_row(row, block_max, largest, temperature, first, memory)
    elif can_bound:
        is_typical = opcode == TYPICAL_P
        window = search_by_mass(row, block_max, temperature, sums, first, is_typical, memory)
        if window.support <= few and not is_whole(window) and not np.isnan(window.low):
            count = collect_window(row, block_max, temperature, window, few, memory)
    return count, window


@compiled
def _beyond(row: Any) -> Any:
    """The window of a row whose numbers are beyond this arithmetic."""
    return interval(row, np.nan, np.nan)
