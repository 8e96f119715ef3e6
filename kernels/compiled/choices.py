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
from decoding.kernels.compiled.scopes import names
from decoding.kernels.compiled.state import row_in
from decoding.kernels.compiled.touched import touch
from decoding.kernels.compiled.truncation import sums_of
from decoding.kernels.program import Opcode

LOGIT_SCALE = int(Opcode.LOGIT_SCALE)
_LARGEST = 1.7976931348623157e308


@compiled
def run_xtc(item: Any, step: Any) -> Any:
    """Set the logits of the tokens that XTC removes to −inf; in a dense row, as touched tokens.

    A dense row has no edits. Returns whether that can be done: not where more tokens than are
    listed reach the threshold.
    """
    state, ids, logits = step.state, step.memory.integers[IDS], step.memory.doubles[LOGITS]
    if state.compact:
        largest, alive = largest_of(logits, state.count), state.count
        total, _ = weigh_entries(logits, state.count, largest, step.memory.doubles[WEIGHTS])
    else:
        largest, alive = state.largest / state.temperature, step.vocab
        total = state.total
        if state.sums_temperature != state.temperature:
            total, _ = sums_of(step)
    bound = largest + math.log(total) + math.log(item.first) if item.first > 0.0 else -np.inf
    count = alive
    if not state.compact:
        maxima = step.memory.doubles[state.maxima]
        count = collect_reaching(step, maxima, bound, bound, step.limit)
    if count < 0:
        return False
    least, removed = np.inf, 0
    for place in range(count):
        if logits[place] >= bound:
            least = min(least, logits[place])
    for place in range(count):
        removed += _is_removed(place, bound, least, item, step)
    if item.second > 1.0 and not state.compact:
        alive = count_between(row_in(step), lowest_finite(row_in(step)), np.inf)
    if alive - removed < item.second:
        return True
    for place in range(count):
        if _is_removed(place, bound, least, item, step):
            if state.compact:
                logits[place] = -np.inf
            else:
                step.memory.doubles[TOUCHED][touch(step, np.int64(ids[place]))] = -np.inf
    return True


@compiled
def _is_removed(place: Any, bound: Any, least: Any, item: Any, step: Any) -> Any:
    """Whether a listed token is above the least likely of those that reach a bound."""
    logit, token_id = step.memory.doubles[LOGITS][place], step.memory.integers[IDS][place]
    return logit >= bound and logit > least and not names(item, step.sparse, token_id)


@compiled
def scaled(logit: Any, item: Any) -> Any:
    """z · first if z < 0 else z / second, of one logit; what is finite stays finite."""
    if logit == -np.inf:
        return logit
    logit = logit * item.first if logit < 0.0 else logit / item.second
    return min(max(logit, -_LARGEST), _LARGEST)


@compiled
def edit_named(step: Any, entries: Any, first: Any, last: Any, item: Any) -> Any:
    """Scale the named tokens, or add a bias to each; whether any of them was banned."""
    scales, bans = item.opcode == LOGIT_SCALE, False
    logits = step.memory.doubles[LOGITS if step.state.compact else TOUCHED]
    for entry in range(first, last):
        if entries[entry].token_id < step.vocab:
            place = touch(step, entries[entry].token_id)
            if place >= 0 and scales:
                logits[place] = scaled(logits[place], item)
            elif place >= 0:
                logits[place] += entries[entry].value
                bans |= entries[entry].value == -np.inf
    return bans
