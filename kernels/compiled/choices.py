"""Numba functions: XTC, and biases and scales of chosen tokens."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.candidates import largest_of
from decoding.kernels.compiled.dense import collect_reaching, weigh_entries
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import IDS, LOGITS, TOUCHED, WEIGHTS
from decoding.kernels.compiled.passes import count_between, lowest_finite
from decoding.kernels.compiled.state import row_in
from decoding.kernels.compiled.touched import touch
from decoding.kernels.compiled.truncation import sums_of

_LARGEST = 1.7976931348623157e308


@compiled
def _is_exempt(token_id: Any, item: Any, step: Any) -> Any:
    """Whether an instruction names the token."""
    for entry in range(item.sparse_start, item.sparse_stop):
        if step.sparse[entry].token_id == token_id:
            return True
    return False


@compiled
def _is_removed(place: Any, bound: Any, least: Any, item: Any, step: Any) -> Any:
    """Whether a listed token is above the least likely of those that reach a bound."""
    logit = step.memory.doubles[LOGITS][place]
    return (
        logit >= bound
        and logit > least
        and not _is_exempt(step.memory.integers[IDS][place], item, step)
    )


@compiled
def _removals(count: Any, bound: Any, item: Any, step: Any) -> Any:
    """The least of the listed logits that reach a bound, and how many tokens XTC removes."""
    logits, least, removed = step.memory.doubles[LOGITS], np.inf, 0
    for place in range(count):
        if logits[place] >= bound:
            least = min(least, logits[place])
    for place in range(count):
        removed += _is_removed(place, bound, least, item, step)
    return least, removed


@compiled
def _bound(threshold: Any, largest: Any, total: Any) -> Any:
    """The least logit of probability `threshold`."""
    return largest + math.log(total) + math.log(threshold) if threshold > 0.0 else -np.inf


@compiled
def xtc_of_row(item: Any, step: Any) -> Any:
    """Remove XTC's tokens from a dense row without edits by touching them.

    Returns whether that can be done: not where more tokens than are listed reach the threshold.
    """
    row, state, ids = row_in(step), step.state, step.memory.integers[IDS]
    largest = state.largest / state.temperature
    total = state.total
    if state.sums_temperature != state.temperature:
        total, _ = sums_of(step)
    bound = _bound(item.first, largest, total)
    count = collect_reaching(step, step.memory.doubles[state.maxima], bound, bound, step.limit)
    if count < 0:
        return False
    least, removed = _removals(count, -np.inf, item, step)
    if item.second > 1.0 and count_between(row, lowest_finite(row), np.inf) - removed < item.second:
        return True
    for place in range(count):
        if _is_removed(place, -np.inf, least, item, step):
            at = touch(step, np.int64(ids[place]))
            step.memory.doubles[TOUCHED][at] = -np.inf
    return True


@compiled
def keep_xtc(count: Any, item: Any, step: Any) -> Any:
    """Remove XTC's tokens from the candidates; return how many are left."""
    ids, logits = step.memory.integers[IDS], step.memory.doubles[LOGITS]
    largest = largest_of(logits, count)
    total, _ = weigh_entries(logits, count, largest, step.memory.doubles[WEIGHTS])
    bound = _bound(item.first, largest, total)
    least, removed = _removals(count, bound, item, step)
    if count - removed < item.second:
        return count
    kept = 0
    for place in range(count):
        if not _is_removed(place, bound, least, item, step):
            ids[kept], logits[kept] = ids[place], logits[place]
            kept += 1
    return kept


@compiled
def scaled(logit: Any, item: Any) -> Any:
    """z · first if z < 0 else z / second, of one logit; what is finite stays finite."""
    if logit == -np.inf:
        return logit
    logit = logit * item.first if logit < 0.0 else logit / item.second
    return min(max(logit, -_LARGEST), _LARGEST)


@compiled
def scale_named(item: Any, step: Any) -> Any:
    """Scale the tokens that an instruction names."""
    logits = step.memory.doubles[LOGITS if step.state.compact else TOUCHED]
    for entry in range(item.sparse_start, item.sparse_stop):
        if step.sparse[entry].token_id < step.vocab:
            place = touch(step, step.sparse[entry].token_id)
            if place >= 0:
                logits[place] = scaled(logits[place], item)


@compiled
def add_biases(step: Any, entries: Any, first: Any, last: Any) -> Any:
    """Bias the named tokens; whether any of them was banned."""
    bans = False
    logits = step.memory.doubles[LOGITS if step.state.compact else TOUCHED]
    for entry in range(first, last):
        if entries[entry].token_id < step.vocab:
            place = touch(step, entries[entry].token_id)
            if place >= 0:
                logits[place] += entries[entry].value
                bans |= entries[entry].value == -np.inf
    return bans
