"""Calls the model for running sequences, and ends the requests for which a call fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from decoding.engine.drawing import RunningBatch, draw, draw_first, rows_of, write_next
from decoding.engine.generation import Generation, RunningSequence
from decoding.engine.model_states import Memory
from decoding.engine.plans import Plan
from decoding.errors import ForwardError, RequestError, ShapeError, shown_error
from decoding.logits import as_rows
from decoding.models.protocol import State
from decoding.typing import Anything, Rows

SetAside: TypeAlias = Callable[[RunningBatch, Rows], Rows]
"""Takes the sequences out of a batch that cannot be drawn now; returns the others' logits."""


def extend(batch: RunningBatch, memory: Memory, set_aside: SetAside) -> None:
    """Run the model on the new tokens of each sequence and draw the next token of each."""
    latest = batch.latest()
    counts = list(map(len, latest))  # the model may change the lists
    try:
        logits = call(batch, latest, memory)
    except Exception as error:  # a model may raise anything
        fail(generations_of(batch.sequences), error)
        return
    draw_rows(batch, logits, counts, set_aside)


def call(
    batch: RunningBatch,
    latest: Sequence[list[int]],
    memory: Memory,
    states: Sequence[State] = (),
    parts: Sequence[list[int]] = (),
) -> Rows:
    """Call the model on the new tokens of each sequence; return the logits, a row a token.

    latest: the new tokens of each sequence.
    states, parts: of prompts that go through the model in the same call, where no sequence has more
        than one token; their rows come last.
    Raises whatever the model raises, and for logits of another shape; then, or where the call is
    interrupted, nobody knows what the states hold.
    """
    counts = list(map(len, latest))
    rows = sum(counts)
    every = [*[item.state for item in batch.sequences], *states]
    batch.begin_call()
    output = memory.extend(every, [*latest, *parts], all_positions=rows > len(counts))
    batch.end_call(counts)
    return checked_logits(output, rows + len(parts))


def draw_rows(
    batch: RunningBatch, logits: Rows, counts: Sequence[int], set_aside: SetAside
) -> None:
    """Draw the next token of each sequence from the logits after its new tokens.

    counts: of its new tokens.
    """
    sequences, width = list(batch.sequences), logits.shape[1]
    if batch.width != width:
        for item in sequences:
            plan = item.generation.plan
            if plan.width != width:
                fail([item.generation], other_width(plan, width))
        batch.width = width
    try:
        rows = set_aside(batch, write_next(batch, logits, counts))
        if batch.sequences:
            draw(batch, rows)
    except Exception as error:  # out of memory, say
        stop(generations_of(sequences), error)


def draw_apart(
    sequences: Sequence[RunningSequence],
    logits: Rows,
    rows: Sequence[int],
    arrivals: RunningBatch,
) -> list[RunningSequence]:
    """Draw the next token of sequences that are not in the batch yet; return those that go on.

    rows: those of the logits from which they are drawn. arrivals: an empty batch, which is left
    empty.
    """
    try:
        return draw_first(sequences, rows_of(logits, rows), arrivals)
    except Exception as error:  # out of memory, say
        stop(generations_of(sequences), error)
        arrivals.clear()
        return []


def restore(sequence: RunningSequence, memory: Memory) -> None:
    """Roll the model's state back to all tokens but the last; mark it lost where that fails."""
    excess = sequence.excess
    if excess:
        sequence.excess = None
        try:
            memory.rollback(sequence.state, excess)
        except Exception:  # a model may raise anything
            return
        sequence.excess = 0


def revive(sequence: RunningSequence, memory: Memory) -> None:
    """Recompute the model state of a sequence, after an interrupt has lost it."""
    known = sequence.token_ids[:-1]
    try:
        adapted = sequence.generation.plan.adapted
        [state], _ = memory.prefill([known], all_positions=False, adapted=adapted)
    except Exception as error:
        fail([sequence.generation], error)
        return
    sequence.state = state
    sequence.excess = 0


def generations_of(sequences: Iterable[RunningSequence]) -> list[Generation]:
    """The requests that sequences belong to, each once, in order."""
    return list(dict.fromkeys(item.generation for item in sequences))


def fail(generations: Iterable[Generation], error: Exception) -> None:
    """End every generation of a forward pass that failed."""
    for generation in generations:
        failure = ForwardError(f"raised {shown_error(error)}", _steps(generation))
        failure.__cause__ = error
        generation.fail(failure)


def stop(generations: Iterable[Generation], error: Exception) -> None:
    """End generations that cannot continue for a reason other than a forward pass."""
    for generation in generations:
        failure = RequestError(f"a step raised {shown_error(error)}", _steps(generation))
        failure.__cause__ = error
        generation.fail(failure)


def _steps(generation: Generation) -> int:
    return len(generation.sequences[0].samples) if generation.sequences else 0


def checked_logits(output: Rows, rows: int) -> Anything:
    """Check that a forward pass returned logits of the right shape; return them unchanged."""
    got = len(as_rows(output))
    if got != rows:
        raise ShapeError("logits", f"{got} rows", f"{rows} rows")
    return output


def other_width(work: Plan, width: int) -> ShapeError:
    """The error for logits of another width than the model had before."""
    return ShapeError(
        "logits", f"rows of {width}", f"rows of {work.width}, as before or as the model states"
    )
