"""`Sampler` and `BatchSampler`: drawing tokens from logits, the only use of randomness.

    token = argmax over the kept support of  logits[i] + noise(seed, position, i)

with standard Gumbel noise (`docs/noise.md`), so that P(token = i) = softmax(logits)[i] and a masked
token cannot be drawn. The noise is addressed, not streamed: a token depends on its row's logits,
pipeline, seed and position, and on nothing else in the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

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
from decoding.history import History
from decoding.kernels.backends import Backend, Kernel
from decoding.kernels.program import Batch, Opcode, Program
from decoding.kernels.result import EMPTY_SUPPORT, INVALID_LOGITS, OK, StepResult
from decoding.kernels.vector.dense import narrow
from decoding.logits import as_rows, logits_of
from decoding.pipeline import Fused, Pipeline, as_pipeline, chain
from decoding.processors.feedback import Feedback
from decoding.processors.nan_policy import NaNPolicy
from decoding.sampling.backends import Execution, OpenKernels, fastest, named
from decoding.sampling.dynamic_program import Changing
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
        return tuple(
            item.start() for item in self.pipeline.processors if isinstance(item, Feedback)
        )


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


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of a batch, with what is worked out once for it.

    last: what a kernel runs at the end. stages: what comes before; None where nothing does.
    start: the states of its feedbacks before its first token. repair: a policy for what is no
    logit, which its pipeline begins with. widest_bias: the largest token id that a bias names.
    """

    sampler: Sampler
    last: Fused
    stages: Stages | None
    start: States
    repair: NaNPolicy | None
    widest_bias: int

    @classmethod
    def of(cls, sampler: Sampler, backend: Backend | None) -> _Row:
        pipeline = sampler.pipeline
        before = pipeline.segments[:-1]
        first = pipeline.processors[0] if pipeline.processors else None
        return cls(
            sampler,
            _last(pipeline),
            Stages(before, backend) if before else None,
            sampler.start() if before else (),
            first if isinstance(first, NaNPolicy) else None,
            _widest_bias(pipeline),
        )


class _Members(NamedTuple):
    """The rows of a batch and how they are drawn.

    settled: by dtype, the backend than which nothing faster can become ready.
    """

    rows: list[_Row]
    changing: Changing
    backend: Backend | None
    threads: int | None
    settled: dict[Any, Backend]


class _Prepared(NamedTuple):
    """A step before its last kernel call.

    raw: the rows as the model gave them. edited: what the last call gets. failed: rows that it
    should not see.
    """

    raw: Any
    edited: Any
    failed: dict[int, DecodingError]
    kernel: Kernel
    bitmasks: NDArray[np.int32]


