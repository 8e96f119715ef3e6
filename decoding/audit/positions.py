"""For audits: splits a text's logits into parts with histories; caches batch samplers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from decoding.audit.forward import Chunks, chunks_of
from decoding.checks import checked_token_ids
from decoding.errors import ParameterError, ShapeError, require
from decoding.history import History
from decoding.pipeline import Pipeline
from decoding.processors.feedback import Feedback
from decoding.sampling.batch import Sampler, States
from decoding.typing import Logits, Processor, Rows


class Part(NamedTuple):
    """Consecutive tokens of a text. start: the first one's index. logits: before each."""

    start: int
    logits: Rows
    history: History
    token_ids: tuple[int, ...]


def parts_of(
    logits: Rows | Chunks, prompt: Sequence[int], token_ids: Sequence[int], most: int
) -> Iterator[Part]:
    """The parts of a text, of at most `most` rows, with the history before each token.

    Raises:
        ShapeError: there is not one row of logits a token.
        ParameterError: a token id, of the prompt or of the text, is beyond the logits.
    """
    prompt = checked_token_ids("prompt", prompt)
    ids = np.array([*prompt, *token_ids], np.int32)
    seen = 0
    for chunk in chunks_of(logits):
        width = int(chunk.shape[1])
        for first in range(0, int(chunk.shape[0]), most):
            rows = chunk[first : first + most]
            count = int(rows.shape[0])
            own = tuple(token_ids[seen : seen + count])
            if len(own) != count:
                expected = f"one row a token, {len(token_ids)} of them"
                raise ShapeError("logits", f"more than {len(token_ids)} rows", expected)
            beyond = seen == 0 and max(prompt, default=0) >= width
            require("prompt", prompt, not beyond, f"ids below {width}, the logits' width")
            if own and max(own) >= width:
                raise ParameterError("tokens", max(own), f"ids below {width}, the logits' width")
            lengths = len(prompt) + seen + np.arange(count, dtype=np.int64)
            history = History(
                np.broadcast_to(ids, (count, len(ids))),
                lengths,
                np.full(count, len(prompt), np.int64),
            )
            yield Part(seen, rows, history, own)
            seen += count
    if seen != len(token_ids):
        expected = f"one row a token, {len(token_ids)} of them"
        raise ShapeError("logits", f"{seen} rows", expected)


def has_feedback(pipeline: Pipeline) -> bool:
    """Whether a pipeline has a `Feedback`: its effect depends on how likely past tokens were."""
    return any(isinstance(item, Feedback) for item in pipeline.processors)


def processed(
    pipeline: Pipeline, rows: Logits, history: History, states: States
) -> Iterator[tuple[Processor, Logits]]:
    """Each processor of a pipeline and the rows after it; states: of its feedbacks, in all rows."""
    waiting, seen = iter(states), history.read_only()
    for processor in pipeline.processors:
        if isinstance(processor, Feedback):
            rows = processor.filter(rows, [next(waiting)] * len(rows))
        else:
            rows = processor(rows, seen)
        yield processor, rows


_Made_co = TypeVar("_Made_co", covariant=True)


class Make(Protocol[_Made_co]):
    """Protocol of a factory, as `BatchSampler`: makes a value from one sampler for each row."""

    def __call__(self, samplers: Sequence[Sampler], /) -> _Made_co:
        """Make the value for these samplers."""


class BySize(Generic[_Made_co]):
    """Caches, by the number of rows n, what a factory makes of one sampler repeated n times."""

    def __init__(self, make: Make[_Made_co], sampler: Sampler) -> None:
        self._make, self._sampler = make, sampler
        self._known: dict[int, _Made_co] = {}

    def of(self, rows: int) -> _Made_co:
        """The value for a number of rows."""
        if rows not in self._known:
            self._known[rows] = self._make([self._sampler] * rows)
        return self._known[rows]
