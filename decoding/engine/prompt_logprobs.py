"""Logprobs of the prompt's tokens, for `decoder_input_details`."""

from __future__ import annotations

import numpy as np

from decoding.engine.plans import Plan
from decoding.errors import InvalidLogitsError
from decoding.logits import as_logits
from decoding.typing import Rows
from decoding.wire.details import PrefillToken


def prefill_tokens(work: Plan, rows: Rows) -> tuple[PrefillToken, ...]:
    """The prompt's tokens with their raw logprobs, given the logits after each.

    Raises:
        InvalidLogitsError: a row has NaN or +inf.
    """
    logits = as_logits(rows)
    logprobs: list[float | None] = [None]
    for row, token_id in enumerate(work.prompt[1:]):
        values = logits[row].astype(np.float64)
        invalid = np.flatnonzero(~(values < np.inf))
        if len(invalid):
            raise InvalidLogitsError(row, int(invalid[0]), len(invalid))
        largest = values.max()
        logprobs.append(float(values[token_id] - largest - np.log(np.exp(values - largest).sum())))
    vocabulary = work.vocabulary
    texts = [vocabulary.text_of(item) if vocabulary else "" for item in work.prompt]
    spelled = [vocabulary.bytes_of(item) if vocabulary else None for item in work.prompt]
    return tuple(map(PrefillToken, work.prompt, texts, logprobs, spelled))
