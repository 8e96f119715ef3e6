"""Top-nσ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from decoding.checks import check_real
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode
from decoding.kernels.vector import cutoffs, dense
from decoding.processors.call import checked_call
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

    argmax_invariant: ClassVar[bool] = True
    only_removes: ClassVar[bool] = True
    never_empties: ClassVar[bool] = True
    idempotent: ClassVar[bool] = False
    needs_history: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = True
    implies_sampling: ClassVar[bool] = True
    vocabulary_blind: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_real(self, "top_n_sigma", lambda x: 0.0 <= x < math.inf, "in [0, inf)")

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.top_n_sigma == 0.0:
            return logits
        return dense.keep(logits, lambda row: cutoffs.top_n_sigma(row, self.top_n_sigma))

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        if self.top_n_sigma == 0.0:
            return ()
        return (Instruction(Opcode.TOP_N_SIGMA, self.top_n_sigma),)
