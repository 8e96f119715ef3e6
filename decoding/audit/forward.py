"""The logits of a reference forward pass: a model reads a prompt and tokens that exist already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.errors import ForwardError, shown_error
from decoding.logits import as_logits
from decoding.models.callable import CallableModel
from decoding.models.protocol import CachedModel, LanguageModel

CHUNK = 64
"""Rows of logits that are in memory at once."""


def reference_logits(
    model: LanguageModel, prompt: Sequence[int], token_ids: Sequence[int]
) -> Iterator[NDArray[Any]]:
    """Logits before each token, in chunks `(at most CHUNK, vocab)` of float32 or float64.

    prompt: at least one token. A model with a cache reads the prompt once and then `CHUNK` tokens
    at a time, so that its logits are those of a generation but for the rounding of another batch;
    a function of whole texts gets the same texts as in a generation.

    Raises:
        ForwardError: the model failed.
    """
    forward = model.forward
    cached: CachedModel = forward if hasattr(forward, "prefill") else CallableModel(forward)  # type: ignore[assignment]  # a callable is no CachedModel
    states: list[Any] = []
    try:
        states, first = cached.prefill([list(prompt)])
        yield first
        # The row after the last token is of nobody.
        read = list(token_ids[:-1])
        for start in range(0, len(read), CHUNK):
            part = read[start : start + CHUNK]
            yield cached.extend(states, [part], all_positions=True)
    except GeneratorExit:
        raise
    except Exception as error:
        raise ForwardError(f"raised {shown_error(error)}", 0) from error
    finally:
        for state in states:
            cached.release(state)


def all_reference_logits(
    model: LanguageModel, prompt: Sequence[int], token_ids: Sequence[int]
) -> NDArray[Any]:
    """`reference_logits` as one array `(len(token_ids), vocab)`."""
    return np.concatenate(list(reference_logits(model, prompt, token_ids)))
