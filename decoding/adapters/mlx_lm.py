"""mlx-lm: logits processors for `generate_step` and `BatchGenerator`; its models as cached models.

    processor(pipeline)  a logits processor; mlx-lm draws
    sampler(sampler)     a logits processor that leaves the token that this library draws
    forward(model)       a `decoding.models.CachedModel`

    stream_generate(model, tokenizer, prompt, logits_processors=[mlx_lm.sampler(Sampler(...))])

`decoding.presets.mlx_lm` makes pipelines of mlx-lm's own parameter names. Version 0.32.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.checks import imported
from decoding.errors import (
    DecodingError,
    UnsupportedFeatureError,
)
from decoding.kernels.backends import Backend
from decoding.models.cached_calls import check_lengths, check_rollback, check_states, in_use
from decoding.pipeline import Pipeline
from decoding.sampling import followed
from decoding.sampling.batch import Sampler
from decoding.typing import Anything, Logits, Processor


def processor(
    pipeline: Pipeline | Processor, *, backend: Backend | None = None
) -> Callable[[Any, Any], Any]:
    """Make a logits processor of mlx-lm that edits logits; mlx-lm's own sampler draws.

    A processor follows one text at a time: a batch needs one for each sequence. The prompt is what
    the first call of a text sees, which is all of it unless a prompt cache holds its beginning.
    """
    return _Callback(followed.edited(pipeline, backend))


def sampler(sampler: Sampler, *, backend: Backend | str | None = None) -> Callable[[Any, Any], Any]:
    """Make a logits processor of mlx-lm that draws: the row keeps one token, with logit 0.

    mlx-lm's own sampler then has no choice, whatever its parameters are. Tokens are those that
    `BatchSampler` draws from the same logits and token ids. The rest as for `processor`.
    """
    return _Callback(followed.drawn(sampler, backend))


class _Callback:
    """A logits processor in mlx-lm's form: `(token ids, logits (1, vocab)) -> logits`.

    mlx-lm computes one step more than it yields. So an error is not raised at once, but by the next
    call, which comes before the token of the failed row is yielded, if it ever is.
    """

    def __init__(self, texts: followed.FollowedTexts) -> None:
        self._texts = texts
        self._failed: tuple[int, DecodingError] | None = None

    def __call__(self, tokens: Anything, logits: Anything) -> Anything:
        """The new logits, of the type of the given ones."""
        mx = _mx()
        token_ids = np.array(tokens).astype(np.int32)
        failed, self._failed = self._failed, None
        if failed is not None and len(token_ids) > failed[0]:
            raise failed[1]
        row = np.array(logits.astype(mx.float32))
        try:
            return mx.array(self._texts(row, token_ids)).astype(logits.dtype)
        except DecodingError as error:
            self._failed = (len(token_ids), error)
            return logits


def forward(model: Anything) -> MlxModel:
    """Make a cached model of a model that `mlx_lm.load` returns.

    Each sequence runs in a call of its own. Logits are float32 NumPy arrays.
    """
    return MlxModel(model)


@dataclass(slots=True, eq=False)
class MlxState:
    """A sequence of a cached model: the caches of its layers, None once released; its length."""

    caches: list[Any] | None
    length: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class MlxModel:
    """A `CachedModel` that calls an mlx-lm model with a prompt cache for each sequence.

    Raises:
        ParameterError: no or an empty sequence, a released state, or one that is given twice.
        UnsupportedFeatureError: a rollback where the model's cache cannot be trimmed.
    """

    model: Any = field(repr=False)

    def prefill(
        self, prompts: Sequence[Sequence[int]], *, all_positions: bool = False
    ) -> tuple[list[MlxState], Logits]:
        """Run the forward pass over each prompt as a new sequence; see `CachedModel.prefill`."""
        from mlx_lm.models.cache import make_prompt_cache

        states = [MlxState(make_prompt_cache(self.model)) for _ in prompts]
        return states, self.extend(states, prompts, all_positions=all_positions)

    def extend(
        self,
        states: Sequence[MlxState],
        token_ids: Sequence[Sequence[int]],
        *,
        all_positions: bool = False,
    ) -> Logits:
        """Append tokens; see `CachedModel.extend`."""
        check_states(states, token_ids)
        caches = [_caches(state) for state in states]
        check_lengths([state.length for state in states], token_ids)
        mx, rows = _mx(), []
        for state, cache, new in zip(states, caches, token_ids, strict=True):
            logits = self.model(mx.array([list(new)]), cache=cache)[0]
            rows.append(logits if all_positions else logits[-1:])
            state.length += len(new)
        whole: NDArray[np.float32] = np.array(mx.concatenate(rows).astype(mx.float32))
        return whole

    def fork(self, state: MlxState) -> MlxState:
        """Copy a state; mlx copies the memory once either of the two writes to it."""
        return MlxState(copy.deepcopy(_caches(state)), state.length)

    def rollback(self, state: MlxState, count: int) -> None:
        """Forget the last `count` tokens; raises ParameterError for more than there are."""
        from mlx_lm.models.cache import can_trim_prompt_cache, trim_prompt_cache

        caches = _caches(state)
        check_rollback(count, state.length)
        if count:
            if not can_trim_prompt_cache(caches):
                reason = "the cache of this mlx-lm model cannot be trimmed"
                raise UnsupportedFeatureError("rollback", reason)
            trim_prompt_cache(caches, count)
            state.length -= count

    def release(self, state: MlxState) -> None:
        """Drop the caches; a second call does nothing."""
        state.caches = None


def _caches(state: MlxState) -> list[Any]:
    return in_use(state.caches)


def _mx() -> Anything:
    return imported("mlx.core", "mlx", "adapters")
