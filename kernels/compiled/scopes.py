"""Numba functions: the part of the history that an instruction reads, counted by token.

`SEEN` and `OCCURRENCES` hold what the penalties look at by themselves, of every touched token;
`PLACES` is scratch for any other part, and for candidates.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from decoding.kernels.compiled.candidates import mark, unmark
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import (
    IDS,
    OCCURRENCES,
    PLACES,
    SEEN,
    SLOT,
)
from decoding.kernels.compiled.touched import enlist, read_touched
from decoding.kernels.program import Opcode, Part

REPETITION = int(Opcode.REPETITION_PENALTY)
ALL, PROMPT, GENERATED = int(Part.ALL), int(Part.PROMPT), int(Part.GENERATED)


@compiled
def span_of(item: Any, length: Any, prompt_length: Any) -> Any:
    """The start and stop of the part of a history that an instruction reads."""
    start, stop = np.int64(0), np.int64(length)
    if item.part == PROMPT:
        stop = np.int64(prompt_length)
    elif item.part == GENERATED:
        start = np.int64(prompt_length)
    if item.last_n > 0:
        start = max(start, stop - item.last_n)
    return start, stop


@compiled
def is_usual(item: Any) -> Any:
    """Whether a penalty is over what `walk` notes for all penalties together."""
    usual = ALL if item.opcode == REPETITION else GENERATED
    nothing_exempt = item.sparse_start == item.sparse_stop
    return item.part == usual and item.last_n == 0 and nothing_exempt


@compiled
def walk(
    dense: Any,
    history: Any,
    prompt_length: Any,
    vocab: Any,
    memory: Any,
    count: Any,
) -> Any:
    """Touch every token of the history and note how often it was generated."""
    before, seen, occurrences = count, memory.integers[SEEN], memory.integers[OCCURRENCES]
    for index in range(len(history)):
        token_id = np.int64(history[index])
        if 0 <= token_id < vocab:
            place, count = enlist(token_id, memory, count)
            seen[place] = 1
            occurrences[place] += index >= prompt_length
    read_touched(dense, before, count, memory)
    return count


@compiled
def walk_scope(
    dense: Any,
    item: Any,
    sparse: Any,
    history: Any,
    prompt_length: Any,
    vocab: Any,
    memory: Any,
    count: Any,
) -> Any:
    """Touch the tokens that a penalty is over, and count them into `PLACES`, 0 for all others."""
    start, stop = span_of(item, len(history), prompt_length)
    before = count
    for index in range(start, stop):
        token_id = np.int64(history[index])
        if 0 <= token_id < vocab:
            _, count = enlist(token_id, memory, count)
    read_touched(dense, before, count, memory)
    _count(item, sparse, history[start:stop], vocab, memory, count)
    return count


@compiled
def walk_candidates(
    item: Any,
    sparse: Any,
    history: Any,
    prompt_length: Any,
    vocab: Any,
    memory: Any,
    count: Any,
) -> Any:
    """Count into `PLACES` how often a penalty is over each candidate."""
    start, stop = span_of(item, len(history), prompt_length)
    mark(memory.integers[SLOT], memory.integers[IDS], count)
    _count(item, sparse, history[start:stop], vocab, memory, count)
    unmark(memory.integers[SLOT], memory.integers[IDS], count)


@compiled
def _count(item: Any, sparse: Any, seen: Any, vocab: Any, memory: Any, count: Any) -> Any:
    """Into `PLACES` how often each of `count` tokens with a slot is there, 0 for the exempt."""
    slot, counts = memory.integers[SLOT], memory.integers[PLACES]
    for place in range(count):
        counts[place] = 0
    for index in range(len(seen)):
        token_id = np.int64(seen[index])
        if 0 <= token_id < vocab and slot[token_id] != 0:
            counts[slot[token_id] - 1] += 1
    for entry in range(item.sparse_start, item.sparse_stop):
        token_id = sparse[entry].token_id
        if token_id < vocab and slot[token_id] != 0:
            counts[slot[token_id] - 1] = 0
