"""Top-H: keeps the likeliest tokens up to a share of the entropy of the row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from decoding.checks import check_integer
from decoding.facts import TRUNCATION, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode
from decoding.kernels.vector import cutoffs, dense
from decoding.processors.call import checked_call
from decoding.request_fields import ABOVE_ZERO_TO_ONE, RequestField, check
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class TopH:
    """Keep the likeliest tokens while their partial entropy is at most a share of the row's.

        keep i  <=>  −Σ p ln p over i and the tokens before it  <=  top_h · H,   H = −Σ p ln p
        most likely first, then lowest id; the first always stays

    top_h: in (0, 1]; 1 is neutral.
    candidates: how many of the likeliest tokens are looked at, the rest goes; p is renormalised
    over them. None looks at all. transformers looks at 100, and calls it an efficiency cap.
    logits: `(batch, vocab)` float; the rest become −inf, what stays is untouched.
    Ties at the cut: lowest ids first. A token whose p is 0 in float64 goes, unless top_h is 1.
    Raises `ParameterError` at construction. Source: Baghaei Potraghloo, Azizi, Kundu, Pedram 2025,
    "Top-H Decoding: Adapting the Creativity and Coherence with Bounded Entropy in Text Generation",
    arXiv:2509.02510, with the formula of transformers, which sums the terms of p as it is; the
    paper bounds the entropy of what is kept after renormalising it. In transformers a top_h of 1
    can drop tokens, and a row without support fails.
    """

    top_h: float
    candidates: int | None = None

    facts: ClassVar[Facts] = replace(
        TRUNCATION,
        vocabulary_blind=False,
        formula="the likeliest while −Σ p ln p ≤ top_h · H",
        source="Baghaei Potraghloo et al. 2025, arXiv:2509.02510",
        peers=("transformers",),
        fields=(
            RequestField(
                "top_h",
                ABOVE_ZERO_TO_ONE,
                "keep the likeliest tokens of a share of the entropy",
                "H",
                1.0,
            ),
        ),
        place=220,
    )

    def __post_init__(self) -> None:
        check(self, "top_h", ABOVE_ZERO_TO_ONE)
        if self.candidates is not None:
            check_integer(self, "candidates", 1)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        candidates = logits.shape[1] if self.candidates is None else self.candidates
        if self.top_h == 1.0 and candidates >= logits.shape[1]:
            return logits
        return dense.keep(logits, lambda row: cutoffs.top_h(row, self.top_h, candidates))

    def lower(self) -> tuple[Instruction, ...]:
        """The likeliest candidates, and then the share; whichever is not neutral."""
        lowered = []
        if self.candidates is not None:
            lowered.append(Instruction(Opcode.TOP_K, self.candidates, 0.0))
        if self.top_h < 1.0:
            lowered.append(Instruction(Opcode.TOP_H, self.top_h))
        return tuple(lowered)
