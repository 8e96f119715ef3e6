"""The touched tokens of a dense row: penalised or biased, their logits kept beside the row.

`slot[token]` is 1 + its place among the touched, 0 for all others. What must see the row as a whole
gets a *shadow*, a copy in which the touched stand as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from decoding.kernels.compiled.candidates import (
    mark,
    unmark,
)
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import (
    IDS,
    OCCURRENCES,
    SEEN,
    SLOT,
    TOUCHED,
    TOUCHED_IDS,
    VALUES,
)
from decoding.kernels.compiled.passes import (
    block_count,
    copy_row,
    largest_of_blocks,
    lowest_finite,
)
from decoding.kernels.compiled.scalars import value_at


@compiled
def is_precise(logit: Any) -> Any:
    """Whether a float32 in place of this logit changes no logprob by more than 10⁻⁵.

    So it is up to 128; and from 10⁹ on, where neighbours are 64 apart: one is certain, or they tie.
    """
    return abs(logit) <= 128.0 or abs(logit) >= 1e9


@compiled
def touch(row: Any, token_id: Any, scale: Any, memory: Any, count: Any) -> Any:
    """The token's place among the touched, and how many these are now."""
    slot = memory.integers[SLOT]
    if slot[token_id] != 0:
        return np.int64(slot[token_id]) - 1, count
    slot[token_id] = count + 1
    memory.integers[TOUCHED_IDS][count] = token_id
    memory.doubles[TOUCHED][count] = value_at(row, token_id) * scale
    memory.integers[SEEN][count] = 0
    memory.integers[OCCURRENCES][count] = 0
    return count, count + 1


@compiled
def walk(
    row: Any, history: Any, prompt_length: Any, vocab: Any, scale: Any, memory: Any, count: Any
) -> Any:
    """Touch every token of the history and note how often it was generated."""
    for index in range(len(history)):
        token_id = np.int64(history[index])
        if 0 <= token_id < vocab:
            place, count = touch(row, token_id, scale, memory, count)
            memory.integers[SEEN][place] = 1
            memory.integers[OCCURRENCES][place] += index >= prompt_length
    return count


@compiled
def walk_candidates(history: Any, prompt_length: Any, vocab: Any, memory: Any, count: Any) -> Any:
    """Note which candidates the history has, and how often they were generated."""
    mark(memory.integers[SLOT], memory.integers[IDS], count)
    seen, occurrences = memory.integers[SEEN], memory.integers[OCCURRENCES]
    for place in range(count):
        seen[place] = occurrences[place] = 0
    for index in range(len(history)):
        token_id = np.int64(history[index])
        if 0 <= token_id < vocab:
            place = memory.integers[SLOT][token_id] - 1
            if place >= 0:
                memory.integers[SEEN][place] = 1
                memory.integers[OCCURRENCES][place] += index >= prompt_length
    unmark(memory.integers[SLOT], memory.integers[IDS], count)


@compiled
def untouched_max(row: Any, tail: Any, block_max: Any, touched_count: Any, memory: Any) -> Any:
    """The largest stored logit of the tokens that are not touched; −inf if there are none."""
    if touched_count == 0:
        return largest_of_blocks(row, tail, block_max)
    blocks, size = block_count(row, tail), len(tail)
    left = memory.doubles[VALUES]
    for block in range(blocks):
        left[block] = block_max[block]
    best = -np.inf
    while True:
        chosen = 0
        for block in range(1, blocks):
            if left[block] > left[chosen]:
                chosen = block
        if not left[chosen] > best:
            return best
        left[chosen] = -np.inf
        for token_id in range(chosen * size, min(chosen * size + size, len(row))):
            value = value_at(row, token_id)
            if value > best and memory.integers[SLOT][token_id] == 0:
                best = value


@compiled
def dense_max(
    row: Any, tail: Any, block_max: Any, scale: Any, touched_count: Any, memory: Any
) -> Any:
    """The largest logit of a dense row."""
    best = untouched_max(row, tail, block_max, touched_count, memory) * scale
    for place in range(touched_count):
        best = max(best, memory.doubles[TOUCHED][place])
    return best


@compiled
def make_shadow(row: Any, tail: Any, state: Any, memory: Any, shadow: Any, block_max: Any) -> Any:
    """Copy what stays of a row into its shadow, touched tokens as they are; forgets the touched.

    Returns whether the touched logits can be rounded to the shadow's precision, the likely ones
    without moving a logprob by 10⁻⁵, and none beyond its range; and the shadow's largest logit.
    That and the block maxima written are only right if no token was touched.
    """
    largest = copy_row(row, tail, state.low, state.high, state.last_tie, shadow, block_max)
    fits, lowest = state.count == 0 or is_precise(largest), lowest_finite(shadow)
    negligible = -np.inf
    for place in range(state.count):
        negligible = max(negligible, memory.doubles[TOUCHED][place] - 64.0)
    negligible /= state.scale
    for place in range(state.count):
        token_id = memory.integers[TOUCHED_IDS][place]
        logit = memory.doubles[TOUCHED][place] / state.scale
        if logit > -np.inf:
            fits &= lowest <= logit <= -lowest and (logit < negligible or is_precise(logit))
        shadow[token_id] = logit
        memory.integers[SLOT][token_id] = 0
    return fits, largest


@compiled
def forget(memory: Any, touched_count: Any) -> Any:
    """Wipe the slots of the touched tokens."""
    unmark(memory.integers[SLOT], memory.integers[TOUCHED_IDS], touched_count)
