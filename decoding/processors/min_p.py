"""Min-p: a truncation relative to the largest probability."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from decoding.facts import PENALTIES, TRUNCATION, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Term, cut
from decoding.processors.call import checked_call
from decoding.processors.cuts import cut_logits
from decoding.request_fields import UNIT, RequestField, check
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class MinP:
    """Keep tokens at least `min_p` times as likely as the likeliest one.

        keep i  <=>  logits[i] >= max(logits) + ln(min_p)

    min_p: in [0, 1]; 0 is neutral. Ties with the maximum always stay.
    logits: `(batch, vocab)` float; the rest become −inf, what stays is untouched.
    Raises `ParameterError` at construction. Source: Nguyen et al. 2024, "Turning Up the Heat: Min-p
    Sampling for Creative and Coherent LLM Outputs", arXiv:2407.01082.
    """

    min_p: float

    facts: ClassVar[Facts] = replace(
        TRUNCATION,
        idempotent=True,
        formula="p ≥ min_p · max p",
        source="Nguyen et al. 2024, arXiv:2407.01082",
        peers=("transformers", *PENALTIES),
        fields=(
            RequestField("min_p", UNIT, "keep tokens P times as likely as the likeliest", "P", 0.0),
        ),
        place=180,
    )

    def __post_init__(self) -> None:
        check(self, "min_p", UNIT)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        return cut_logits(logits, self.lower())

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        return () if self.min_p == 0.0 else (cut(Term(math.log(self.min_p))),)
