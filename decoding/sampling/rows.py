"""Prepares the rows of a `BatchSampler` for its steps: programs, seeds, stages and errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decoding.errors import (
    DecodingError,
    EmptySupportError,
    InvalidLogitsError,
    ShapeError,
    shown,
)
from decoding.history import History
from decoding.kernels.backends import Backend, Kernel
from decoding.kernels.program import Batch, Opcode
from decoding.kernels.result import EMPTY_SUPPORT, INVALID_LOGITS
from decoding.pipeline import Fused, Pipeline, Segment
from decoding.processors.nan_policy import NaNPolicy
from decoding.sampling.backends import Execution, OpenKernels
from decoding.sampling.dynamic_program import ProgramRow, RowPrograms, SharedRows
from decoding.sampling.samples import Sampler, States
from decoding.sampling.stages import Stages


@dataclass(frozen=True, slots=True, eq=False)
class BatchRow:
    """One row of a batch: a sampler, and the program, segments and states derived from it.

    program: what a kernel runs at the end. repair: a policy for what is no logit, which its
    pipeline begins with. before: the segments between these two. start: the states of the feedbacks
    among them, before the first token. widest_bias: the largest token id that a bias names.
    """

    sampler: Sampler
    program: ProgramRow
    before: tuple[Segment, ...]
    start: States
    repair: NaNPolicy | None
    widest_bias: int

    @classmethod
    def of(cls, sampler: Sampler, shared: SharedRows) -> BatchRow:
        """The row of a sampler; it shares its program with the rows that are alike."""
        pipeline = sampler.pipeline
        first = pipeline.processors[0] if pipeline.processors else None
        repair = first if isinstance(first, NaNPolicy) else None
        # The policy acts before a row is checked, and is no stage as well.
        before = pipeline.segments[2 if repair else 0 : -1]
        return cls(
            sampler,
            shared.row_of(last_run(pipeline)),
            before,
            sampler.start() if before else (),
            repair,
            widest_bias(pipeline),
        )


class Steady(NamedTuple):
    """What a step takes where it differs from the last one in the logits and the history alone.

    dtype: of the logits for which this holds.
    """

    dtype: np.dtype[Any]
    kernel: Kernel
    bitmasks: NDArray[np.int32]
    execution: Execution


class ReadyRows:
    """Values that a step needs of a batch's rows, computed once from their samplers.

    rows: for which it was worked out. has_feedbacks: whether a row has a state that each drawn
    token updates. stages, repairs: of the rows that have them. misfits: the errors of rows that
    logits of `width` do not suit. steady: what the next step takes too, where that is known.
    """

    def __init__(self, backend: Backend | None, kernels: OpenKernels) -> None:
        self._backend = backend
        self.kernels = kernels
        self.programs = RowPrograms()
        self.rows: tuple[BatchRow, ...] = ()
        self.batch = Batch(
            self.programs.program,
            np.zeros(0, np.uint64),
            np.zeros(0, np.bool_),
            np.zeros(0, np.int64),
        )
        self._raw = np.zeros(0, np.bool_)
        self._stages: dict[BatchRow, Stages] = {}
        self.take(())

    def take(self, rows: tuple[BatchRow, ...]) -> None:
        """Set the rows of the batch; values of rows that stay where they were are kept."""
        self.programs.arrange([row.program for row in rows])
        before, known = self.rows, self.batch
        size = len(rows)
        # Rows that stay where they are need not be read again.
        kept = min(size, len(before))
        fresh = [index for index in range(kept) if rows[index] is not before[index]]
        fresh += range(kept, size)
        self._raw = _resized(self._raw, size)
        self.batch = Batch(
            self.programs.program,
            _resized(known.seeds, size),
            _resized(known.greedy, size),
            _resized(known.top_n, size),
        )
        for index in fresh:
            sampler = rows[index].sampler
            self.batch.seeds[index] = sampler.seed or 0
            self.batch.greedy[index] = sampler.seed is None
            self.batch.top_n[index] = sampler.top_n
            self._raw[index] = sampler.raw
        if not self._raw.all():
            self.batch = self.batch._replace(raw=self._raw)
        staged = [(index, row) for index, row in enumerate(rows) if row.before or row.repair]
        self._stages = {
            row: self._stages.get(row) or Stages(row.before, self._backend)
            for _, row in staged
            if row.before
        }
        self.stages = {index: self._stages[row] for index, row in staged if row.before}
        self.repairs = {index: row.repair for index, row in staged if row.repair is not None}
        self.misfits: dict[int, DecodingError] = {}
        self.has_feedbacks = any(rows[index].start for index in self.stages)
        self.width = 0
        self.rows = rows
        self.steady: Steady | None = None

    def fit(self, width: int) -> None:
        """Find the rows whose logit biases name a token beyond the width of the logits."""
        expected = f"at most {width - 1}, the last token of the row"
        self.misfits = {
            row: ShapeError("logit_bias", f"token id {item.widest_bias}", expected)
            for row, item in enumerate(self.rows)
            if item.widest_bias >= width
        }
        self.width = width
        self.steady = None

    @property
    def is_fixed(self) -> bool:
        """Whether no step changes anything of the batch but its logits and its history."""
        return not (self.stages or self.repairs or self.misfits or self.programs.changes)

    def batch_for(self, history: History) -> Batch:
        """The batch with the program of this step; the same object if nothing changed."""
        program = self.programs.program_for(history, self.width)
        if program is not self.batch.program:
            self.batch = self.batch._replace(program=program)
        return self.batch


def _resized(array: NDArray[Any], size: int) -> NDArray[Any]:
    """A copy of an array that ends earlier, or goes on with anything."""
    copy = np.empty(size, array.dtype)
    kept = min(size, len(array))
    copy[:kept] = array[:kept]
    return copy


def last_run(pipeline: Pipeline) -> Fused:
    """The run of instructions that a pipeline ends with, possibly empty."""
    last = pipeline.segments[-1]
    assert isinstance(last, Fused)  # ours: a pipeline ends with one
    return last


def widest_bias(pipeline: Pipeline) -> int:
    """The largest token id that a bias of the pipeline names; −1 for none."""
    widest, bias = -1, Opcode.LOGIT_BIAS
    for segment in pipeline.segments:
        for item in segment.instructions if isinstance(segment, Fused) else ():
            if item.opcode == bias:
                widest = max(widest, max(item.token_ids, default=-1))
    return widest


def outcome_error(
    row: int, outcome: tuple[Any, ...], sampler: Sampler, history: History
) -> DecodingError:
    """The error of a row whose status is not `OK`.

    outcome: the first three fields of `decoding.kernels.result.ROW`.
    """
    status, position, count = outcome[:3]
    generated = int(history.lengths[row] - history.prompt_lengths[row])
    if status == INVALID_LOGITS:
        return InvalidLogitsError(row, position, count, generated)
    assert status == EMPTY_SUPPORT
    culprit = None if position < 0 else shown(last_run(sampler.pipeline).processors[position])
    return EmptySupportError(row, culprit, generated)
