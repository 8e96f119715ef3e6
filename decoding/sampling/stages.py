"""Runs all segments of a row's pipeline but the last: kernel calls and Python processors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decoding.errors import EmptySupportError, ProcessorError, ShapeError, shown
from decoding.history import History
from decoding.kernels.backends import Backend
from decoding.kernels.program import Batch
from decoding.kernels.vector.dense import narrow
from decoding.logits import as_logits
from decoding.pipeline import Fused, Segment
from decoding.processors.feedback import Feedback, drawn_of, is_feedback
from decoding.sampling.backends import OpenKernels, fastest, on_host
from decoding.sampling.dynamic_program import ProgramRow, RowPrograms, raised, steps_of
from decoding.typing import Anything, Logits, Processor


class Steered(NamedTuple):
    """A `Feedback`, its state, and the row of logits before and after its filter."""

    feedback: Feedback[Any]
    state: Any
    before: NDArray[Any]
    after: NDArray[Any]

    def next_state(self, token_id: int) -> Anything:  # the feedback's own
        """The state after the drawn token."""
        return self.feedback.observe(self.state, drawn_of(self.before, self.after, token_id))


def next_states(
    steered: Sequence[Steered], token_id: int, history: History, row: int
) -> tuple[Any, ...] | ProcessorError:
    """The states of a row's feedbacks after a token, or the error that one raised.

    history: of that row, before the token.
    """
    states: list[Any] = []
    for item in steered:
        try:
            states.append(item.next_state(token_id))
        except Exception as error:  # a feedback may raise anything
            return raised(item.feedback, error, history, row)
    return tuple(states)


class Stages:
    """All but the last segment of one row's pipeline, applied to logits `(1, vocab)`.

    Raises, when called:
        EmptySupportError: a stage left no token.
        ProcessorError: a processor broke its contract.
    """

    def __init__(self, segments: Sequence[Segment], backend: Backend | None = None) -> None:
        self._stages = [
            _FusedStage(segment, backend) if isinstance(segment, Fused) else segment
            for segment in segments
            if not isinstance(segment, Fused) or segment.instructions
        ]
        self._feedbacks: list[Feedback[Any] | None] = [
            stage if is_feedback(stage) else None for stage in self._stages
        ]

    def __call__(
        self, logits: Logits, history: History, states: Sequence[Any], row: int
    ) -> tuple[Logits, list[Steered]]:
        """The row after every stage, and what each feedback did.

        states: of the feedbacks, in order. row: of the batch, for error messages.
        """
        waiting, steered = iter(states), []
        for stage, feedback in zip(self._stages, self._feedbacks, strict=True):
            if isinstance(stage, _FusedStage):
                logits = stage(logits, history, row)
            elif feedback is not None:
                state = next(waiting)
                after = run_processor(_AtState(feedback, state), logits, history, row)
                steered.append(Steered(feedback, state, logits[0], after[0]))
                logits = after
            else:
                logits = run_processor(stage, logits, history, row)
        return logits, steered


@dataclass(frozen=True, slots=True)
class _AtState:
    """A `Feedback` at a given state, as a processor."""

    feedback: Feedback[Any]
    state: Any

    def __call__(self, logits: Logits, history: History) -> Logits:
        del history
        return self.feedback.filter(logits, [self.state])

    def __repr__(self) -> str:
        return repr(self.feedback)


class _FusedStage:
    """A run of instructions as a processor: one kernel call."""

    def __init__(self, segment: Fused, backend: Backend | None) -> None:
        self._segment, self._backend = segment, backend
        self._programs = RowPrograms([ProgramRow.of(segment)])
        nobody = np.zeros(1, np.int64)
        self._batch = Batch(self._programs.program, nobody.astype(np.uint64), nobody == 0, nobody)
        self._kernels = OpenKernels(1)

    def __call__(self, logits: Logits, history: History, row: int) -> Logits:
        owners = self._segment.processors
        width = logits.shape[1]
        backend = on_host(self._backend) or fastest(logits)
        program = self._programs.program_for(history, width, row)
        if program is not self._batch.program:
            self._batch = self._batch._replace(program=program)
        kernel = self._kernels.at(backend, logits, self._batch)
        bitmasks, failed = self._programs.bitmasks(history, width, row)
        if failed:
            raise failed[0]
        edited, emptied = kernel.edit(
            logits,
            bitmasks,
            history.token_ids,
            history.lengths,
            history.prompt_lengths,
        )
        if emptied[0] >= 0:
            raise EmptySupportError(row, shown(owners[emptied[0]]), steps_of(history))
        return narrow(edited, logits.dtype)


def run_processor(processor: Processor, logits: Logits, history: History, row: int) -> Logits:
    """Run a Python processor on one row `(1, vocab)` and check its contract.

    Raises:
        EmptySupportError: it left no token.
        ProcessorError: it raised, or what it returned is no legal edit of the row.
    """
    given = logits.view()
    given.flags.writeable = False
    generated = steps_of(history)

    def broken(problem: str) -> ProcessorError:
        return ProcessorError(shown(processor), problem, row, generated)

    try:
        returned = processor(given, history.read_only())
    except Exception as error:
        raise raised(processor, error, history, row) from error
    try:
        result = as_logits(returned)
    except ShapeError as error:
        raise broken(f"must return logits: {error}") from error
    if result.shape != logits.shape:
        raise broken(f"must return logits of shape {logits.shape}, got {result.shape}")
    if not (result < np.inf).all():
        raise broken("must return finite logits or -inf, got NaN or +inf")
    if (np.isneginf(logits) & ~np.isneginf(result)).any():
        raise broken("must not bring an impossible token back to life")
    if not (result > -np.inf).any() and (logits > -np.inf).any():
        raise EmptySupportError(row, shown(processor), generated)
    return result
