"""Numba: counts by token the part of a row's history that an instruction reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import OCCURRENCES, SLOT, TOUCHED_IDS
from decoding.kernels.compiled.touched import read_touched
from decoding.kernels.program import Part

PROMPT, GENERATED = int(Part.PROMPT), int(Part.GENERATED)


@compiled
def scope_of(item: Any, step: Any) -> Any:
    """The start and stop of the part of a history that an instruction reads."""
    start, stop = np.int64(0), np.int64(len(step.history))
    if item.part == PROMPT:
        stop = np.int64(step.prompt_length)
    elif item.part == GENERATED:
        start = np.int64(step.prompt_length)
    if item.last_n > 0:
        start = max(start, stop - item.last_n)
    return start, stop


@compiled
def count_scope(item: Any, step: Any) -> Any:
    """Into `OCCURRENCES` how often each listed token is in an instruction's scope.

    0 for the exempt. Tokens of a dense row that are in it are touched.
    """
    state, memory = step.state, step.memory
    counts, slot = memory.integers[OCCURRENCES], memory.integers[SLOT]
    touched_ids, before, listed = memory.integers[TOUCHED_IDS], state.count, state.count
    compact = state.compact
    start, stop = scope_of(item, step)
    for place in range(before):
        counts[place] = 0
    for index in range(start, stop):
        token_id = np.int64(step.history[index])
        if not 0 <= token_id < step.vocab:
            continue
        known = np.int64(slot[token_id]) - 1
        if known >= 0:
            counts[known] += 1
        elif not compact:
            # As `enlist` does; a number in memory that each token waits for takes longer.
            touched_ids[listed], counts[listed] = token_id, 1
            listed += 1
            slot[token_id] = listed
    state.count = listed
    read_touched(step, before)
    for entry in range(item.sparse_start, item.sparse_stop):
        token_id = step.sparse[entry].token_id
        if token_id < step.vocab and slot[token_id] != 0:
            counts[slot[token_id] - 1] = 0


@compiled
def names(item: Any, sparse: Any, token_id: Any) -> Any:
    """Whether an instruction names a token: by bisection, as what it names is sorted."""
    first, last = item.sparse_start, item.sparse_stop
    while first < last:
        middle = (first + last) // 2
        if sparse[middle].token_id < token_id:
            first = middle + 1
        else:
            last = middle
    return first < item.sparse_stop and sparse[first].token_id == token_id
