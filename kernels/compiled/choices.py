"""Numba functions: XTC, and biases and repetition penalties of chosen tokens."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.candidates import (
    keep_at_least,
    keep_possible,
    largest_of,
    mark,
    unmark,
)
from decoding.kernels.compiled.dense import weigh_entries
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import IDS, LOGITS, SLOT, TOUCHED, VALUES, WEIGHTS
from decoding.kernels.compiled.passes import collect, count_between, lowest_finite
from decoding.kernels.compiled.touched import touch
from decoding.kernels.compiled.truncation import sums_of

_LARGEST = 1.7976931348623157e308
_ROUNDING = 1e-6
"""More than the relative error of a row's sums."""
_FARTHEST_REFERENCE = 64.0
"""How far from the largest logit the sums of a row were taken, and more."""
_FEW = 512
"""The most tokens that are listed to find bounds."""
_DEEPER = 2.0
"""By how much less likely tokens are listed too, so that less is left to bounds."""


@compiled
def _is_exempt(token_id: Any, item: Any, sparse: Any) -> Any:
    """Whether an instruction names the token."""
    for entry in range(item.sparse_start, item.sparse_stop):
        if sparse[entry].token_id == token_id:
            return True
    return False


@compiled
def _bound(threshold: Any, largest: Any, total: Any) -> Any:
    """The least logit of probability `threshold`."""
    return largest + math.log(total) + math.log(threshold) if threshold > 0.0 else -np.inf


@compiled
def _bounds_of_total(total: Any, moment: Any, error: Any, highest: Any, scale: Any) -> Any:
    """Bounds of Σ exp(gap · scale), scale ≥ 1, where Σ w and Σ w · gap are known, w = exp(gap).

    The sum's logarithm is convex in the scale, so it lies above its tangent at 1; and no gap is
    above `highest`, which is at most 0. error: by how much Σ w and Σ w · gap may be wrong.
    """
    least, low = total - error, 0.0
    if least > 0.0:
        low = least * math.exp((scale - 1.0) * min((moment - error) / least, highest))
    return low, (total + error) * math.exp((scale - 1.0) * highest)


@compiled
def _bounds_by_listed(
    largest: Any, sums: Any, temperature: Any, bound: Any, error: Any, count: Any, memory: Any
) -> Any:
    """Bounds of a row's Σ w as it is scaled, where its logits from `bound` on are listed."""
    logits, stored, weights = (
        memory.doubles[LOGITS],
        memory.doubles[VALUES],
        memory.doubles[WEIGHTS],
    )
    for place in range(count):
        stored[place] = logits[place] * temperature
    weight, first = weigh_entries(stored, count, largest * temperature, weights)
    listed, _ = weigh_entries(logits, count, largest, weights)
    highest = min((bound - largest) * temperature, 0.0)
    rest = _bounds_of_total(
        sums.total - weight, sums.moment - first, error, highest, 1.0 / temperature
    )
    return listed + rest[0], listed + rest[1]


@compiled
def _list_reaching(
    row: Any,
    block_max: Any,
    largest: Any,
    sums: Any,
    temperature: Any,
    threshold: Any,
    limit: Any,
    memory: Any,
) -> Any:
    """List the tokens of a dense row whose probability is at least `threshold`; return their count.

    −1 where these are more than `limit`. Where few tokens are the most of a row, they and its sums
    as it is stored say almost what its sum as it is scaled is. It is weighed once more only if that
    leaves some token in doubt.
    """
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    count, total = -1, 1.0
    if threshold > 0.0 and sums.known and temperature <= 1.0:
        error = _ROUNDING * (_FARTHEST_REFERENCE * sums.total - sums.moment)
        low, high = _bounds_of_total(sums.total, sums.moment, error, 0.0, 1.0 / temperature)
        bound = _bound(threshold, largest, max(low, 1.0)) - _DEEPER
        few = min(limit, _FEW)
        count = collect(row, block_max, temperature, bound, np.inf, few, 1, memory)
        if count >= 0:
            low, high = _bounds_by_listed(largest, sums, temperature, bound, error, count, memory)
            surely, perhaps = _bound(threshold, largest, high), _bound(threshold, largest, low)
            settled = True
            for place in range(count):
                settled &= not perhaps <= logits[place] < surely
            if settled:
                return keep_at_least(ids, logits, count, surely)
    if threshold > 0.0:
        total, _ = sums_of(row, block_max, sums, temperature)
    bound = _bound(threshold, largest, total)
    if count >= 0:
        return keep_at_least(ids, logits, count, bound)
    return collect(row, block_max, temperature, bound, np.inf, limit, 1, memory)


