"""Top-p (nucleus) sampling: keeps the smallest set of likeliest tokens with mass p."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from decoding.facts import PEERS, TRUNCATION, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode
from decoding.kernels.vector import dense, filters
from decoding.processors.call import checked_call
from decoding.request_fields import ABOVE_ZERO_TO_ONE, RequestField, check
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

    facts: ClassVar[Facts] = replace(
        TRUNCATION,
        vocabulary_blind=False,
        formula="the likeliest until Σ p ≥ top_p",
        source="Holtzman et al. 2019, arXiv:1904.09751",
        peers=PEERS,
        fields=(
            RequestField(
                "top_p", ABOVE_ZERO_TO_ONE, "keep the likeliest tokens of mass P", "P", 1.0
            ),
        ),
        place=160,
    )

    def __post_init__(self) -> None:
        check(self, "top_p", ABOVE_ZERO_TO_ONE)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.top_p == 1.0:
            return logits
        return dense.keep(logits, lambda row: filters.top_p(row, self.top_p))

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        return () if self.top_p == 1.0 else (Instruction(Opcode.TOP_P, self.top_p),)
