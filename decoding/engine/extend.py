"""Brings the model's states to the last tokens of the sequences that run."""

from __future__ import annotations

from decoding.engine.drawing import RunningBatch, draw_next
from decoding.engine.failures import checked_logits, fail, generations_of, other_width, stop
from decoding.engine.generation import RunningSequence
from decoding.engine.model_states import Memory


def extend(batch: RunningBatch, memory: Memory) -> None:
    """Append what each sequence has new to the model's memory and draw the next token."""
    sequences = batch.sequences
    states = [item.state for item in sequences]
    latest = [[item.token_ids[-1], *item.forced] for item in sequences]
    counts = [len(token_ids) for token_ids in latest]
    lengths = [
        len(item.token_ids) - 1 + count for item, count in zip(sequences, counts, strict=True)
    ]
    rows = sum(counts)
    try:
        for item in sequences:
            item.held = None  # where the call is interrupted, nobody knows
        output = memory.extend(states, latest, all_positions=rows > len(counts))
        for item, length in zip(sequences, lengths, strict=True):
            item.held = length
        logits = checked_logits(output, rows)
    except Exception as error:  # a model may raise anything
        fail(generations_of(sequences), error)
        return
    width = logits.shape[1]
    for generation in generations_of(sequences):
        if generation.plan.width != width:
            fail([generation], other_width(generation.plan, width))
    try:
        draw_next(batch, logits, counts)
    except Exception as error:  # out of memory, say
        stop(generations_of(sequences), error)


def restore(sequence: RunningSequence, memory: Memory) -> None:
    """Let the model's memory hold all tokens but the last, or nothing where that fails."""
    length = len(sequence.token_ids) - 1
    excess = (sequence.held or 0) - length
    if excess > 0:
        sequence.held = None
        try:
            memory.rollback(sequence.state, excess)
        except Exception:  # a model may raise anything
            return
        sequence.held = length


def revive(sequence: RunningSequence, memory: Memory) -> None:
    """Compute the state of a sequence anew, where an interrupt has lost it."""
    known = sequence.token_ids[:-1]
    try:
        adapted = sequence.generation.plan.adapted
        [state], _ = memory.prefill([known], all_positions=False, adapted=adapted)
    except Exception as error:
        fail([sequence.generation], error)
        return
    sequence.state = state
    sequence.held = len(known)