@compiled
def xtc_of_row(
    dense: Any,
    block_max: Any,
    largest: Any,
    sums: Any,
    item: Any,
    sparse: Any,
    limit: Any,
    memory: Any,
) -> Any:
    """Remove XTC's tokens from a dense row by touching them; return their count.

    −1 where more than `limit` tokens reach the threshold.
    """
    row, ids, logits = dense.row, memory.integers[IDS], memory.doubles[LOGITS]
    count = _list_reaching(
        row, block_max, largest, sums, dense.temperature, item.first, limit, memory
    )
    if count < 2:
        return min(count, 0)
    least, removed = np.inf, 0
    for place in range(count):
        least = min(least, logits[place])
    for place in range(count):
        removed += logits[place] > least and not _is_exempt(ids[place], item, sparse)
    if item.second > 1.0:
        alive = count_between(row, lowest_finite(row), np.inf)
        if alive - removed < item.second:
            return 0
    touched = 0
    for place in range(count):
        if logits[place] > least and not _is_exempt(ids[place], item, sparse):
            at, touched = touch(dense, np.int64(ids[place]), memory, touched)
            memory.doubles[TOUCHED][at] = -np.inf
    return touched


@compiled
def keep_xtc(count: Any, item: Any, sparse: Any, memory: Any) -> Any:
    """Remove XTC's tokens from the candidates; return how many are left."""
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    largest = largest_of(logits, count)
    total, _ = weigh_entries(logits, count, largest, memory.doubles[WEIGHTS])
    bound = _bound(item.first, largest, total)
    choices, removed, least = 0, 0, np.inf
    for place in range(count):
        if logits[place] >= bound:
            choices += 1
            least = min(least, logits[place])
    if choices < 2:
        return count
    for place in range(count):
        removed += logits[place] > least and not _is_exempt(ids[place], item, sparse)
    if count - removed < item.second:
        return count
    kept = 0
    for place in range(count):
        if logits[place] <= least or _is_exempt(ids[place], item, sparse):
            ids[kept], logits[kept] = ids[place], logits[place]
            kept += 1
    return kept


@compiled
def scaled(logit: Any, item: Any) -> Any:
    """A logit after a scale; what is finite stays finite."""
    if logit == -np.inf:
        return logit
    logit = logit * item.first if logit < 0.0 else logit / item.second
    return min(max(logit, -_LARGEST), _LARGEST)


@compiled
def scale_touched(dense: Any, item: Any, sparse: Any, vocab: Any, memory: Any, count: Any) -> Any:
    """Scale the named tokens of a dense row by touching them; return the count of touched ones."""
    for entry in range(item.sparse_start, item.sparse_stop):
        if sparse[entry].token_id < vocab:
            place, count = touch(dense, sparse[entry].token_id, memory, count)
            memory.doubles[TOUCHED][place] = scaled(memory.doubles[TOUCHED][place], item)
    return count


@compiled
def scale_candidates(item: Any, sparse: Any, vocab: Any, memory: Any, count: Any) -> Any:
    """Scale the named ones of candidates."""
    slot, logits = memory.integers[SLOT], memory.doubles[LOGITS]
    mark(slot, memory.integers[IDS], count)
    for entry in range(item.sparse_start, item.sparse_stop):
        token_id = sparse[entry].token_id
        if token_id < vocab and slot[token_id] != 0:
            logits[slot[token_id] - 1] = scaled(logits[slot[token_id] - 1], item)
    unmark(slot, memory.integers[IDS], count)


@compiled
def bias_touched(
    dense: Any,
    entries: Any,
    first: Any,
    last: Any,
    vocab: Any,
    memory: Any,
    count: Any,
) -> Any:
    """Bias the named tokens of a dense row, which touches them.

    Returns how many are touched now, and whether any of the named was banned.
    """
    bans = False
    for entry in range(first, last):
        if entries[entry].token_id < vocab:
            place, count = touch(dense, entries[entry].token_id, memory, count)
            memory.doubles[TOUCHED][place] += entries[entry].value
            bans |= entries[entry].value == -np.inf
    return count, bans


@compiled
def bias_candidates(
    entries: Any, first: Any, last: Any, vocab: Any, memory: Any, count: Any
) -> Any:
    """Bias the named candidates; return how many are left."""
    slot, ids, logits = memory.integers[SLOT], memory.integers[IDS], memory.doubles[LOGITS]
    mark(slot, ids, count)
    for entry in range(first, last):
        token_id = entries[entry].token_id
        if token_id < vocab and slot[token_id] != 0:
            logits[slot[token_id] - 1] += entries[entry].value
    unmark(slot, ids, count)
    return keep_possible(ids, logits, count)
