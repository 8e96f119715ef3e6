"""Numba: the touched tokens of a dense row, whose edited logits stand beside it."""

from __future__ import annotations

from typing import Any

import numpy as np

from decoding.kernels.compiled.candidates import unmark
from decoding.kernels.compiled.jit import compiled, inlined
from decoding.kernels.compiled.masks import edited_at
from decoding.kernels.compiled.memory import IDS, LOGITS, OCCURRENCES, SLOT, TOUCHED, TOUCHED_IDS
from decoding.kernels.compiled.scalars import bit_count, trailing_zeros, value_at
from decoding.kernels.compiled.state import row_in

_MOST = 1e300
_LARGEST = 1.7976931348623157e308


@inlined
def _divided(logit: Any, temperature: Any) -> Any:
    """Divide a logit by a temperature, but where that is 1, as a division takes long."""
    return logit if temperature == 1.0 else logit / temperature


@inlined
def untouched_at(step: Any, token_id: Any) -> Any:
    """The logit of a token that is not touched."""
    return _divided(edited_at(step, token_id), step.state.temperature)


@inlined
def logit_at(step: Any, token_id: Any) -> Any:
    """The logit of a token, touched or not."""
    place = np.int64(step.memory.integers[SLOT][token_id])
    return step.memory.doubles[TOUCHED][place - 1] if place != 0 else untouched_at(step, token_id)


@inlined
def enlist(step: Any, token_id: Any) -> Any:
    """The place of a token that an edit changes: among the candidates, −1 where it is none of them.

    Or among the touched, where it is put; what is put there, `read_touched` must read.
    """
    memory, state = step.memory, step.state
    place = np.int64(memory.integers[SLOT][token_id]) - 1
    if place < 0 and not state.compact:
        place = state.count
        state.count += 1
        memory.integers[SLOT][token_id] = state.count
        memory.integers[TOUCHED_IDS][place] = token_id
        memory.integers[OCCURRENCES][place] = 0
    return place


@compiled
def read_touched(step: Any, before: Any) -> Any:
    """Read the logits of the touched tokens from place `before` on, which were enlisted."""
    if step.state.compact:
        return
    touched_ids, touched = step.memory.integers[TOUCHED_IDS], step.memory.doubles[TOUCHED]
    # Read before the loop, which would read fields of the state again for every token.
    row, masked, temperature = row_in(step), step.state.masked, step.state.temperature
    for place in range(before, step.state.count):
        token_id = np.int64(touched_ids[place])
        logit = edited_at(step, token_id) if masked else value_at(row, token_id)
        touched[place] = _divided(logit, temperature)


@inlined
def touch(step: Any, token_id: Any) -> Any:
    """`enlist` of one token, which is read."""
    before = step.state.count
    place = enlist(step, token_id)
    read_touched(step, before)
    return place


@compiled
def are_moderate(step: Any) -> Any:
    """Whether the touched logits are far from the end of float64, where nothing here overflows."""
    moderate = True
    for place in range(step.state.count):
        moderate &= step.memory.doubles[TOUCHED][place] < _MOST
    return moderate


@compiled
def can_divide_touched(step: Any, temperature: Any) -> Any:
    """`passes.can_divide` of the touched logits."""
    fits = True
    for place in range(step.state.count):
        logit = step.memory.doubles[TOUCHED][place]
        fits &= logit == -np.inf or abs(logit) <= _LARGEST * temperature
    return fits


@compiled
def forget(step: Any) -> Any:
    """Touch no token any more."""
    if not step.state.compact:
        unmark(step.memory.integers[SLOT], step.memory.integers[TOUCHED_IDS], step.state.count)
        step.state.count = 0


@compiled
def compact_by_bitmask(step: Any, bitmask: Any, limit: Any) -> Any:
    """List the possible tokens of a dense row whose bit is set; the count, −1 beyond a limit.

    Listed, they leave no token touched.
    """
    allowed = 0
    for index in range(len(bitmask)):
        allowed += bit_count(np.uint32(bitmask[index]))
        if allowed > limit:
            return -1
    ids, logits = step.memory.integers[IDS], step.memory.doubles[LOGITS]
    kept = 0
    for index in range(len(bitmask)):
        word = np.uint32(bitmask[index])
        while word != 0:
            token_id = index * 32 + trailing_zeros(word)
            word = np.uint32(word & np.uint32(word - np.uint32(1)))
            if token_id >= step.vocab:
                break
            logit = logit_at(step, token_id)
            if logit > -np.inf:
                ids[kept] = token_id
                logits[kept] = logit
                kept += 1
    forget(step)
    return kept
