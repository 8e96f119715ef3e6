"""Locally typical sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from decoding.checks import check_real
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode
from decoding.kernels.vector import dense, filters
from decoding.processors.call import checked_call
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

    argmax_invariant: ClassVar[bool] = False
    only_removes: ClassVar[bool] = True
    never_empties: ClassVar[bool] = True
    idempotent: ClassVar[bool] = False
    needs_history: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = True
    implies_sampling: ClassVar[bool] = True
    vocabulary_blind: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_real(self, "typical_p", lambda x: 0.0 < x <= 1.0, "in (0, 1]")

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.typical_p == 1.0:
            return logits
        return dense.keep(logits, lambda row: filters.typical_p(row, self.typical_p))

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        return () if self.typical_p == 1.0 else (Instruction(Opcode.TYPICAL_P, self.typical_p),)
