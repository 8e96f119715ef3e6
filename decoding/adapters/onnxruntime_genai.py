"""onnxruntime-genai: per-token functions for a `Generator` loop; models as `CachedModel`.

    processor(pipeline)  a function of a generator that edits the logits it draws from next
    sampler(sampler)     a function of a generator that leaves the token that is drawn here
    forward(model)       a `decoding.models.CachedModel`

    step = onnxruntime_genai.sampler(Sampler(...))
    while not generator.is_done():
        step(generator)
        generator.generate_next_token()

Version 0.18.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.checks import imported
from decoding.kernels.backends import Backend
from decoding.models.cached_calls import check_lengths, check_rollback, check_states, in_use
from decoding.pipeline import Pipeline
from decoding.sampling import followed
from decoding.sampling.batch import Sampler
from decoding.typing import Anything, Logits, Processor


def processor(
    pipeline: Pipeline | Processor, *, backend: Backend | None = None
) -> Callable[[Any], None]:
    """Make a function that edits the logits of a generator before `generate_next_token`.

    The generator then draws as its search options say. The function takes generators of any batch
    size; one function follows one generator at a time.
    """
    return _Step(followed.edited(pipeline, backend))


def sampler(sampler: Sampler, *, backend: Backend | str | None = None) -> Callable[[Any], None]:
    """Make a function that draws: each row of the generator's logits keeps the drawn token alone.

    `generate_next_token` then has no choice. Tokens are those that `BatchSampler` draws from the
    same logits and token ids; rows of a batch are drawn with the same sampler. The rest as for
    `processor`.
    """
    return _Step(followed.drawn(sampler, backend))


class _Step:
    """Changes the logits of a generator, row by row."""

    def __init__(self, first: followed.FollowedTexts) -> None:
        self._texts = [first]

    def __call__(self, generator: Anything) -> None:
        """Take the logits of the generator, change them, and give them back."""
        logits = np.array(generator.get_logits())
        rows = logits.reshape(-1, logits.shape[-1])
        while len(self._texts) < len(rows):
            self._texts.append(copy.copy(self._texts[0]))
        for row, texts in enumerate(self._texts[: len(rows)]):
            token_ids = np.array(generator.get_sequence(row), np.int32)
            rows[row] = texts(rows[row], token_ids)
        generator.set_logits(rows.reshape(logits.shape))


def forward(model: Anything, *, max_length: int) -> GenaiModel:
    """Make a cached model of an `onnxruntime_genai.Model`.

    max_length: most tokens of a sequence, >= 1; memory is taken for as many where the model shares
        the buffer of its cache.
    """
    return GenaiModel(model, max_length)


@dataclass(slots=True, eq=False)
class GenaiState:
    """A sequence of a cached model: its generator, None once released, and its token ids."""

    generator: Any
    token_ids: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class GenaiModel:
    """A `CachedModel` with a generator for each sequence; logits are float32 NumPy arrays.

    A fork computes its tokens again, as a generator cannot be copied.

    Raises:
        ParameterError: no or an empty sequence, one beyond `max_length`, a released state, or one
            that is given twice.
    """

    model: Any = field(repr=False)
    max_length: int

    def prefill(
        self, prompts: Sequence[Sequence[int]], *, all_positions: bool = False
    ) -> tuple[list[GenaiState], Logits]:
        """Run the forward pass over each prompt as a new sequence; see `CachedModel.prefill`."""
        states = [GenaiState(self._generator()) for _ in prompts]
        return states, self.extend(states, prompts, all_positions=all_positions)

    def extend(
        self,
        states: Sequence[GenaiState],
        token_ids: Sequence[Sequence[int]],
        *,
        all_positions: bool = False,
    ) -> Logits:
        """Append tokens; see `CachedModel.extend`."""
        check_states(states, token_ids)
        for state in states:
            _generator_of(state)
        check_lengths([len(state.token_ids) for state in states], token_ids, self.max_length)
        rows: list[NDArray[np.float32]] = []
        for state, new in zip(states, token_ids, strict=True):
            # A generator has the logits of the last token of a call alone.
            parts = [[token] for token in new] if all_positions else [list(new)]
            rows += [_append(state, part) for part in parts]
        return np.stack(rows)

    def _generator(self) -> Anything:
        package = imported("onnxruntime_genai", "onnxruntime-genai", "adapters")
        parameters = package.GeneratorParams(self.model)
        # One token more: a generator with as many tokens as it may have takes no more.
        parameters.set_search_options(max_length=self.max_length + 1, batch_size=1)
        return package.Generator(self.model, parameters)

    def fork(self, state: GenaiState) -> GenaiState:
        """Copy a state by computing its tokens again."""
        _generator_of(state)
        copy = GenaiState(self._generator())
        if state.token_ids:
            _append(copy, state.token_ids)
        return copy

    def rollback(self, state: GenaiState, count: int) -> None:
        """Forget the last `count` tokens; raises ParameterError for more than there are."""
        generator = _generator_of(state)
        length = len(state.token_ids)
        check_rollback(count, length)
        if count:
            generator.rewind_to(length - count)
            del state.token_ids[length - count :]

    def release(self, state: GenaiState) -> None:
        """Drop the generator; a second call does nothing."""
        state.generator = None


def _append(state: GenaiState, token_ids: Sequence[int]) -> NDArray[np.float32]:
    """The logits `(vocab,)` after some more tokens of a sequence."""
    state.generator.append_tokens(np.array(token_ids, np.int32))
    state.token_ids += token_ids
    logits = np.array(state.generator.get_logits(), np.float32)
    row: NDArray[np.float32] = logits.reshape(-1, logits.shape[-1])[-1]
    return row


def _generator_of(state: GenaiState) -> Anything:
    return in_use(state.generator)
