"""`TypicalP`: keeps the tokens whose surprise is nearest the entropy, up to a mass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from decoding.facts import TRUNCATION, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode
from decoding.kernels.vector import dense, filters
from decoding.processors.call import checked_call
from decoding.request_fields import ABOVE_ZERO_TO_ONE, RequestField, check
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class TypicalP:
    """Keep the tokens whose surprise is nearest the entropy, up to a mass.

        H = −Σ p ln p,   distance[i] = |−ln p[i] − H|
        keep i  <=>  distance[i] <= distance of the first token, nearest first, that brings the
                     mass to typical_p

    typical_p: in (0, 1]; 1 is neutral. The likeliest token may go.
    logits: `(batch, vocab)` float; the rest become −inf, what stays is untouched. p is over the
    support that is left, renormalised, in float64. Ties at the cut all stay.
    Raises `ParameterError` at construction. Source: Meister, Pimentel, Wiher, Cotterell 2022,
    "Locally Typical Sampling", arXiv:2202.00666; ties as in transformers.
    """

    typical_p: float

    facts: ClassVar[Facts] = replace(
        TRUNCATION,
        argmax_invariant=False,
        formula="the nearest of −ln p to the entropy until Σ p ≥ typical_p",
        source="Meister et al. 2022, arXiv:2202.00666",
        peers=("TGI", "transformers", "llama.cpp"),
        fields=(
            RequestField(
                "typical_p", ABOVE_ZERO_TO_ONE, "keep the most typical tokens of mass P", "P", 1.0
            ),
        ),
        place=170,
    )

    def __post_init__(self) -> None:
        check(self, "typical_p", ABOVE_ZERO_TO_ONE)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.typical_p == 1.0:
            return logits
        return dense.keep(logits, lambda row: filters.typical_p(row, self.typical_p))

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        return () if self.typical_p == 1.0 else (Instruction(Opcode.TYPICAL_P, self.typical_p),)
