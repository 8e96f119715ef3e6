"""`Sampler` and `BatchSampler`: drawing tokens from logits, the only use of randomness.

    token = argmax over the kept support of  logits[i] + noise(seed, position, i)

with standard Gumbel noise, so that P(token = i) = softmax(logits)[i] and a masked token cannot be
drawn. The noise is addressed, not streamed: a token depends on its row's logits, pipeline, seed and
position, and on nothing else in the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from decoding.checks import check_integer, checked_integer
from decoding.errors import (
    DecodingError,
    EmptySupportError,
    InvalidLogitsError,
    ParameterError,
    ShapeError,
    UnsupportedFeatureError,
    require,
    shown,
)
from decoding.history import History, checked_row
from decoding.kernels.backends import Backend
from decoding.kernels.program import Batch, Opcode
from decoding.kernels.result import EMPTY_SUPPORT, INVALID_LOGITS, OK, StepResult
from decoding.kernels.vector.dense import narrow
from decoding.logits import as_rows, logits_of
from decoding.pipeline import Fused, Pipeline, Segment, as_pipeline, chain
from decoding.processors.feedback import is_feedback
from decoding.processors.nan_policy import NaNPolicy
from decoding.sampling.backends import Execution, OpenKernels, fastest, named
from decoding.sampling.dynamic_program import ProgramRow, RowPrograms, SharedRows
from decoding.sampling.rng import SEED_RANGE
from decoding.sampling.stages import Stages, Steered, next_states
from decoding.typing import Rows

States: TypeAlias = tuple[Any, ...]
"""The states of the feedbacks of one sequence's pipeline, in order; immutable values."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """How a token is drawn from one row: a pipeline, a seed, and what to describe.

    pipeline: what is done to the logits first; a lone processor is a pipeline.
    seed: in [0, 2**64) draws by Gumbel-max; None is greedy: the likeliest token, ties to the
    lowest id.
    top_n: how many of the likeliest tokens to describe; every tie with the n-th comes too (TGI), of
    32 beyond n the lowest ids.
    """

    pipeline: Pipeline = chain()
    seed: int | None = None
    top_n: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "pipeline", as_pipeline(self.pipeline))
        if self.seed is not None:
            check_integer(self, "seed", 0, SEED_RANGE - 1, "None or in [0, 2**64)")
        check_integer(self, "top_n", 0)

    def start(self) -> States:
        """The states of a sequence before its first token."""
        return tuple(item.start() for item in self.pipeline.processors if is_feedback(item))


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token that could have been drawn; logprobs as in `Sample`."""

    token_id: int
    raw_logprob: float
    processed_logprob: float


@dataclass(frozen=True, slots=True)
class Sample:
    """A drawn token and how likely it was.

    raw_logprob: natural log-probability under the model's own logits.
    processed_logprob: the same after the pipeline, over the kept support.
    rank: 1 + the number of tokens with a strictly larger raw logit.
    entropy: of the processed distribution, in nats.
    support_size: tokens the pipeline kept.
    top: the likeliest tokens after the pipeline, in order; ties by token id.
    states: of the feedbacks in the pipeline after this token.
    """

    token_id: int
    raw_logprob: float
    processed_logprob: float
    rank: int
    entropy: float
    support_size: int
    top: tuple[Alternative, ...] = ()
    states: States = ()


@dataclass(frozen=True, slots=True, eq=False)
class Processed:
    """A batch of logits after each row's pipeline.

    logits: `(batch, vocab)`, float64 where the given logits were, else float32; a row with an error
        is as it was given.
    errors: of the rows whose pipeline failed, by row.
    """

    logits: NDArray[Any]
    errors: Mapping[int, DecodingError]
    _steered: Mapping[int, list[Steered]]

    @property
    def rows(self) -> list[NDArray[Any] | DecodingError]:
        """The row `(vocab,)`, or the error, of each row."""
        return [self.errors.get(row, logits) for row, logits in enumerate(self.logits)]

    def states_after(self, row: int, token_id: int, history: History) -> States:
        """The states of a row's feedbacks after the token that the caller has drawn.

        history: as it was given, without that token.

        Raises:
            ProcessorError: a feedback raised.
        """
        after = next_states(self._steered.get(row, ()), token_id, history.select(row), row)
        if isinstance(after, DecodingError):
            raise after
        return after


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
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
    def of(cls, sampler: Sampler, shared: SharedRows) -> _Row:
        pipeline = sampler.pipeline
        before = pipeline.segments[:-1]
        first = pipeline.processors[0] if pipeline.processors else None
        return cls(
            sampler,
            shared.row_of(last_run(pipeline)),
            before,
            sampler.start() if before else (),
            first if isinstance(first, NaNPolicy) else None,
            widest_bias(pipeline),
        )


