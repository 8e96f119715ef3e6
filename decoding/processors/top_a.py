"""Top-a: a truncation at a share of the squared largest probability."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from decoding.facts import TRUNCATION, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Term, cut
from decoding.processors.call import checked_call
from decoding.processors.cuts import cut_logits
from decoding.request_fields import UNIT, RequestField, check
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class TopA:
    """Keep tokens whose probability is at least a share of the square of the largest one.

        keep i  <=>  p[i] >= top_a · max(p)²,   or p[i] is the largest

    top_a: in [0, 1]; 0 is neutral. A certain row is cut harder than a flat one. Ties with the
    maximum always stay.
    logits: `(batch, vocab)` float; the rest become −inf, what stays is untouched. p is over the
    support that is left, renormalised, in float64.
    Raises `ParameterError` at construction. Source: BlinkDL's RWKV-LM, "top-a sampling";
    text-generation-webui and koboldcpp have it.

    >>> import numpy as np
    >>> TopA(0.5)(np.log([[0.5, 0.375, 0.125 - 2**-9, 2**-9]]), History.empty(1)) > -np.inf
    array([[ True,  True, False, False]])
    """

    top_a: float

    facts: ClassVar[Facts] = replace(
        TRUNCATION,
        formula="p ≥ a · max p², or the likeliest",
        source="RWKV-LM, top-a sampling",
        fields=(
            RequestField(
                "top_a",
                UNIT,
                "keep tokens of probability A times the square of the largest",
                "A",
                0.0,
            ),
        ),
        place=300,
    )

    def __post_init__(self) -> None:
        check(self, "top_a", UNIT)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        return cut_logits(logits, self.lower())

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        return () if self.top_a == 0.0 else (cut(Term(math.log(self.top_a), log_total=-1.0)),)
