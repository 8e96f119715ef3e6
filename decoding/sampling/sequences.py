"""Draws from, or edits, rows of logits for a loop that keeps the token ids itself.

`BatchSampler` is for loops that keep the history themselves. Here a loop outside this library keeps
it: before every step it hands over a row of logits and all token ids so far, and it may take tokens
back, force its own, or ask twice for the same step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decoding.checks import checked_integer
from decoding.errors import DecodingError, InvalidLogitsError, ParameterError, ShapeError
from decoding.history import PADDING, History
from decoding.kernels.backends import Backend
from decoding.logits import as_logits
from decoding.pipeline import Fused, Pipeline, as_pipeline
from decoding.sampling.backends import on_host
from decoding.sampling.batch import BatchSampler
from decoding.sampling.samples import Processed, Sample, Sampler, States
from decoding.typing import Logits, Processor, Rows

MOST_STATES = 256
"""Positions that a sequence keeps the states of its feedbacks for: no program takes back more."""


class _StatesByLength:
    """The states of a sequence's feedbacks, by the number of tokens before the draw."""

    def __init__(self, start: States) -> None:
        self.start = start
        self._known: dict[int, States] = {}

    def at(self, length: int) -> States:
        """The states before the draw at this length; those of the nearest shorter one known."""
        if not self.start:
            return ()
        known = max((key for key in self._known if key <= length), default=None)
        return self.start if known is None else self._known[known]

    def put(self, length: int, states: States) -> None:
        """Keep the states before the draw at a length; those of longer sequences are dropped."""
        if self.start:
            for key in [key for key in self._known if key >= length]:
                del self._known[key]
            self._known[length] = states
            if len(self._known) > MOST_STATES:
                del self._known[min(self._known)]


class SequenceSampler:
    """Draws the tokens of one sequence whose token ids another program keeps.

    A token is a function of its row of logits, the pipeline, the seed and the token ids so far. The
    states of feedbacks (mirostat) follow the drawn tokens, also after a rollback; where the other
    program put a token of its own in the place of a drawn one, the drawn one counts for them.

    sampler: what `BatchSampler` takes. prompt_length: how many of the first token ids are the
    prompt, >= 0. backend: as for `BatchSampler`.

    >>> greedy = SequenceSampler(Sampler(), prompt_length=1)
    >>> greedy(np.log([0.2, 0.5, 0.3]), [0]).token_id
    1
    """

    def __init__(
        self, sampler: Sampler, prompt_length: int, *, backend: Backend | str | None = None
    ) -> None:
        self.sampler, self._backend = sampler, backend
        self.prompt_length = checked_integer("prompt_length", prompt_length, 0)
        self.states = _StatesByLength(sampler.start())
        self._batch: tuple[list[Sampler], BatchSampler] | None = None

    def batch_of(self, parts: Sequence[SequenceSampler]) -> BatchSampler:
        """Make the batch sampler of several sequences, of which this is the first, or reuse it."""
        samplers = [part.sampler for part in parts]
        # Most batches are those of the step before.
        if self._batch is None or self._batch[0] != samplers:
            self._batch = samplers, BatchSampler(samplers, backend=self._backend)
        return self._batch[1]

    def __call__(self, logits: Rows, token_ids: Sequence[int] | NDArray[Any]) -> Sample:
        """Draw a token from one row of logits, `(vocab,)` or `(1, vocab)`.

        token_ids: prompt and generated tokens so far.

        Raises:
            DecodingError: what `BatchSampler` returns for a row that has no sample.
        """
        row = logits if getattr(logits, "ndim", 1) > 1 else logits[None]
        [drawn] = draw([Turn(self, as_token_ids(token_ids))], row)
        if isinstance(drawn, DecodingError):
            raise drawn
        return drawn


class Turn(NamedTuple):
    """A sequence that is to get its next token: its sampler, and its token ids so far."""

    sampler: SequenceSampler
    token_ids: NDArray[np.int32]


def draw(turns: Sequence[Turn], logits: Rows) -> list[Sample | DecodingError]:
    """Draw a token for each of several sequences from `(len(turns), vocab)` logits, in one call.

    A sequence may have several turns, one for each drafted token: the token ids of each begin with
    those of the one before, and the states of its feedbacks go from turn to turn.
    A row's error is in the place of its sample and touches no other row.
    """
    results: list[Sample | DecodingError] = []
    for start, stop in _rounds([turn.sampler for turn in turns]):
        results += _draw_once(turns[start:stop], logits[start:stop])
    return results


def _rounds(samplers: Sequence[SequenceSampler]) -> list[tuple[int, int]]:
    """Slices in which no sequence with feedbacks has two turns: the later needs the earlier."""
    bounds, seen = [0], set[int]()
    for index, sampler in enumerate(samplers):
        steered = bool(sampler.states.start)
        if steered and id(sampler) in seen:
            bounds.append(index)
            seen.clear()
        seen.add(id(sampler))
    return list(zip(bounds, [*bounds[1:], len(samplers)], strict=True)) if samplers else []