class _Ready:
    """What a step needs of the rows of a batch; it follows from these.

    rows: for which it was worked out. stages, repairs: of the rows that have them. misfits: the
    errors of rows that logits of `width` do not suit.
    """

    def __init__(self, backend: Backend | None, threads: int | None) -> None:
        self._backend = backend
        self.kernels = OpenKernels(threads)
        self.programs = RowPrograms()
        self._stages: dict[_Row, Stages] = {}
        self.take(())

    def take(self, rows: tuple[_Row, ...]) -> None:
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


class BatchSampler:
    """Draws a token for every row of a batch; rows join and leave between steps.

        batch, history = BatchSampler(), HistoryBuffer()
        batch.add(Sampler(chain(TopP(0.9)), seed=1))    # the row number is len(batch) - 1
        history.add(prompt)
        drawn = batch(logits, history.view())           # one Sample, or one error, a row
        history.append([item.token_id for item in drawn])
        batch.remove(0)                                 # the last row is row 0 now
        history.remove(0)

    A row that joins costs what is its own, a row that leaves nothing, and rows with the same
    pipeline share its program. A token depends on its own row and on nothing else in the batch; a
    row's error never touches another row: it takes the place of that row's sample.

    An exception, an interrupt too, leaves the rows as they were. Pickling and copying keep the
    rows; what was worked out for them is worked out again.

    backend: None takes the fastest that serves the logits: for arrays and tensors on the host the
    compiled kernels, and NumPy's until these are ready; for tensors elsewhere Triton's, or torch's.
    One that is named, as a `Backend` or by its name, is waited for.
    threads: over how many the rows are spread on the host; None takes one for every 16 rows, as far
    as there are cores. A token depends on neither.
    """

    def __init__(
        self,
        samplers: Sequence[Sampler] = (),
        *,
        backend: Backend | str | None = None,
        threads: int | None = None,
    ) -> None:
        if threads is not None:
            threads = checked_integer("threads", threads, 1, expected=">= 1, or None")
        self._backend, self._threads = named(backend), threads
        self._shared = SharedRows()
        # Replaced as a whole, so that no exception finds a half of it changed.
        self._rows = tuple(_Row.of(item, self._shared) for item in _checked_samplers(samplers))
        # None while a step works with it: what a step leaves half done is not used again.
        self._ready: _Ready | None = None
        # By dtype, the backend than which nothing faster can become ready.
        self._settled: dict[Any, Backend] = {}
        self._execution: Execution | None = None

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def samplers(self) -> tuple[Sampler, ...]:
        """The sampler of every row."""
        return tuple(row.sampler for row in self._rows)

    @property
    def execution(self) -> Execution | None:
        """How the last step ran: its backend and threads; None before the first step."""
        return self._execution

    def add(self, sampler: Sampler) -> int:
        """Add a row behind the others; returns its number.

        Raises:
            ParameterError: it is no `Sampler`.
        """
        require("sampler", sampler, isinstance(sampler, Sampler), "a Sampler")
        self._rows = (*self._rows, _Row.of(sampler, self._shared))
        return len(self._rows) - 1

    def remove(self, row: int) -> None:
        """Take a row out; the last row takes its place, and the others keep theirs.

        Raises:
            ParameterError: there is no such row.
        """
        rows = list(self._rows)
        number = checked_row(row, len(rows))
        rows[number] = rows[-1]
        self._rows = tuple(rows[:-1])

    def swap(self, row: int, other: int) -> None:
        """Let two rows change places.

        Raises:
            ParameterError: there is no such row.
        """
        rows = list(self._rows)
        one, two = checked_row(row, len(rows)), checked_row(other, len(rows))
        rows[one], rows[two] = rows[two], rows[one]
        self._rows = tuple(rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.samplers, self._backend, self._threads)

    def __call__(
        self,
        logits: Rows,
        history: History,
        states: Sequence[States] | None = None,
    ) -> list[Sample | DecodingError]:
        """One result a row of `(batch, vocab)` logits, NumPy or torch.

        A row's position is the length of its history. states: one a row, of the feedbacks in its
        pipeline: `Sampler.start()`, then what the last sample says; None starts all of them anew.

        Raises:
            ShapeError: the logits are not `(len(samplers), vocab)` floats.
        """
        steered: dict[int, list[Steered]] = {}
        result, failed, ready = self._step(logits, history, states, steered, describe=True)
        drawn = [
            _sample(row, result.top) if row[0] == OK else self._error(index, row, history)
            for index, row in enumerate(result.rows.tolist())
        ]
        self._ready = ready
        for row, seen in steered.items():
            sample = drawn[row]
            if isinstance(sample, Sample):
                after = next_states(seen, sample.token_id, history.select(row), row)
                if isinstance(after, DecodingError):
                    drawn[row] = after
                else:
                    drawn[row] = replace(sample, states=after)
        for row, error in failed.items():
            drawn[row] = error
        return drawn

    def draw(self, logits: Rows, history: History) -> list[int | DecodingError]:
        """Draw the token ids only, without logprobs, ranks and alternatives.

        Raises:
            UnsupportedFeatureError: a pipeline has a feedback, whose state would not move.
        """
        if any(row.start for row in self._rows):
            raise UnsupportedFeatureError(
                "draw", "the pipeline has a Feedback; call the sampler instead"
            )
        result, failed, ready = self._step(logits, history, None, {}, describe=False)
        drawn: list[int | DecodingError] = result.rows["token_id"].tolist()
        if any(result.rows["status"].tolist()):
            for index, row in enumerate(result.rows.tolist()):
                if row[0] != OK:
                    drawn[index] = self._error(index, row, history)
        self._ready = ready
        for row, error in failed.items():
            drawn[row] = error
        return drawn

    def process(
        self, logits: Rows, history: History, states: Sequence[States] | None = None
    ) -> Processed:
        """The logits after each row's pipeline, for a caller who draws: no token, no noise.

        Arguments and errors are those of a call; seeds and `top_n` of the samplers take no part.
        Runs on the host: a tensor elsewhere is copied there.
        """
        found = self.process_exactly(logits, history, states)
        raw = logits_of(as_rows(logits))
        result = narrow(found.logits, raw.dtype)
        failing = list(found.errors)
        result[failing] = raw[failing]
        return replace(found, logits=result)

    def process_exactly(
        self, logits: Rows, history: History, states: Sequence[States] | None = None
    ) -> Processed:
        """As `process`, but float64 always: the very values that a step draws from.

        A row with an error is 0.
        """
        raw = logits_of(as_rows(logits))
        ready = self._take_ready(raw, history, states)
        steered: dict[int, list[Steered]] = {}
        rows = self._repaired(raw, history, ready) if ready.repairs else raw
        edited, failed = rows, ready.misfits
        if ready.stages:
            edited, failed = self._run_stages(rows, history, states, steered, ready)
        on_host = self._backend in (None, Backend.NUMPY, Backend.NUMBA)
        backend = (self._backend if on_host else None) or fastest(edited)
        kernel = ready.kernels.at(backend, edited, ready.batch_for(history))
        bitmasks, maskless = ready.programs.bitmasks(history, ready.width)
        seen = history.token_ids, history.lengths, history.prompt_lengths
        values, emptied = kernel.edit(edited, bitmasks, *seen)
        self._execution = ready.kernels.execution(backend, len(self._rows))
        errors = {**maskless, **failed}
        for row, wrong in enumerate((~(rows < np.inf)).sum(1).tolist()):
            if row in errors:
                continue
            if wrong:
                first = int(np.flatnonzero(~(rows[row] < np.inf))[0])
                errors[row] = self._error(row, (INVALID_LOGITS, first, wrong), history)
            elif emptied[row] >= 0 or not (values[row] > -np.inf).any():
                errors[row] = self._error(row, (EMPTY_SUPPORT, int(emptied[row]), 0), history)
        self._ready = ready
        values[list(errors)] = 0.0  # a kernel leaves anything there
        return Processed(values, errors, steered)

    def _step(
        self,
        logits: Rows,
        history: History,
        states: Sequence[States] | None,
        steered: dict[int, list[Steered]],
        *,
        describe: bool,
    ) -> tuple[StepResult, dict[int, DecodingError], _Ready]:
        """The kernel's results, and the errors of the rows that it should not have seen.

        What feedbacks did goes into `steered`, by row. The caller puts back what the step worked
        with, last, when the results are read: a kernel overwrites them.
        """
        raw = as_rows(logits)
        ready = self._take_ready(raw, history, states)
        failed, edited = ready.misfits, raw
        if ready.stages:
            raw = self._repaired(logits_of(raw), history, ready)
            edited, failed = self._run_stages(raw, history, states, steered, ready)
        backend = self._backend_for(raw)
        kernel = ready.kernels.at(backend, raw, ready.batch_for(history))
        self._execution = ready.kernels.execution(backend, len(self._rows))
        bitmasks, maskless = ready.programs.bitmasks(history, ready.width)
        result = kernel.step(
            edited,
            raw,
            bitmasks,
            history.token_ids,
            history.lengths,
            history.prompt_lengths,
            describe=describe,
        )
        return result, {**maskless, **failed} if maskless else failed, ready

    def _take_ready(self, raw: Rows, history: History, states: Sequence[States] | None) -> _Ready:
        """What a step with these arguments, which are checked, works with; taken from its place."""
        batch, width = raw.shape
        require("history", history, isinstance(history, History), "a History")
        if not batch == len(history) == len(self._rows):
            expected = f"{len(self._rows)} rows, one a sampler"
            raise ShapeError("logits and history", f"{batch} and {len(history)} rows", expected)
        if states is not None and (not isinstance(states, Sequence) or len(states) != batch):
            expected = f"a sequence of {batch} entries, one a sampler, or None"
            raise ParameterError("states", states, expected)
        ready, self._ready = self._ready or _Ready(self._backend, self._threads), None
        if ready.rows is not self._rows:
            ready.take(self._rows)
        if width != ready.width:
            ready.fit(width)
        return ready

    def _backend_for(self, rows: Rows) -> Backend:
        backend = self._settled.get(rows.dtype)
        if backend is None:
            backend = self._backend or fastest(rows)
            if backend is self._backend or backend is not Backend.NUMPY:
                self._settled[rows.dtype] = backend
        return backend

    def _repaired(self, logits: NDArray[Any], history: History, ready: _Ready) -> NDArray[Any]:
        """The rows whose pipeline begins with a policy for what is no logit, by that policy."""
        broken = [row for row in ready.repairs if not (logits[row] < np.inf).all()]
        if broken:
            logits = logits.copy()
        for row in broken:
            logits[row] = ready.repairs[row](logits[row : row + 1], history.select(row))[0]
        return logits

    def _run_stages(
        self,
        logits: NDArray[Any],
        history: History,
        states: Sequence[States] | None,
        steered: dict[int, list[Steered]],
        ready: _Ready,
    ) -> tuple[NDArray[Any], dict[int, DecodingError]]:
        """The batch after every segment but the last of each row's pipeline."""
        edited, failed = logits.copy(), dict(ready.misfits)
        for row, stages in ready.stages.items():
            # A row that is not logits is reported by the kernel; no processor should see it.
            if row in failed or not (logits[row] < np.inf).all():
                continue
            own = self._rows[row].start if states is None else states[row]
            try:
                after, seen = stages(logits[row : row + 1], history.select(row), own, row)
            except DecodingError as error:
                failed[row] = error
                continue
            edited[row] = after[0]
            if seen:
                steered[row] = seen
        return edited, failed

    def _error(self, row: int, outcome: tuple[Any, ...], history: History) -> DecodingError:
        return outcome_error(row, outcome, self._rows[row].sampler, history)


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


