"""How likely a prompt was: what `decoder_input_details` asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from decoding.engine.plans import Plan
from decoding.errors import InvalidLogitsError
from decoding.logits import as_logits
from decoding.wire.details import PrefillToken


def prompt_logprobs(
    rows: Any,  # noqa: ANN401 -- an edge
    token_ids: Sequence[int],
    first_row: int = 0,
) -> list[float]:
    """The raw logprobs of tokens, each by the row of logits before it.

    first_row: the place in the prompt of the first row, for error messages.

    Raises:
        InvalidLogitsError: a row has NaN or +inf.
    """
    logits = as_logits(rows)
    logprobs: list[float] = []
    for row, token_id in enumerate(token_ids):
        values = logits[row].astype(np.float64)
        invalid = np.flatnonzero(~(values < np.inf))
        if len(invalid):
            raise InvalidLogitsError(first_row + row, int(invalid[0]), len(invalid))
        largest = values.max()
        logprobs.append(float(values[token_id] - largest - np.log(np.exp(values - largest).sum())))
    return logprobs


def prefill_tokens(work: Plan, logprobs: Sequence[float]) -> tuple[PrefillToken, ...]:
    """The prompt's tokens, given the raw logprobs of all but the first."""
    vocabulary = work.vocabulary
    texts = [vocabulary.text_of(item) if vocabulary else "" for item in work.prompt]
    spelled = [vocabulary.bytes_of(item) if vocabulary else None for item in work.prompt]
    return tuple(map(PrefillToken, work.prompt, texts, (None, *logprobs), spelled))