def _draw_once(turns: Sequence[Turn], logits: Rows) -> list[Sample | DecodingError]:
    parts = [turn.sampler for turn in turns]
    lengths = np.array([len(turn.token_ids) for turn in turns], np.int64)
    prompts = np.array([part.prompt_length for part in parts], np.int64)
    token_ids = np.full((len(turns), int(lengths.max(initial=0))), PADDING, np.int32)
    for row, turn in enumerate(turns):
        token_ids[row, : len(turn.token_ids)] = turn.token_ids
    history = History(token_ids, lengths, np.minimum(prompts, lengths))
    sampler = parts[0].batch_of(parts)
    states = [part.states.at(length) for part, length in zip(parts, lengths.tolist(), strict=True)]
    drawn = sampler(logits, history, states)
    for part, length, sample in zip(parts, lengths.tolist(), drawn, strict=True):
        if isinstance(sample, Sample):
            part.states.put(length + 1, sample.states)
    return drawn


class SequenceProcessor:
    """Edits the logits of one sequence whose tokens another program draws.

    pipeline: a pipeline or a processor. prompt_length: how many of the first token ids are the
    prompt, >= 0. backend: one that runs on the host, as for `BatchSampler`.

    The states of feedbacks (mirostat) are updated with the token that the other program drew, which
    the next call's token ids tell.

    >>> from decoding.processors import TopK
    >>> SequenceProcessor(TopK(1), prompt_length=1)(np.array([1.0, 3.0, 2.0]), [0])
    array([-inf,   3., -inf])
    """

    def __init__(
        self,
        pipeline: Pipeline | Processor,
        prompt_length: int,
        *,
        backend: Backend | None = None,
    ) -> None:
        sampler = Sampler(as_pipeline(pipeline))
        self._prompt_length = checked_integer("prompt_length", prompt_length, 0)
        self._batch = BatchSampler([sampler], backend=on_host(backend))
        self._is_neutral = all(
            isinstance(item, Fused) and not item.instructions for item in sampler.pipeline.segments
        )
        self._states = _StatesByLength(sampler.start())
        self._waiting: tuple[History, Processed] | None = None

    def __call__(self, logits: Rows, token_ids: Sequence[int] | NDArray[Any]) -> Logits:
        """The edited row: a NumPy array of the shape that was given, `(vocab,)` or `(1, vocab)`.

        float32 and float64 keep their type, half precision becomes float32. The row that was given
        is not written to; a neutral pipeline returns it, or a view of it.

        Raises:
            InvalidLogitsError: the row has NaN or +inf, and the pipeline has no `NaNPolicy` first.
            EmptySupportError: a processor left no token.
            ProcessorError: a processor raised or broke its contract.
        """
        known = as_token_ids(token_ids)
        flat = getattr(logits, "ndim", 1) == 1
        row = as_logits(logits[None] if flat else logits)
        if len(row) != 1:
            raise ShapeError("logits", f"{len(row)} rows", "one row: the sequence's next token")
        lengths = np.array([len(known)], np.int64)
        prompts = np.minimum(np.array([self._prompt_length], np.int64), lengths)
        history = History(known[None], lengths, prompts)
        self._observe(known)
        if self._is_neutral:
            _check_logits(row, history)
            return row[0] if flat else row
        states = self._states.at(len(known))
        processed = self._batch.process(row, history, [states])
        for error in processed.errors.values():
            raise error
        self._waiting = (history, processed) if states else None
        return processed.logits[0] if flat else processed.logits

    def _observe(self, token_ids: NDArray[np.int32]) -> None:
        """Update the states of feedbacks by the token that followed the last call."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return
        history, processed = waiting
        length = int(history.lengths[0])
        if len(token_ids) > length:
            states = processed.states_after(0, int(token_ids[length]), history)
            self._states.put(length + 1, states)


def _check_logits(row: Logits, history: History) -> None:
    """Raise `InvalidLogitsError` where the one row has NaN or +inf."""
    broken = int(np.count_nonzero(~(row < np.inf)))
    if broken:
        column = int(np.argmax(~(row[0] < np.inf)))
        generated = int(history.lengths[0] - history.prompt_lengths[0])
        raise InvalidLogitsError(0, column, broken, generated)


def as_token_ids(token_ids: Sequence[int] | NDArray[Any]) -> NDArray[np.int32]:
    """Token ids as a contiguous int32 array; a view where they are one.

    Raises:
        ParameterError: they are no flat sequence of integers that an int32 holds.
    """
    if isinstance(token_ids, np.ndarray) and token_ids.dtype == np.int32 and token_ids.ndim == 1:
        return np.ascontiguousarray(token_ids)
    expected = "a flat sequence of token ids that an int32 holds"
    try:
        array = np.asarray(token_ids)
    except (TypeError, ValueError, OverflowError):
        raise ParameterError("token_ids", token_ids, expected) from None
    if array.ndim == 1 and array.size == 0:
        return np.zeros(0, np.int32)
    legal = array.ndim == 1 and array.dtype.kind in "iu"
    if not legal or array.min() < PADDING or array.max() > np.iinfo(np.int32).max:
        raise ParameterError("token_ids", token_ids, expected)
    return array.astype(np.int32)
