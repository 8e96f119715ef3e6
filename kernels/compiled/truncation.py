"""Numba functions that run a row's first truncation, giving candidates or bounds of logits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.bounds import Search, as_row, find_bounds
from decoding.kernels.compiled.candidates import keep_top_k
from decoding.kernels.compiled.dense import collect_largest, collect_reaching, keep_window_of
from decoding.kernels.compiled.entropy import top_h_of_row
from decoding.kernels.compiled.final import bound_blocks, count_ties, keep_ties, largest_final
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.passes import (
    blocks_of,
    deviation,
    largest_of_blocks,
    weigh,
)
from decoding.kernels.compiled.scalars import as_real
from decoding.kernels.compiled.state import (
    BEYOND,
    can_window,
    has_bounds,
    is_cut,
    is_edited,
    is_flat,
    keep_window,
    row_in,
)
from decoding.kernels.program import NEEDS_DEVIATION, NEEDS_SQUARES, NEEDS_TOTAL, Opcode, Term

TOP_K, TOP_P, CUT = int(Opcode.TOP_K), int(Opcode.TOP_P), int(Opcode.CUT)
TYPICAL_P = int(Opcode.TYPICAL_P)
_TERM = len(Term._fields)
_LOWEST = -1e308
"""A term below, as of 10³⁰⁰ deviations, keeps everything; an infinite bound separates nothing."""
TOP_H = int(Opcode.TOP_H)
_FEW = 1_024
"""More candidates are not listed for the draw alone; four times as many where no sum is known."""


@compiled
def sums_of(step: Any) -> Any:
    """Σ w and Σ w · gap of a dense row without edits."""
    row, state = row_in(step), step.state
    known = state.sums_temperature == state.temperature and not np.isnan(state.moment)
    if not known and not is_flat(step):
        largest = largest_of_blocks(row, step.memory.doubles[step.state.maxima])
        state.total, state.moment = weigh(row, largest, 1.0 / state.temperature)
        state.sums_temperature = state.temperature
    return state.total, state.moment


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
def search_by_mass(step: Any, share: Any, is_typical: Any) -> Any:
    """The window of top-p or typical-p of a dense row without edits."""
    row, block_max, state = row_in(step), step.memory.doubles[step.state.maxima], step.state
    stored, temperature, scale = (
        largest_of_blocks(row, block_max),
        state.temperature,
        1.0 / state.temperature,
    )
    total, moment = np.nan, 0.0
    if is_typical or is_flat(step):
        total, moment = sums_of(step)
    elif state.sums_temperature == temperature:
        total = state.total
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
    return find_bounds(row, block_max, search, total, far, step.memory)


@compiled
def _largest_by_search(step: Any, k: Any, keep_ties: Any) -> Any:
    """The window of the k largest of a row."""
    row, block_max = row_in(step), step.memory.doubles[step.state.maxima]
    stored = largest_of_blocks(row, block_max)
    search = Search(stored, stored, False, stored, 0.0, np.float64(k), keep_ties)
    return find_bounds(row, block_max, search, 0.0, np.inf, step.memory)


@compiled
def _top_k(item: Any, step: Any) -> Any:
    """The count of candidates, −1 where a window is kept instead, or nothing is done."""
    k, keeps_ties = np.int64(min(item.first, np.float64(step.vocab))), item.second == 1.0
    count, tie = collect_largest(step, step.memory.doubles[step.state.maxima], k, step.limit, True)
    if not np.isnan(tie):
        if can_window(step):
            bound_blocks(step)
            ties = count_ties(step, tie, step.vocab)
            wanted = ties if keeps_ties else min(k - count, ties)
            keep_ties(step, tie, count, wanted, step.vocab, ties)
        return np.int64(-1)
    if count >= 0:
        return keep_top_k(count, k, keeps_ties, step.memory)
    if has_bounds(step):
        keep_window(step, _largest_by_search(step, k, keeps_ties))
    return np.int64(-1)


@compiled
def _cut(item: Any, step: Any, few: Any) -> Any:
    """The same for a cut, of which no more than 4 · `few` candidates are listed where bounds do."""
    row, state, block_max = row_in(step), step.state, step.memory.doubles[step.state.maxima]
    total, moment, sigma, squares, needs = 1.0, 0.0, 0.0, 1.0, np.int64(item.first)
    largest = state.largest / state.temperature
    if is_edited(step):
        bound_blocks(step)
        largest = largest_final(step)
    if needs & NEEDS_DEVIATION:
        sigma = deviation(row, largest_of_blocks(row, block_max)) / state.temperature
        if np.isnan(sigma):
            state.outcome = BEYOND
            return np.int64(-1)
    if needs & NEEDS_TOTAL:
        total, moment = sums_of(step)
    if needs & NEEDS_SQUARES:
        squares, _ = weigh(row, largest_of_blocks(row, block_max), 2.0 / state.temperature)
    bound = bound_of(item, step.sparse, largest, total, moment, sigma, squares)
    most = min(step.limit, 4 * few) if has_bounds(step) else step.limit
    count = collect_reaching(step, block_max, bound, bound, most)
    if count < 0 and can_window(step):
        state.low = bound
    return np.int64(count)


@compiled
def truncate(item: Any, step: Any, is_last: Any) -> Any:
    """Run the first truncation of a dense row; the count of candidates, or −1: a window is kept.

    is_last: whether nothing but the draw looks at the row afterwards. The row has no touched tokens
    and no masks but for top-k and cuts that need no statistics. Where no window is kept either, the
    row must be a shadow of temperature 1 first, or its numbers are beyond this arithmetic.
    """
    opcode, few = item.opcode, min(step.limit, _FEW) if is_last else step.limit
    if opcode == TOP_K:
        return _top_k(item, step)
    if opcode == CUT:
        return _cut(item, step, few)
    if opcode == TOP_H:
        return np.int64(top_h_of_row(item, step))
    if not has_bounds(step):
        return np.int64(-1)
    window = search_by_mass(step, item.first, opcode == TYPICAL_P)
    keep_window(step, window)
    if window.support <= few and is_cut(step):
        low = step.state.low
        count = collect_reaching(step, step.memory.doubles[step.state.maxima], low, low, few)
        return keep_window_of(step, count)
    return np.int64(-1)
