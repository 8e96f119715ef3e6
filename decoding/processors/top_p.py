"""Top-p, nucleus sampling."""

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
class TopP:
    """Keep the smallest set of most likely tokens whose mass reaches p.

        keep i  <=>  (mass of the tokens before i) < top_p,  most likely first, then lowest id

    top_p: in (0, 1]; 1 is neutral. The most likely token always stays.
    logits: `(batch, vocab)` float; the rest become −inf, what stays is untouched. Mass is that of
    the support that is left, renormalised, summed in float64.
    Ties at the cut: only as many tied tokens as are needed, lowest ids first (transformers and TGI
    take the highest ids on a CPU; no peer states a rule).
    Raises `ParameterError` at construction. Source: Holtzman, Buys, Du, Forbes, Choi 2019, "The
    Curious Case of Neural Text Degeneration", arXiv:1904.09751.
    """

    top_p: float

    argmax_invariant: ClassVar[bool] = True
    only_removes: ClassVar[bool] = True
    never_empties: ClassVar[bool] = True
    idempotent: ClassVar[bool] = False
    needs_history: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = True
    implies_sampling: ClassVar[bool] = True
    vocabulary_blind: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_real(self, "top_p", lambda x: 0.0 < x <= 1.0, "in (0, 1]")

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.top_p == 1.0:
            return logits
        return dense.keep(logits, lambda row: filters.top_p(row, self.top_p))

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        return () if self.top_p == 1.0 else (Instruction(Opcode.TOP_P, self.top_p),)
