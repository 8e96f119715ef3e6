"""Draws a token for every sequence of a batch and appends it to the sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from decoding.engine.forced_tokens import write_forced
from decoding.engine.generation import RunningSequence
from decoding.errors import DecodingError, ProcessorError, RequestError, shown, shown_error
from decoding.history import HistoryBuffer
from decoding.sampling.batch import BatchSampler, Sample
from decoding.typing import Rows


class RunningBatch:
    """Sequences that run together, with everything that is computed once a sequence.

    `selected` and `joined` make other batches of the same sequences at a cost of a few array
    operations, and leave this one as it is.
    """

    def __init__(
        self,
        sequences: Sequence[RunningSequence],
        sampler: BatchSampler,
        history: HistoryBuffer,
    ) -> None:
        self.sequences, self.sampler, self.history = sequences, sampler, history

    @classmethod
    def of(cls, sequences: Sequence[RunningSequence]) -> RunningBatch:
        """A batch of sequences; each one's pipeline is prepared here."""
        return cls(
            sequences,
            BatchSampler([item.sampler for item in sequences]),
            HistoryBuffer.of(
                [item.token_ids for item in sequences],
                [len(item.generation.plan.prompt) for item in sequences],
            ),
        )

    @classmethod
    def joined(cls, parts: Sequence[RunningBatch]) -> RunningBatch:
        """The sequences of all parts, in order."""
        filled = [part for part in parts if part.sequences]
        if len(filled) < 2:
            return filled[0] if filled else cls.of(())
        return cls(
            [item for part in filled for item in part.sequences],
            BatchSampler.joined([part.sampler for part in filled]),
            HistoryBuffer.joined([part.history for part in filled]),
        )

    def selected(self, rows: Sequence[int]) -> RunningBatch:
        """Some of the sequences, by their rows in ascending order; the batch itself for all."""
        if len(rows) == len(self.sequences):
            return self
        return RunningBatch(
            [self.sequences[row] for row in rows],
            self.sampler.selected(rows),
            self.history.selected(rows),
        )

    def going(self) -> RunningBatch:
        """The batch without the sequences that are over."""
        return self.selected([row for row, item in enumerate(self.sequences) if not item.over])


def batch_of(sequences: Sequence[RunningSequence]) -> RunningBatch:
    """Make a batch of the sequences that are not over; end those that cannot be sampled."""
    going = [item for item in sequences if not item.over]
    try:
        return RunningBatch.of(going)
    except Exception:
        for item in going:
            try:
                RunningBatch.of([item])
            except Exception as error:
                item.generation.fail(_pipeline_error(item, error))
    return RunningBatch.of([item for item in going if not item.over])


def draw_first(sequences: Sequence[RunningSequence], logits: Rows) -> RunningBatch:
    """The first token of every sequence: drawn, unless there is no choice.

    Returns those that go on, as a batch.
    """
    forced: list[int] = []
    drawing: list[int] = []
    for row, item in enumerate(sequences):
        if item.forced:
            _write_forced(item, logits[row : row + 1], item.forced[:1])
            forced.append(row)
        else:
            drawing.append(row)
    batch = batch_of([sequences[row] for row in drawing])
    chosen = [row for row in drawing if not sequences[row].over]
    if chosen:
        draw(batch, rows_of(logits, chosen))
    return RunningBatch.joined([batch.going(), batch_of([sequences[row] for row in forced])])


def draw_next(batch: RunningBatch, logits: Rows, counts: Sequence[int]) -> None:
    """Append forced tokens, then draw one token for every sequence.

    logits: a row after every new token, `counts[i]` of them for the i-th sequence.
    """
    ends = np.cumsum(counts)
    for row, (item, end) in enumerate(zip(batch.sequences, ends.tolist(), strict=True)):
        forced = item.forced
        if forced:
            count = _write_forced(item, logits[end - 1 - len(forced) : end - 1], forced)
            batch.history.extend_row(row, forced[:count])
    draw(batch, rows_of(logits, (ends - 1).tolist()))


def draw(batch: RunningBatch, logits: Rows) -> None:
    """Draw one token for every row; an error of a row ends that row's request."""
    states = [item.feedback for item in batch.sequences]
    outcomes: list[Sample | DecodingError]
    try:
        outcomes = batch.sampler(logits, batch.history.view(), states)
    except Exception:  # whose fault it is shows when each row is drawn alone
        outcomes = [
            _drawn_alone(item, logits[row : row + 1]) for row, item in enumerate(batch.sequences)
        ]
    execution = batch.sampler.execution
    backend = None if execution is None else execution.backend
    for item, outcome in zip(batch.sequences, outcomes, strict=True):
        item.generation.backend = backend
        if item.over:
            continue
        if isinstance(outcome, DecodingError):
            item.generation.fail(outcome)
        else:
            _take(item, outcome)
    batch.history.append([item.token_ids[-1] for item in batch.sequences])


def rows_of(logits: Rows, rows: Sequence[int]) -> Rows:
    """Select rows of logits; return the logits themselves if all are selected."""
    return logits if list(rows) == list(range(len(logits))) else logits[rows]


def _drawn_alone(sequence: RunningSequence, logits: Rows) -> Sample | DecodingError:
    try:
        batch = RunningBatch.of([sequence])
        [outcome] = batch.sampler(logits, batch.history.view(), [sequence.feedback])
    except Exception as error:  # a processor may raise anything
        return _pipeline_error(sequence, error)
    return outcome


def _take(sequence: RunningSequence, sample: Sample) -> None:
    try:
        sequence.take(sample)
        sequence.look_ahead()
    except Exception as error:  # a vocabulary or a grammar may raise anything
        sequence.generation.fail(_writing_error(sequence, error))


def _write_forced(sequence: RunningSequence, logits: Rows, token_ids: Sequence[int]) -> int:
    before = len(sequence.samples)
    try:
        write_forced(sequence, logits, token_ids)
    except Exception as error:
        sequence.generation.fail(_writing_error(sequence, error))
    return len(sequence.samples) - before


def _writing_error(sequence: RunningSequence, error: Exception) -> DecodingError:
    """The error of a sequence whose token cannot be appended."""
    if isinstance(error, DecodingError):
        return error
    failure = RequestError(f"writing a token raised {shown_error(error)}", len(sequence.samples))
    failure.__cause__ = error
    return failure


def _pipeline_error(sequence: RunningSequence, error: Exception) -> DecodingError:
    """The error of a sequence whose pipeline cannot run."""
    if isinstance(error, DecodingError):
        return error
    pipeline = shown(sequence.sampler.pipeline)
    failure = ProcessorError(pipeline, f"raised {shown_error(error)}", 0, len(sequence.samples))
    failure.__cause__ = error
    return failure
