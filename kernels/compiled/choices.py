"""XTC, and edits of chosen tokens: biases, and scales that depend on the sign of the logit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.candidates import keep_possible, largest_of, mark, unmark
from decoding.kernels.compiled.dense import weigh_entries
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import IDS, LOGITS, SLOT, TOUCHED, WEIGHTS
from decoding.kernels.compiled.passes import collect, count_between, lowest_finite
from decoding.kernels.compiled.touched import touch
from decoding.kernels.compiled.truncation import sums_of

_LARGEST = 1.7976931348623157e308


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
def xtc_of_row(
    row: Any,
    tail: Any,
    block_max: Any,
    largest: Any,
    sums: Any,
    scale: Any,
    item: Any,
    sparse: Any,
    limit: Any,
    memory: Any,
) -> Any:
    """Touch what XTC removes from a dense row without touched tokens; how many these are.

    −1 where more than `limit` tokens reach the threshold.
    """
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    total = 1.0
    if item.first > 0.0:
        total, _ = sums_of(row, tail, largest, sums, scale)
    bound = _bound(item.first, largest, total)
    slot = memory.integers[SLOT]
    count = collect(row, tail, block_max, scale, bound, np.inf, limit, 1, slot, ids, logits, 0)
    if count < 2:
        return min(count, 0)
    least, removed = np.inf, 0
    for place in range(count):
        least = min(least, logits[place])
    for place in range(count):
        removed += logits[place] > least and not _is_exempt(ids[place], item, sparse)
    if item.second > 1.0:
        alive = count_between(row, tail, lowest_finite(row), np.inf)
        if alive - removed < item.second:
            return 0
    touched = 0
    for place in range(count):
        if logits[place] > least and not _is_exempt(ids[place], item, sparse):
            at, touched = touch(row, np.int64(ids[place]), scale, memory, touched)
            memory.doubles[TOUCHED][at] = -np.inf
    return touched


@compiled
def keep_xtc(count: Any, item: Any, sparse: Any, memory: Any) -> Any:
    """The candidates that XTC leaves; how many."""
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
def scale_touched(
    row: Any, item: Any, sparse: Any, scale: Any, vocab: Any, memory: Any, count: Any
) -> Any:
    """Scale the named tokens of a dense row, which touches them; how many are touched now."""
    for entry in range(item.sparse_start, item.sparse_stop):
        if sparse[entry].token_id < vocab:
            place, count = touch(row, sparse[entry].token_id, scale, memory, count)
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
    row: Any, entries: Any, first: Any, last: Any, scale: Any, vocab: Any, memory: Any, count: Any
) -> Any:
    """Bias the named tokens of a dense row, which touches them.

    Returns how many are touched now, and whether any of the named was banned.
    """
    bans = False
    for entry in range(first, last):
        if entries[entry].token_id < vocab:
            place, count = touch(row, entries[entry].token_id, scale, memory, count)
            memory.doubles[TOUCHED][place] += entries[entry].value
            bans |= entries[entry].value == -np.inf
    return count, bans


@compiled
def bias_candidates(
    entries: Any, first: Any, last: Any, vocab: Any, memory: Any, count: Any
) -> Any:
    """Bias the named ones of candidates; how many are left."""
    slot, ids, logits = memory.integers[SLOT], memory.integers[IDS], memory.doubles[LOGITS]
    mark(slot, ids, count)
    for entry in range(first, last):
        token_id = entries[entry].token_id
        if token_id < vocab and slot[token_id] != 0:
            logits[slot[token_id] - 1] += entries[entry].value
    unmark(slot, ids, count)
    return keep_possible(ids, logits, count)
