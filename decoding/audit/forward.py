"""Computes a model's logits before each token of a given text, in chunks of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from decoding.errors import DecodingError, ForwardError, ShapeError, shown_error
from decoding.logits import as_logits
from decoding.models.callable import CallableModel
from decoding.models.protocol import LanguageModel
from decoding.typing import Anything, ForwardFunction, Rows

CHUNK = 64
"""Rows of logits that are in memory at once."""

Chunks: TypeAlias = Iterable[Rows]
"""Logits before each token of a text, in order, in arrays or tensors `(some rows, vocab)`."""


def as_model(model: LanguageModel | ForwardFunction) -> LanguageModel:
    """Return a `LanguageModel`: the given one, or one around a callable from ids to logits."""
    return model if isinstance(model, LanguageModel) else LanguageModel(forward=model)


def reference_logits(
    model: LanguageModel | ForwardFunction, prompt: Sequence[int], token_ids: Sequence[int]
) -> Iterator[Rows]:
    """Logits before each token, in chunks `(at most CHUNK, vocab)`, as the model gives them.

    prompt: at least one token. A model with a cache reads the prompt once and then `CHUNK` tokens
    at a time, so that its logits are those of a generation but for the rounding of another batch;
    a function of whole texts gets the same texts as in a generation.

    Raises:
        ForwardError: the model failed.
    """
    forward = as_model(model).forward
    cached: Anything = forward if hasattr(forward, "prefill") else CallableModel(forward)
    states: list[Any] = []
    try:
        states, rows = _called(0, lambda: cached.prefill([list(prompt)]))
        yield rows
        # The row after the last token is of nobody.
        read = list(token_ids[:-1])
        for start in range(0, len(read), CHUNK):
            part = read[start : start + CHUNK]
            yield _called(start + 1, partial(cached.extend, states, [part], all_positions=True))
    finally:
        for state in states:
            cached.release(state)


def _called(step: int, call: Callable[[], Anything]) -> Anything:
    try:
        return call()
    except DecodingError:
        raise
    except Exception as error:  # a model may raise anything
        raise ForwardError(f"raised {shown_error(error)}", step) from error


def chunks_of(logits: Rows | Chunks) -> Iterator[Rows]:
    """Split one array or tensor, or chunks of any size, into chunks of at most `CHUNK` rows.

    Raises:
        ShapeError: they are no rows of logits.
    """
    parts: Iterable[Rows] = [logits] if hasattr(logits, "shape") else logits
    if not isinstance(parts, Iterable):
        raise ShapeError("logits", f"a {type(logits).__name__}", "arrays or tensors (rows, vocab)")
    for part in parts:
        if len(getattr(part, "shape", ())) != 2:
            raise ShapeError(
                "logits", f"a {type(part).__name__}", "arrays or tensors (rows, vocab)"
            )
        for start in range(0, part.shape[0], CHUNK):
            yield part[start : start + CHUNK]


def in_memory(logits: Rows | Chunks) -> NDArray[Any]:
    """Logits as one array `(rows, vocab)` of float32 or float64."""
    return np.concatenate([as_logits(part) for part in chunks_of(logits)])
