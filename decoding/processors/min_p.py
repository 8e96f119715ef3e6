"""Min-p."""

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
class MinP:
    """Keep tokens at least `min_p` times as likely as the likeliest one.

        keep i  <=>  logits[i] >= max(logits) + ln(min_p)

    min_p: in [0, 1]; 0 is neutral. Ties with the maximum always stay.
    logits: `(batch, vocab)` float; the rest become −inf, what stays is untouched.
    Raises `ParameterError` at construction. Source: Nguyen et al. 2024, "Turning Up the Heat: Min-p
    Sampling for Creative and Coherent LLM Outputs", arXiv:2407.01082.
    """

    min_p: float

    argmax_invariant: ClassVar[bool] = True
    only_removes: ClassVar[bool] = True
    never_empties: ClassVar[bool] = True
    idempotent: ClassVar[bool] = True
    needs_history: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = True
    implies_sampling: ClassVar[bool] = True
    vocabulary_blind: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_real(self, "min_p", lambda x: 0.0 <= x <= 1.0, "in [0, 1]")

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.min_p == 0.0:
            return logits
        return dense.keep(logits, lambda row: filters.min_p(row, self.min_p))

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        return () if self.min_p == 0.0 else (Instruction(Opcode.MIN_P, self.min_p),)
