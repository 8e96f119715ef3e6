"""P-less sampling: a truncation at the collision probability Σ p²."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from decoding.facts import TRUNCATION, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Term, cut
from decoding.processors.call import checked_call
from decoding.processors.cuts import cut_logits
from decoding.request_fields import BOOLEAN, RequestField
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class PLess:
    """Keep tokens with p ≥ Σ p², the probability that two draws are the same token.

        keep i  <=>  p[i] >= Σ p²

    It has no parameter, and none is neutral. Σ p² is at most the largest p, so the likeliest tokens
    stay, and so does a flat row.
    logits: `(batch, vocab)` float; the rest become −inf, what stays is untouched. p is over the
    support that is left, renormalised, in float64.
    Source: Tan, Wu, Howard 2025, "p-less Sampling: A Robust Hyperparameter-Free Approach for LLM
    Decoding", arXiv:2509.23234.

    >>> import numpy as np
    >>> PLess()(np.log([[0.5, 0.375, 0.125]]), History.empty(1)) > -np.inf
    array([[ True, False, False]])
    """

    facts: ClassVar[Facts] = replace(
        TRUNCATION,
        formula="p ≥ Σ p²",
        source="Tan, Wu, Howard 2025, arXiv:2509.23234",
        fields=(RequestField("p_less", BOOLEAN, "keep tokens of P ≥ Σ P²", initial=False),),
        place=310,
    )

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        return cut_logits(logits, self.lower())

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction."""
        return (cut(Term(log_total=-1.0, log_squares=1.0)),)
