"""Draws a token for every sequence of a batch and appends it to the sequence."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from decoding.engine.generation import RunningSequence, writing_error
from decoding.errors import DecodingError, ProcessorError, shown, shown_error
from decoding.history import History, HistoryBuffer
from decoding.sampling.batch import BatchSampler, Sample, States
from decoding.typing import Rows


class Call(NamedTuple):
    """A call of the model for the sequences of a batch, and their lengths before it.

    counts: how many tokens each was given; None until the model has returned.
    """

    sequences: list[RunningSequence]
    lengths: NDArray[np.int64]
    counts: list[int] | None


class RunningBatch:
    """Sequences that run together; they join and leave at the cost of their own rows.

    Where `add` or `remove_over` is interrupted, the batch is not used again.
    """

    def __init__(self) -> None:
        self.sequences: list[RunningSequence] = []
        self.sampler = BatchSampler()
        self.history = HistoryBuffer()
        self.last: list[int] = []
        """The last token of each sequence."""
        # How many sequences have feedbacks, and how many may be forced to write tokens.
        self._steered = self._jumping = 0
        self.call: Call | None = None
        """That of the step that runs."""
        # That is noted in each generation; None where a sequence has joined.
        self._backend: str | None = None
        self.width: int | None = None
        """The width of logits that every plan has; None where plans have to be compared."""

    def add(self, sequence: RunningSequence) -> bool:
        """Let a sequence join; end it, and return False, where it cannot be sampled."""
        prompt = sequence.generation.plan.prompt_ids
        try:
            row = self.sampler.add(sequence.sampler)
            try:
                self.history.add(prompt, tuple(sequence.token_ids[len(prompt) :]))
            except BaseException:
                self.sampler.remove(row)
                raise
        except Exception as error:  # a processor may raise anything
            sequence.generation.fail(_pipeline_error(sequence, error))
            return False
        self.sequences.append(sequence)
        self.last.append(sequence.token_ids[-1])
        self._backend = None
        self._steered += sequence.has_feedback
        self._jumping += sequence.jump is not None
        if sequence.generation.plan.width != self.width:
            self.width = None
        return True

    @property
    def over(self) -> list[RunningSequence]:
        """The sequences that need no further token."""
        return [item for item in self.sequences if item.ended]

    def remove_over(self) -> list[RunningSequence]:
        """Let the sequences leave that are over, and return them."""
        ended = self.over
        self.remove(set(ended))
        return ended

    def remove(self, sequences: Collection[RunningSequence]) -> None:
        """Let sequences leave, wherever they are."""
        if not sequences:
            return
        rows = [row for row, item in enumerate(self.sequences) if item in sequences]
        rows.reverse()  # no row that is still to leave is moved
        self.sampler.remove_all(rows)
        for row in rows:
            sequence = self.sequences[row]
            self.history.remove(row)
            self.sequences[row], self.last[row] = self.sequences[-1], self.last[-1]
            self.sequences.pop()
            self.last.pop()
            self._steered -= sequence.has_feedback
            self._jumping -= sequence.jump is not None

    def clear(self) -> None:
        """Let all sequences leave."""
        self.remove(set(self.sequences))

    @property
    def is_forced(self) -> bool:
        """Whether a grammar forces a sequence to write tokens next."""
        return self._jumping > 0 and any(item.forced for item in self.sequences)

    def latest(self) -> list[list[int]]:
        """The tokens of each sequence that the model has not read: the last, and those forced next.

        The lists are the caller's.
        """
        latest = [[token_id] for token_id in self.last]
        if self._jumping:
            for row, item in enumerate(self.sequences):
                latest[row] += item.forced
        return latest

    def begin_call(self) -> None:
        """Note that the model is called: what the states hold is not known until `end_call`."""
        self.call = Call(list(self.sequences), self.history.view().lengths.copy(), None)

    def end_call(self, counts: list[int]) -> None:
        """Note that the model has appended so many tokens to the states."""
        if self.call is not None:
            self.call = self.call._replace(counts=counts)

    def note_excess(self) -> None:
        """After an interrupt: note what the states hold, by the call of the model."""
        if self.call is not None:
            sequences, lengths, counts = self.call
            for row, item in enumerate(sequences):
                item.excess = None
                if counts is not None:
                    item.excess = int(lengths[row]) + counts[row] - len(item.token_ids)
        # Last: from here on they say it themselves.
        self.call = None

    def states(self) -> list[States] | None:
        """The states of the feedbacks of each sequence; None where no sequence has feedbacks."""
        return [item.feedback for item in self.sequences] if self._steered else None

    def append(self, token_ids: list[int]) -> None:
        """Note the token that each sequence has drawn."""
        self.last = token_ids
        self.history.append(token_ids)

    def note_backend(self) -> None:
        """Note in each generation which backend has drawn."""
        execution = self.sampler.execution
        backend = None if execution is None else execution.backend
        if backend is not self._backend:
            for item in self.sequences:
                item.generation.backend = backend
            self._backend = backend


def draw_first(
    sequences: Sequence[RunningSequence], logits: Rows, arrivals: RunningBatch
) -> list[RunningSequence]:
    """Draw each sequence's first token, or append the token that its grammar forces.

    Returns those that go on. arrivals: an empty batch, which is left empty.
    """
    chosen: list[int] = []
    for row, item in enumerate(sequences):
        if item.forced:
            _write_forced(item, logits[row : row + 1], item.forced[:1])
        elif not item.ended and arrivals.add(item):
            chosen.append(row)
    if chosen:
        draw(arrivals, rows_of(logits, chosen))
        arrivals.clear()
    return [item for item in sequences if not item.ended]


def write_next(batch: RunningBatch, logits: Rows, counts: Sequence[int]) -> Rows:
    """Append the tokens that grammars force; return the logits after each sequence's last token.

    logits: a row after every new token, `counts[i]` of them for the i-th sequence.
    """
    if len(logits) == len(counts):  # nothing is forced
        return logits
    ends = np.cumsum(counts)
    for row, (item, end) in enumerate(zip(batch.sequences, ends.tolist(), strict=True)):
        forced = item.forced
        if forced:
            count = _write_forced(item, logits[end - 1 - len(forced) : end - 1], forced)
            batch.history.extend_row(row, forced[:count])
            if item.ended:  # and draws no further token: the model has read all of these
                item.excess = 1 + len(forced) - count
    return rows_of(logits, (ends - 1).tolist())


def draw(batch: RunningBatch, logits: Rows) -> None:
    """Draw one token for every row; an error of a row ends that row's request."""
    outcomes: list[Sample | DecodingError]
    try:
        outcomes = batch.sampler(logits, batch.history.view(), batch.states())
    except Exception:  # whose fault it is shows when each row is drawn alone
        outcomes = [
            _drawn_alone(item, logits[row : row + 1]) for row, item in enumerate(batch.sequences)
        ]
    batch.note_backend()
    last = batch.last.copy()
    # What this touches of a row is in no cache: a row's own record alone, unless it ends.
    for row, (item, outcome) in enumerate(zip(batch.sequences, outcomes, strict=True)):
        if item.ended:
            continue
        if isinstance(outcome, DecodingError):
            item.generation.fail(outcome)
            continue
        last[row] = outcome.token_id
        try:
            item.take(outcome)
            if item.jump is not None:
                item.look_ahead()
        except Exception as error:  # a vocabulary or a grammar may raise anything
            item.generation.fail(writing_error(error, len(item.samples)))
    batch.append(last)