def sample(
    logits: Rows,
    history: History,
    samplers: Sequence[Sampler],
) -> list[Sample | DecodingError]:
    """Draw a token for every row, once; a loop should keep a `BatchSampler`.

    >>> [drawn] = sample(np.log([[0.2, 0.5, 0.3]]), History.empty(1), [Sampler()])
    >>> drawn.token_id, drawn.rank, round(drawn.processed_logprob, 4)
    (1, 1, -0.6931)
    """
    return BatchSampler(samplers)(logits, history)


def _checked_samplers(samplers: object) -> tuple[Sampler, ...]:
    if not isinstance(samplers, Sequence) or isinstance(samplers, str):
        raise ParameterError("samplers", samplers, "a sequence of samplers, one a row")
    for index, item in enumerate(samplers):
        require(f"samplers[{index}]", item, isinstance(item, Sampler), "a Sampler")
    return tuple(samplers)


def _restored(
    made: type[BatchSampler],
    samplers: Sequence[Sampler],
    backend: Backend | None,
    threads: int | None,
) -> BatchSampler:
    """A batch sampler that was pickled or copied."""
    return made(samplers, backend=backend, threads=threads)


def _sample(row: tuple[Any, ...], top: NDArray[Any]) -> Sample:
    """Make a `Sample` from one row of `decoding.kernels.result.ROW`, given as a tuple."""
    start, count = row[9:11]
    described = top[start : start + count].tolist() if count else ()
    alternatives = tuple([Alternative(*entry) for entry in described])
    token_id, raw, processed, rank, entropy, support_size = row[3:9]
    return Sample(token_id, raw, processed, rank, entropy, support_size, alternatives)


def last_run(pipeline: Pipeline) -> Fused:
    """The run of instructions that a pipeline ends with."""
    last = pipeline.segments[-1]
    assert isinstance(last, Fused)  # ours: a pipeline ends with one
    return last


def widest_bias(pipeline: Pipeline) -> int:
    """The largest token id that a bias of the pipeline names; −1 for none."""
    fused = [segment for segment in pipeline.segments if isinstance(segment, Fused)]
    items = [item for segment in fused for item in segment.instructions]
    named = [item.token_ids for item in items if item.opcode == Opcode.LOGIT_BIAS]
    return max((token_id for token_ids in named for token_id in token_ids), default=-1)
