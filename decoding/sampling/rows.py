"""What a step of a `BatchSampler` needs of its rows, worked out once for each row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from decoding.errors import DecodingError, ShapeError
from decoding.history import History
from decoding.kernels.backends import Backend
from decoding.kernels.program import Batch
from decoding.pipeline import Fused, Pipeline, Segment
from decoding.processors.nan_policy import NaNPolicy
from decoding.sampling.backends import OpenKernels
from decoding.sampling.dynamic_program import ProgramRow, RowPrograms, SharedRows, widest_bias
from decoding.sampling.samples import Sampler, States
from decoding.sampling.stages import Stages


@dataclass(frozen=True, slots=True, eq=False)
class BatchRow:
    """One row of a batch, with what is worked out once for it.

    program: what a kernel runs at the end. before: the segments that come before it. start: the
    states of the feedbacks among them, before the first token. repair: a policy for what is no
    logit, which its pipeline begins with. widest_bias: the largest token id that a bias names.
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
        before = pipeline.segments[:-1]
        program = shared.row_of(last_segment(pipeline))
        first = pipeline.processors[0] if pipeline.processors else None
        return cls(
            sampler,
            program,
            before,
            sampler.start() if before else (),
            first if isinstance(first, NaNPolicy) else None,
            max((program.widest_bias, *map(widest_bias, before))),
        )


class ReadyRows:
    """What a step needs of the rows of a batch; it follows from these.

    rows: for which it was worked out. has_feedbacks: whether a row has a state that each drawn
    token updates. stages, repairs: of the rows that have them. misfits: the errors of rows that
    logits of `width` do not suit.
    """

    def __init__(self, backend: Backend | None, threads: int | None) -> None:
        self._backend = backend
        self.kernels = OpenKernels(threads)
        self.programs = RowPrograms()
        self._stages: dict[BatchRow, Stages] = {}
        self.take(())

    def take(self, rows: tuple[BatchRow, ...]) -> None:
        """Let these be the rows; what is known of those that stay is kept."""
        self.programs.arrange([row.program for row in rows])
        samplers = [row.sampler for row in rows]
        seeds = [item.seed for item in samplers]
        self.batch = Batch(
            self.programs.program,
            np.array([seed or 0 for seed in seeds], np.uint64),
            np.array([seed is None for seed in seeds], np.bool_),
            np.array([item.top_n for item in samplers], np.int64),
        )
        self._stages = {
            row: self._stages.get(row) or Stages(row.before, self._backend)
            for row in rows
            if row.before
        }
        numbered = list(enumerate(rows))
        self.stages = {index: self._stages[row] for index, row in numbered if row.before}
        self.repairs = {index: row.repair for index, row in numbered if row.repair is not None}
        self.misfits: dict[int, DecodingError] = {}
        self.has_feedbacks = any(rows[index].start for index in self.stages)
        self.width = 0
        self.rows = rows

    def fit(self, width: int) -> None:
        """Everything that depends on the width of the logits, which rarely changes."""
        self.misfits = {}
        for row, item in enumerate(self.rows):
            if item.widest_bias >= width:
                expected = f"at most {width - 1}, the last token of the row"
                self.misfits[row] = ShapeError(
                    "logit_bias", f"token id {item.widest_bias}", expected
                )
        self.width = width

    def batch_for(self, history: History) -> Batch:
        """The batch with the program of this step; the same object if nothing changed."""
        program = self.programs.program_for(history, self.width)
        if program is not self.batch.program:
            self.batch = self.batch._replace(program=program)
        return self.batch


def last_segment(pipeline: Pipeline) -> Fused:
    """The instructions with which a pipeline ends, possibly none."""
    last = pipeline.segments[-1]
    assert isinstance(last, Fused)  # ours: a pipeline ends with one
    return last
