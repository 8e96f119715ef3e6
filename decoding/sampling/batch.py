"""`BatchSampler`: draws a token from each row of logits, with noise by seed and position.

    token = argmax over the kept support of  logits[i] + noise(seed, position, i)

with standard Gumbel noise, so that P(token = i) = softmax(logits)[i] and a masked token cannot be
drawn. The noise is addressed, not streamed: a token depends on its row's logits, pipeline, seed and
position, and on nothing else in the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.checks import checked_integer
from decoding.errors import (
    DecodingError,
    ParameterError,
    ShapeError,
    UnsupportedFeatureError,
    require,
)
from decoding.history import History, checked_row
from decoding.kernels.backends import Backend
from decoding.kernels.result import EMPTY_SUPPORT, INVALID_LOGITS, OK, StepResult, hide_raw
from decoding.kernels.vector.dense import narrow
from decoding.logits import LastView, as_rows, logits_of
from decoding.sampling.backends import Execution, OpenKernels, fastest, named, on_host
from decoding.sampling.dynamic_program import SharedRows
from decoding.sampling.rows import BatchRow, ReadyRows, Steady, outcome_error
from decoding.sampling.samples import (
    Alternative,
    Processed,
    Sample,
    Sampler,
    States,
    checked_samplers,
    sample_of,
    tuples_of_rows,
)
from decoding.sampling.stages import Steered, next_states
from decoding.typing import Rows

__all__ = ["Alternative", "BatchSampler", "Processed", "Sample", "Sampler", "States", "sample"]


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
        self._rows = tuple(BatchRow.of(item, self._shared) for item in checked_samplers(samplers))
        # None while a step works with it: what a step leaves half done is not used again.
        self._ready: ReadyRows | None = None
        # By dtype, the backend than which nothing faster can become ready.
        self._settled: dict[Any, Backend] = {}
        self._execution: Execution | None = None
        self._last_view = LastView()

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
        self._rows = (*self._rows, BatchRow.of(sampler, self._shared))
        return len(self._rows) - 1

    def remove(self, row: int) -> None:
        """Take a row out; the last row takes its place, and the others keep theirs.

        Raises:
            ParameterError: there is no such row.
        """
        self.remove_all((row,))

    def remove_all(self, rows: Iterable[int]) -> None:
        """Take rows out one after the other, as by `remove`, at about the cost of one.

        Raises:
            ParameterError: there is no such row, at its turn; then no row is taken out.
        """
        left = list(self._rows)
        for row in rows:
            number = checked_row(row, len(left))
            left[number] = left[-1]
            left.pop()
        self._rows = tuple(left)

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
        """Draw and describe one token for each row of `(batch, vocab)` logits, NumPy or torch.

        A row's position is the length of its history. states: one a row, of the feedbacks in its
        pipeline: `Sampler.start()`, then what the last sample says; None starts all of them anew.

        Raises:
            ShapeError: the logits are not `(len(samplers), vocab)` floats.
        """
        steered: dict[int, list[Steered]] = {}
        result, failed, ready = self._step(logits, history, states, steered, describe=True)
        top = result.top
        drawn = [
            sample_of(row, top) if row[0] == OK else self._error(index, row, history)
            for index, row in enumerate(tuples_of_rows(result.rows))
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
        if self._has_feedbacks():
            raise UnsupportedFeatureError(
                "draw", "the pipeline has a Feedback; call the sampler instead"
            )
        result, failed, ready = self._step(logits, history, None, {}, describe=False)
        drawn: list[int | DecodingError] = result.token_ids.tolist()
        if any(result.statuses.tolist()):
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
        """Process as `process` does, but return the float64 values that a step draws from.

        A row with an error is 0.
        """
        raw = logits_of(as_rows(logits))
        ready = self._take_ready(raw, history, states)
        steered: dict[int, list[Steered]] = {}
        rows = self._repaired(raw, history, ready) if ready.repairs else raw
        edited, failed = rows, ready.misfits
        if ready.stages:
            edited, failed = self._run_stages(rows, history, states, steered, ready)
        backend = on_host(self._backend) or fastest(edited)
        kernel = ready.kernels.at(backend, edited, ready.batch_for(history))
        bitmasks, maskless = ready.programs.bitmasks(history, ready.width)
        seen = history.token_ids, history.lengths, history.prompt_lengths
        values, emptied = kernel.edit(edited, bitmasks, *seen)
        self._execution = ready.kernels.execution(backend)
        errors = {**maskless, **failed}
        for row, wrong in enumerate((~(rows < np.inf)).sum(1).tolist()):
            if row in errors:
                continue
            if wrong:
                first = int(np.flatnonzero(~(rows[row] < np.inf))[0])
                errors[row] = self._error(row, (INVALID_LOGITS, first, wrong), history)
            elif emptied[row] >= 0 or not (edited[row] > -np.inf).any():
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
    ) -> tuple[StepResult, dict[int, DecodingError], ReadyRows]:
        """The kernel's results, and the errors of the rows that it should not have seen.

        What feedbacks did goes into `steered`, by row. The caller puts back what the step worked
        with, last, when the results are read: a kernel overwrites them.
        """
        raw = as_rows(logits) if type(logits) is np.ndarray else self._last_view.of(logits)
        ready = self._take_ready(raw, history, states)
        token_ids, lengths = history.token_ids, history.lengths
        prompt_lengths = history.prompt_lengths
        steady = ready.steady
        if steady is not None and steady.dtype is raw.dtype:
            self._execution, bitmasks = steady.execution, steady.bitmasks
            result = steady.kernel.step(
                raw, raw, bitmasks, token_ids, lengths, prompt_lengths, describe=describe
            )
            return result, {}, ready
        failed, edited = ready.misfits, raw
        if ready.repairs or ready.stages:
            # Not the last view: a processor may keep what it sees, which then keeps its memory.
            raw = edited = self._repaired(logits_of(as_rows(logits)), history, ready)
        if ready.stages:
            edited, failed = self._run_stages(raw, history, states, steered, ready)
        backend = self._backend_for(raw)
        kernel = ready.kernels.at(backend, raw, ready.batch_for(history))
        self._execution = ready.kernels.execution(backend)
        bitmasks, maskless = ready.programs.bitmasks(history, ready.width)
        result = kernel.step(
            edited, raw, bitmasks, token_ids, lengths, prompt_lengths, describe=describe
        )
        if backend is Backend.NUMBA and raw.dtype in self._settled and ready.is_fixed:
            ready.steady = Steady(raw.dtype, kernel, bitmasks, self._execution)
        elif describe and backend is not Backend.NUMBA:
            hide_raw(result, ready.batch.raw)
        return result, {**maskless, **failed} if maskless else failed, ready

    def _take_ready(
        self, raw: Rows, history: History, states: Sequence[States] | None
    ) -> ReadyRows:
        """Check a step's arguments; take the prepared rows for them out of `self._ready`."""
        batch, width = raw.shape
        if not isinstance(history, History):
            raise ParameterError("history", history, "a History")
        if not batch == len(history.lengths) == len(self._rows):
            expected = f"{len(self._rows)} rows, one a sampler"
            raise ShapeError("logits and history", f"{batch} and {len(history)} rows", expected)
        if states is not None and (not isinstance(states, Sequence) or len(states) != batch):
            expected = f"a sequence of {batch} entries, one a sampler, or None"
            raise ParameterError("states", states, expected)
        ready, self._ready = self._ready or self._new_ready(), None
        if ready.rows is not self._rows:
            ready.take(self._rows)
        if width != ready.width:
            ready.fit(width)
        return ready

    def _new_ready(self) -> ReadyRows:
        return ReadyRows(self._backend, OpenKernels(self._threads))

    def _has_feedbacks(self) -> bool:
        """Whether a row has a state that each drawn token updates."""
        ready = self._ready
        if ready is not None and ready.rows is self._rows:
            return ready.has_feedbacks
        return any(row.start for row in self._rows)

    def _backend_for(self, rows: Rows) -> Backend:
        backend = self._settled.get(rows.dtype)
        if backend is None:
            backend = self._backend or fastest(rows)
            if backend is self._backend or backend is not Backend.NUMPY:
                self._settled[rows.dtype] = backend
        return backend

    def _repaired(self, logits: NDArray[Any], history: History, ready: ReadyRows) -> NDArray[Any]:
        """Apply a leading `NaNPolicy` to the rows whose pipeline has one."""
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
        ready: ReadyRows,
    ) -> tuple[NDArray[Any], dict[int, DecodingError]]:
        """The batch after every segment but the last of each row's pipeline."""
        edited, failed = logits.copy(), dict(ready.misfits)
        for row, stages in ready.stages.items():
            # A row that is not logits, or has no token, is reported by the kernel; no processor
            # should see it.
            is_row = (logits[row] < np.inf).all() and (logits[row] > -np.inf).any()
            if row in failed or not is_row:
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


def _restored(
    made: type[BatchSampler],
    samplers: Sequence[Sampler],
    backend: Backend | None,
    threads: int | None,
) -> BatchSampler:
    """A batch sampler that was pickled or copied."""
    return made(samplers, backend=backend, threads=threads)