class BatchSampler:
    """Draws a token for every row of a batch; made once, called at every step.

    A row's error never touches another row: it takes the place of that row's sample.

    backend: None takes the fastest that serves the logits: for arrays and tensors on the host the
    compiled kernels, and NumPy's until these are ready; for tensors elsewhere Triton's, or torch's.
    One that is named, as a `Backend` or by its name, is waited for.
    threads: over how many the rows are spread on the host; None takes one for every 16 rows, as far
    as there are cores. A token depends on neither.
    """

    def __init__(
        self,
        samplers: Sequence[Sampler],
        *,
        backend: Backend | str | None = None,
        threads: int | None = None,
    ) -> None:
        if threads is not None:
            threads = checked_integer("threads", threads, 1, expected=">= 1, or None")
        rows = [_Row.of(sampler, named(backend)) for sampler in _checked_samplers(samplers)]
        changing = Changing.of([row.last for row in rows])
        self._set(_Members(rows, changing, named(backend), threads, {}))

    @classmethod
    def joined(cls, parts: Sequence[BatchSampler]) -> BatchSampler:
        """The rows of several samplers, in order, as one; backend and threads are the first's.

        Nothing of a row is worked out again, and the parts can be used on.

        Raises:
            ParameterError: there is no part.
        """
        require("parts", parts, len(parts) > 0, "at least one sampler")
        members = [part._members for part in parts]  # noqa: SLF001 -- of this class
        rows = [row for member in members for row in member.rows]
        changing = Changing.joined([member.changing for member in members])
        made = cls._of(members[0]._replace(rows=rows, changing=changing))
        made._execution = parts[0]._execution  # noqa: SLF001 -- of this class
        return made

    def selected(self, rows: Sequence[int]) -> BatchSampler:
        """A sampler of some of the rows, which are named in ascending order.

        Nothing of a row is worked out again, and this sampler can be used on.
        """
        kept, changing = [self._rows[row] for row in rows], self._changing.selected(rows)
        made = self._of(self._members._replace(rows=kept, changing=changing))
        made._execution = self._execution  # noqa: SLF001 -- of this class
        return made

    @classmethod
    def _of(cls, members: _Members) -> BatchSampler:
        made = cls.__new__(cls)
        made._set(members)  # noqa: SLF001 -- of this class
        return made

    def _set(self, members: _Members) -> None:
        self._members = members
        rows, changing, self._backend, threads, settled = members
        self._rows, self._changing = rows, changing
        self._stages = {
            index: row.stages for index, row in enumerate(rows) if row.stages is not None
        }
        self._repairs = {
            index: row.repair for index, row in enumerate(rows) if row.repair is not None
        }
        batch = Batch(
            changing.program,
            np.array([row.sampler.seed or 0 for row in rows], np.uint64),
            np.array([row.sampler.seed is None for row in rows], np.bool_),
            np.array([row.sampler.top_n for row in rows], np.int64),
        )
        self._kernels = OpenKernels(batch, threads)
        self._settled = settled
        self._width = 0
        self._misfits: dict[int, DecodingError] = {}
        self._execution: Execution | None = None

    def __reduce__(self) -> tuple[object, ...]:
        """A copy has drawn nothing."""
        samplers = [row.sampler for row in self._rows]
        return _again, (type(self), samplers, self._backend, self._members.threads)

    @property
    def execution(self) -> Execution | None:
        """How the last step ran: its backend and threads; None before the first step."""
        return self._execution

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
        result, failed = self._step(logits, history, states, steered, describe=True)
        drawn = [
            _sample(row, result.top) if row[0] == OK else self._error(index, row, history)
            for index, row in enumerate(result.rows.tolist())
        ]
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
        if any(stages.is_steered for stages in self._stages.values()):
            raise UnsupportedFeatureError(
                "draw", "the pipeline has a Feedback; call the sampler instead"
            )
        result, failed = self._step(logits, history, None, {}, describe=False)
        drawn: list[int | DecodingError] = result.rows["token_id"].tolist()
        if any(result.rows["status"].tolist()):
            for index, row in enumerate(result.rows.tolist()):
                if row[0] != OK:
                    drawn[index] = self._error(index, row, history)
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
        raw = logits_of(as_rows(logits))
        self._check(raw, history, states)
        steered: dict[int, list[Steered]] = {}
        rows = self._repaired(raw, history) if self._repairs else raw
        edited, failed = rows, self._misfits
        if self._stages:
            edited, failed = self._run_stages(rows, history, states, steered)
        on_host = self._backend in (None, Backend.NUMPY, Backend.NUMBA)
        backend = (self._backend if on_host else None) or fastest(edited)
        program = self._changing.program_for(history, raw.shape[1])
        self._execution = self._kernels.execution(backend)
        kernel = self._kernels.at(backend, edited, program)
        bitmasks, maskless = self._changing.bitmasks(history, raw.shape[1])
        seen = history.token_ids, history.lengths, history.prompt_lengths
        values, emptied = kernel.edit(edited, bitmasks, *seen)
        errors = {**maskless, **failed}
        for row, wrong in enumerate((~(rows < np.inf)).sum(1).tolist()):
            if row in errors:
                continue
            if wrong:
                first = int(np.flatnonzero(~(rows[row] < np.inf))[0])
                errors[row] = self._error(row, (INVALID_LOGITS, first, wrong), history)
            elif emptied[row] >= 0 or not (values[row] > -np.inf).any():
                errors[row] = self._error(row, (EMPTY_SUPPORT, int(emptied[row]), 0), history)
        failing = list(errors)
        values[failing] = 0.0  # a kernel leaves anything there
        result = narrow(values, raw.dtype)
        result[failing] = raw[failing]
        return Processed(result, errors, steered)

    def _check(self, raw: Rows, history: History, states: Sequence[States] | None) -> None:
        """Check that all arguments of a step have a row a sampler."""
        batch, width = raw.shape
        require("history", history, isinstance(history, History), "a History")
        if not batch == len(history) == len(self._rows):
            expected = f"{len(self._rows)} rows, one a sampler"
            raise ShapeError("logits and history", f"{batch} and {len(history)} rows", expected)
        if states is not None and (not isinstance(states, Sequence) or len(states) != batch):
            expected = f"a sequence of {batch} entries, one a sampler, or None"
            raise ParameterError("states", states, expected)
        if width != self._width:
            self._fit(width)
    def edit(
        self, logits: Rows, history: History, states: Sequence[States] | None = None
    ) -> list[NDArray[np.float64] | DecodingError]:
        """Run the pipelines and draw nothing: each row `(vocab,)`, −inf where a token is removed.

        The values are those that the same call of the sampler draws from. Arguments and errors are
        as in a call.
        """
        raw, edited, failed, kernel, bitmasks = self._prepare(logits, history, states, {})
        invalid = [
            row for row, item in enumerate(logits_of(raw)) if row not in failed and _is_broken(item)
        ]
        if invalid:  # the call says what is wrong with them
            described = self(logits, history, states)
            failed = {**failed, **{row: _error_of(described[row]) for row in invalid}}
        rows, emptied = kernel.edit(
            edited, bitmasks, history.token_ids, history.lengths, history.prompt_lengths
        )
        found: list[NDArray[np.float64] | DecodingError] = []
        for row, position in enumerate(emptied.tolist()):
            if row in failed:
                found.append(failed[row])
            elif position >= 0:
                found.append(self._error(row, (EMPTY_SUPPORT, position, 0), history))
            else:
                found.append(np.asarray(rows[row]))
        return found

    def _step(
        self,
        logits: Rows,
        history: History,
        states: Sequence[States] | None,
        steered: dict[int, list[Steered]],
        *,
        describe: bool,
    ) -> tuple[StepResult, dict[int, DecodingError]]:
        """The kernel's results, and the errors of the rows that it should not have seen.

        What feedbacks did goes into `steered`, by row.
        """
        raw, edited, failed, kernel, bitmasks = self._prepare(logits, history, states, steered)
        result = kernel.step(
            edited,
            raw,
            bitmasks,
            history.token_ids,
            history.lengths,
            history.prompt_lengths,
            describe=describe,
        )
        return result, failed

    def _prepare(
        self,
        logits: Rows,
        history: History,
        states: Sequence[States] | None,
        steered: dict[int, list[Steered]],
    ) -> _Prepared:
        """Check the arguments of a step and run what comes before the last kernel call."""
        raw = as_rows(logits)
        self._check(raw, history, states)
        width = raw.shape[1]
        failed, edited = self._misfits, raw
        if self._stages:
            raw = self._repaired(logits_of(raw), history)
            edited, failed = self._run_stages(raw, history, states, steered)
        kernel = self._kernel(raw, self._changing.program_for(history, width))
        bitmasks, maskless = self._changing.bitmasks(history, width)
        failed = {**maskless, **failed} if maskless else failed
        return _Prepared(raw, edited, failed, kernel, bitmasks)

    def _fit(self, width: int) -> None:
        """Everything that depends on the width of the logits, which rarely changes."""
        self._width = width
        self._misfits = {}
        for row, item in enumerate(self._rows):
            if item.widest_bias >= width:
                expected = f"at most {width - 1}, the last token of the row"
                self._misfits[row] = ShapeError(
                    "logit_bias", f"token id {item.widest_bias}", expected
                )

    def _kernel(self, rows: Rows, program: Program) -> Kernel:
        backend = self._settled.get(rows.dtype)
        if backend is None:
            backend = self._backend or fastest(rows)
            if backend is self._backend or backend is not Backend.NUMPY:
                self._settled[rows.dtype] = backend
        self._execution = self._kernels.execution(backend)
        return self._kernels.at(backend, rows, program)

    def _repaired(self, logits: NDArray[Any], history: History) -> NDArray[Any]:
        """The rows whose pipeline begins with a policy for what is no logit, by that policy."""
        broken = [row for row in self._repairs if not (logits[row] < np.inf).all()]
        if broken:
            logits = logits.copy()
        for row in broken:
            logits[row] = self._repairs[row](logits[row : row + 1], history.select(row))[0]
        return logits

    def _run_stages(
        self,
        logits: NDArray[Any],
        history: History,
        states: Sequence[States] | None,
        steered: dict[int, list[Steered]],
    ) -> tuple[NDArray[Any], dict[int, DecodingError]]:
        """The batch after every segment but the last of each row's pipeline."""
        edited, failed = logits.copy(), dict(self._misfits)
        for row, stages in self._stages.items():
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
        status, position, count = outcome[:3]
        generated = int(history.lengths[row] - history.prompt_lengths[row])
        if status == INVALID_LOGITS:
            return InvalidLogitsError(row, position, count, generated)
        assert status == EMPTY_SUPPORT
        culprit = None if position < 0 else shown(self._rows[row].last.processors[position])
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


