"""Callbacks for engines that pass one row of logits and all token ids: detect new texts.

Engines call a logits processor with the token ids so far and one row. The first call of a text
tells how long its prompt is. A later call continues the text if its token ids begin with that
prompt and are at most one more than the most so far, as at the next step, after a rollback and for
a draft. Any other call begins a new text, as the next prompt of a chat, which begins with the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from decoding.errors import require
from decoding.kernels.backends import Backend
from decoding.pipeline import Pipeline, as_pipeline
from decoding.sampling.batch import Sampler
from decoding.sampling.sequences import SequenceProcessor, SequenceSampler, as_token_ids
from decoding.typing import Logits, Processor, Rows

Step: TypeAlias = Callable[[Rows, NDArray[np.int32]], Logits]
"""New logits for a row, `(vocab,)` or `(1, vocab)`, and the token ids so far."""


class FollowedTexts:
    """A callback that tells from the token ids whether a new text begins, and runs its step.

    begin: makes the step of a text, from the length of its prompt.
    """

    def __init__(self, begin: Callable[[int], Step]) -> None:
        self._begin = begin
        self._step: Step | None = None
        self._prompt = np.zeros(0, np.int32)
        self._longest = 0

    def __reduce__(self) -> tuple[object, ...]:
        """A copy follows no text yet."""
        return FollowedTexts, (self._begin,)

    def __call__(self, logits: Rows, token_ids: NDArray[Any]) -> Logits:
        """The new row; errors are those of `SequenceProcessor` and `SequenceSampler`."""
        known = as_token_ids(token_ids)
        length = len(self._prompt)
        begun = length < len(known) <= self._longest + 1
        if self._step is None or not (begun and np.array_equal(known[:length], self._prompt)):
            self._prompt, self._longest = known.copy(), 0
            self._step = self._begin(len(known))
        self._longest = max(self._longest, len(known))
        return self._step(logits, known)


def edited(pipeline: Pipeline | Processor, backend: Backend | None = None) -> FollowedTexts:
    """Make the callback that edits each row by a pipeline; the engine draws from the result."""
    return FollowedTexts(_Edits(as_pipeline(pipeline), backend))


def drawn(sampler: Sampler, backend: Backend | str | None = None) -> FollowedTexts:
    """Make the callback that draws a token from each row and keeps it alone, with logit 0.

    Whatever the engine does to such a row, it draws that token.
    """
    require("sampler", sampler, isinstance(sampler, Sampler), "a Sampler")
    return FollowedTexts(_Draws(sampler, backend))


@dataclass(frozen=True, slots=True)
class _Edits:
    """Begins a text whose rows a pipeline edits."""

    pipeline: Pipeline
    backend: Backend | None

    def __call__(self, prompt_length: int) -> Step:
        return SequenceProcessor(self.pipeline, prompt_length, backend=self.backend)


@dataclass(frozen=True, slots=True)
class _Draws:
    """Begins a text whose tokens a sampler draws."""

    sampler: Sampler
    backend: Backend | str | None

    def __call__(self, prompt_length: int) -> Step:
        return _DrawnRow(SequenceSampler(self.sampler, prompt_length, backend=self.backend))


@dataclass(frozen=True, slots=True, eq=False)
class _DrawnRow:
    """A step that leaves the drawn token alone."""

    sequence: SequenceSampler

    def __call__(self, logits: Rows, token_ids: NDArray[np.int32]) -> Logits:
        return one_token(logits, self.sequence(logits, token_ids).token_id)


def one_token(logits: Rows, token_id: int) -> NDArray[np.float32]:
    """A row of the shape of `logits` that leaves one token, with logit 0.

    >>> one_token(np.zeros(3), 1)
    array([-inf,   0., -inf], dtype=float32)
    """
    row = np.full(tuple(logits.shape), -np.inf, np.float32)
    row[..., token_id] = 0.0
    return row
