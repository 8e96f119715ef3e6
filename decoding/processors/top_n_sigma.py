"""Top-nσ: a truncation at n standard deviations below the largest logit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from decoding.facts import TRUNCATION, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Term, cut
from decoding.processors.call import checked_call
from decoding.processors.cuts import cut_logits
from decoding.request_fields import NOT_NEGATIVE, RequestField, check
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class TopNSigma:
    """Keep tokens within n standard deviations of the largest logit.

        keep i  <=>  logits[i] >= max(logits) − top_n_sigma · σ

    σ: population standard deviation of the finite logits, so that a temperature applied before
    changes nothing.
    top_n_sigma: in [0, inf); 0 is neutral, as every n <= 0 is in llama.cpp. Ties always stay.
    logits: `(batch, vocab)` float; the rest become −inf, what stays is untouched.
    Raises `ParameterError` at construction. Source: Tang et al. 2024, "Top-nσ: Not All Logits Are
    You Need", arXiv:2411.07641; llama.cpp has it.
    """

    top_n_sigma: float

    facts: ClassVar[Facts] = replace(
        TRUNCATION,
        scale_invariant=True,
        formula="L ≥ max L − n · σ",
        source="Tang et al. 2024, arXiv:2411.07641",
        peers=("llama.cpp",),
        fields=(
            RequestField("top_n_sigma", NOT_NEGATIVE, "keep logits within N deviations", "N", 0.0),
        ),
        place=210,
    )

    def __post_init__(self) -> None:
        check(self, "top_n_sigma", NOT_NEGATIVE)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        return cut_logits(logits, self.lower())

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        return () if self.top_n_sigma == 0.0 else (cut(Term(deviation=-self.top_n_sigma)),)
