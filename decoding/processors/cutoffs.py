"""Epsilon and eta sampling: truncations at a fixed or an entropy-dependent probability."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from decoding.facts import TRUNCATION, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Term, cut
from decoding.processors.call import checked_call
from decoding.processors.cuts import cut_logits
from decoding.request_fields import BELOW_ONE, RequestField, check
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

    facts: ClassVar[Facts] = replace(
        TRUNCATION,
        idempotent=True,
        formula="p ≥ ε, or the likeliest",
        source="Hewitt, Manning, Liang 2022, arXiv:2210.15191",
        peers=("transformers",),
        fields=(
            RequestField("epsilon_cutoff", BELOW_ONE, "keep tokens of probability P", "P", 0.0),
        ),
        place=190,
    )

    def __post_init__(self) -> None:
        check(self, "epsilon_cutoff", BELOW_ONE)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        return cut_logits(logits, self.lower())

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        if self.epsilon_cutoff == 0.0:
            return ()
        return (cut(Term(math.log(self.epsilon_cutoff), log_total=1.0)),)


@dataclass(frozen=True, slots=True)
class EtaCutoff:
    """Keep tokens of probability at least min(ε, √ε · e^−H), H the entropy, and the likeliest.

        keep i  <=>  p[i] >= min(ε, √ε · exp(−H)),  or p[i] is the largest;  H = −Σ p ln p

    eta_cutoff: ε in [0, 1); 0 is neutral. Ties with the maximum always stay.
    logits: `(batch, vocab)` float; the rest become −inf, what stays is untouched. p is over the
    support that is left, renormalised, in float64.
    Raises `ParameterError` at construction. Source: Hewitt, Manning, Liang 2022, "Truncation
    Sampling as Language Model Desmoothing", arXiv:2210.15191; transformers has it, and fails for a
    row without support, which passes through here.
    """

    eta_cutoff: float

    facts: ClassVar[Facts] = replace(
        TRUNCATION,
        formula="p ≥ min(ε, √ε · e^−H), or the likeliest",
        source="Hewitt, Manning, Liang 2022, arXiv:2210.15191",
        peers=("transformers",),
        fields=(
            RequestField(
                "eta_cutoff",
                BELOW_ONE,
                "keep tokens of probability P, or less where the entropy is high",
                "P",
                0.0,
            ),
        ),
        place=200,
    )

    def __post_init__(self) -> None:
        check(self, "eta_cutoff", BELOW_ONE)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        return cut_logits(logits, self.lower())

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        if self.eta_cutoff == 0.0:
            return ()
        logarithm = math.log(self.eta_cutoff)
        by_entropy = Term(logarithm / 2.0, log_total=1.0, entropy=-1.0)
        return (cut(Term(logarithm, log_total=1.0), by_entropy),)
