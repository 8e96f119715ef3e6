"""Absolute cutoffs: epsilon and eta sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from decoding.checks import check_real
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode
from decoding.kernels.vector import cutoffs, dense
from decoding.processors.call import checked_call
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class EpsilonCutoff:
    """Keep tokens at least as likely as a constant.

        keep i  <=>  p[i] >= epsilon_cutoff,  or p[i] is the largest

    epsilon_cutoff: in [0, 1); 0 is neutral. Ties with the maximum always stay.
    logits: `(batch, vocab)` float; the rest become −inf, what stays is untouched. p is over the
    support that is left, renormalised, in float64.
    Raises `ParameterError` at construction. Source: Hewitt, Manning, Liang 2022, "Truncation
    Sampling as Language Model Desmoothing", arXiv:2210.15191; transformers has it. Its
    `min_tokens_to_keep` is `AtLeast`.
    """

    epsilon_cutoff: float

    argmax_invariant: ClassVar[bool] = True
    only_removes: ClassVar[bool] = True
    never_empties: ClassVar[bool] = True
    idempotent: ClassVar[bool] = True
    needs_history: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = True
    implies_sampling: ClassVar[bool] = True
    vocabulary_blind: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_real(self, "epsilon_cutoff", lambda x: 0.0 <= x < 1.0, "in [0, 1)")

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.epsilon_cutoff == 0.0:
            return logits
        return dense.keep(logits, lambda row: cutoffs.epsilon_cutoff(row, self.epsilon_cutoff))

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        if self.epsilon_cutoff == 0.0:
            return ()
        return (Instruction(Opcode.EPSILON_CUTOFF, self.epsilon_cutoff),)


@dataclass(frozen=True, slots=True)
class EtaCutoff:
    """Keep tokens at least as likely as a constant, or as the entropy suggests.

        keep i  <=>  p[i] >= min(ε, √ε · exp(−H)),  or p[i] is the largest;  H = −Σ p ln p

    eta_cutoff: ε in [0, 1); 0 is neutral. Ties with the maximum always stay.
    logits: `(batch, vocab)` float; the rest become −inf, what stays is untouched. p is over the
    support that is left, renormalised, in float64.
    Raises `ParameterError` at construction. Source: Hewitt, Manning, Liang 2022, "Truncation
    Sampling as Language Model Desmoothing", arXiv:2210.15191; transformers has it, and fails for a
    row without support, which passes through here.
    """

    eta_cutoff: float

    argmax_invariant: ClassVar[bool] = True
    only_removes: ClassVar[bool] = True
    never_empties: ClassVar[bool] = True
    idempotent: ClassVar[bool] = False
    needs_history: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = True
    implies_sampling: ClassVar[bool] = True
    vocabulary_blind: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_real(self, "eta_cutoff", lambda x: 0.0 <= x < 1.0, "in [0, 1)")

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.eta_cutoff == 0.0:
            return logits
        return dense.keep(logits, lambda row: cutoffs.eta_cutoff(row, self.eta_cutoff))

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        return () if self.eta_cutoff == 0.0 else (Instruction(Opcode.ETA_CUTOFF, self.eta_cutoff),)