def rows_of(logits: Rows, rows: Sequence[int]) -> Rows:
    """Select rows of logits: a view of them where they are one after the other."""
    if not rows:
        return logits[:0]
    first, count = rows[0], len(rows)
    if list(rows) == list(range(first, first + count)):
        return logits if count == len(logits) else logits[first : first + count]
    return logits[rows]


def _drawn_alone(sequence: RunningSequence, logits: Rows) -> Sample | DecodingError:
    length = len(sequence.generation.plan.prompt)
    try:
        history = History.of([sequence.token_ids[:length]], [sequence.token_ids[length:]])
        [outcome] = BatchSampler([sequence.sampler])(logits, history, [sequence.feedback])
    except Exception as error:  # a processor may raise anything
        return _pipeline_error(sequence, error)
    return outcome


def _write_forced(sequence: RunningSequence, logits: Rows, token_ids: Sequence[int]) -> int:
    from decoding.engine.forced_tokens import write_forced

    before = len(sequence.samples)
    try:
        write_forced(sequence, logits, token_ids)
    except Exception as error:
        sequence.generation.fail(writing_error(error, len(sequence.samples)))
    return len(sequence.samples) - before


def _pipeline_error(sequence: RunningSequence, error: Exception) -> DecodingError:
    """The error of a sequence whose pipeline cannot run."""
    if isinstance(error, DecodingError):
        return error
    pipeline = shown(sequence.sampler.pipeline)
    failure = ProcessorError(pipeline, f"raised {shown_error(error)}", 0, len(sequence.samples))
    failure.__cause__ = error
    return failure
