"""Jump-forward decoding: tokens that a grammar forces are written without being drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from decoding.engine.generation import RunningSequence
from decoding.errors import DecodingError
from decoding.history import History
from decoding.pipeline import chain
from decoding.processors import AllowedTokens
from decoding.sampling.batch import Sampler, sample
from decoding.typing import Rows


def write_forced(sequence: RunningSequence, logits: Rows, token_ids: Sequence[int]) -> None:
    """Append forced tokens to a sequence until it ends.

    Their text has no alternative; some of it could be spelled by other tokens.

    logits: `(len(token_ids), vocab)`, each row what the model says before that token. Raw logprobs
    and ranks are its; the processed logprob is 0 of a support of one. Feedbacks do not see them.
    """
    top_n = sequence.sampler.top_n
    samplers = [Sampler(chain(AllowedTokens((token_id,))), top_n=top_n) for token_id in token_ids]
    for outcome in sample(logits, History.empty(len(samplers)), samplers):
        if sequence.ended:
            break
        if isinstance(outcome, DecodingError):
            sequence.generation.fail(outcome)
            break
        sequence.take(replace(outcome, states=sequence.feedback))
