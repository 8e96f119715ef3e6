"""`Renormalise`: log-softmax as a processor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from decoding.facts import REPAIR, Facts
from decoding.history import History
from decoding.kernels.vector import dense
from decoding.kernels.vector.distribution import log_softmax
from decoding.processors.call import checked_call
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class Renormalise:
    """Replace the logits by logprobs, which are the logits of the same distribution.

        logits[i] − ln Σ exp(logits)

    It changes no probability, but what comes after it may not be shift-invariant: with
    `RepetitionPenalty(r)` behind it, a seen token's logprob is multiplied by r, which is what beam
    search in transformers and the samplers of mlx-lm, both on logprobs, make of that penalty.
    logits: `(batch, vocab)` float; −inf stays, and so does a row without support. No parameter is
    neutral. Source: `renormalize_logits` of transformers.
    """

    facts: ClassVar[Facts] = replace(
        REPAIR, formula="ln p", source="transformers", peers=("transformers",)
    )

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        return dense.edit(logits, lambda _, row: log_softmax(row))