def _again(
    kind: type[BatchSampler],
    samplers: Sequence[Sampler],
    backend: Backend | None,
    threads: int | None,
) -> BatchSampler:
    return kind(samplers, backend=backend, threads=threads)


def _checked_samplers(samplers: object) -> tuple[Sampler, ...]:
    if not isinstance(samplers, Sequence) or isinstance(samplers, str):
        raise ParameterError("samplers", samplers, "a sequence of samplers, one a row")
    for index, item in enumerate(samplers):
        require(f"samplers[{index}]", item, isinstance(item, Sampler), "a Sampler")
    return tuple(samplers)


def _sample(row: tuple[Any, ...], top: NDArray[Any]) -> Sample:
    """Make a `Sample` from one row of `decoding.kernels.result.ROW`, given as a tuple."""
    start, count = row[9:11]
    described = top[start : start + count].tolist() if count else ()
    alternatives = tuple([Alternative(*entry) for entry in described])
    token_id, raw, processed, rank, entropy, support_size = row[3:9]
    return Sample(token_id, raw, processed, rank, entropy, support_size, alternatives)


def _is_broken(row: NDArray[Any]) -> bool:
    """Whether a row is no logits, or has no possible token."""
    largest = row.max()
    return not -np.inf < largest < np.inf


def _error_of(outcome: Sample | DecodingError) -> DecodingError:
    assert isinstance(outcome, DecodingError)  # ours: a broken row has no sample
    return outcome


def _last(pipeline: Pipeline) -> Fused:
    last = pipeline.segments[-1]
    assert isinstance(last, Fused)  # ours: a pipeline ends with one
    return last


def _widest_bias(pipeline: Pipeline) -> int:
    """The largest token id that a bias names; −1 for none."""
    fused = [segment for segment in pipeline.segments if isinstance(segment, Fused)]
    items = [item for segment in fused for item in segment.instructions]
    named = [item.token_ids for item in items if item.opcode == Opcode.LOGIT_BIAS]
    return max((token_id for token_ids in named for token_id in token_ids), default=-1)
