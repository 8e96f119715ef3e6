"""Ends requests whose model or step failed, and checks what a model returns."""

from __future__ import annotations

from collections.abc import Iterable

from decoding.engine.generation import Generation, RunningSequence
from decoding.engine.plans import Plan
from decoding.errors import ForwardError, RequestError, ShapeError, shown_error
from decoding.logits import as_rows
from decoding.typing import Anything, Rows


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
