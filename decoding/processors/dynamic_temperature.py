"""Dynamic temperature: a temperature that grows with the entropy of the row."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from decoding.facts import SCALE, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode
from decoding.kernels.vector import dense, edits, rescaling
from decoding.processors.call import checked_call
from decoding.request_fields import NOT_NEGATIVE, POSITIVE, RequestField, check
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class DynamicTemperature:
    """Scale by a temperature that grows with the entropy of the row.

        T = low + (high − low) · (H / ln n)^dynatemp_exponent,   logits[i] / T
        low = max(0, temperature − dynatemp_range),   high = temperature + dynatemp_range

    H: entropy of the row in nats; n: its possible tokens, so that H / ln n lies in [0, 1].
    temperature: the middle, in (0, inf).
    dynatemp_range: in [0, inf); 0 is a fixed temperature, neutral where that is 1.
    dynatemp_exponent: in [0, inf); above 1 keeps T low for longer, 0 is T = high.
    logits: `(batch, vocab)` float; −inf stays, what is finite stays finite. A row with one possible
    token is left alone. Where T comes out as 0 (llama.cpp: all but the first maximum become −inf),
    the rest becomes negligible, not impossible, and maxima that tie stay tied.
    Raises `ParameterError` at construction. Source: Zhu et al. 2023, "Hot or Cold? Adaptive
    Temperature Sampling for Code Generation with Large Language Models", arXiv:2309.02772, whence
    the idea; the formula is llama.cpp's, the only peer that has it, which counts the −inf entries
    that an earlier step left in the row among the n.

    >>> DynamicTemperature(1.0, 0.5)(np.zeros((1, 2)) + [[3.0, 3.0]], History.empty(1))
    array([[2., 2.]])
    """

    temperature: float
    dynatemp_range: float = 0.0
    dynatemp_exponent: float = 1.0

    facts: ClassVar[Facts] = replace(
        SCALE,
        formula="L / T, T = low + (high − low) · (H / ln n)^e",
        neutral="temperature 1, range 0",
        range="temperature > 0, range ≥ 0, e ≥ 0",
        source="llama.cpp, after arXiv:2309.02772",
        peers=("llama.cpp",),
        fields=(
            RequestField(
                "dynatemp_range",
                NOT_NEGATIVE,
                "by how much the entropy moves the temperature",
                "R",
                0.0,
            ),
            RequestField("dynatemp_exponent", NOT_NEGATIVE, "how it does", "E", default=1.0),
        ),
        place=140,
    )

    def __post_init__(self) -> None:
        check(self, "temperature", POSITIVE)
        check(self, "dynatemp_range", NOT_NEGATIVE)
        check(self, "dynatemp_exponent", NOT_NEGATIVE)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.dynatemp_range == 0.0 and self.temperature == 1.0:
            return logits
        limit = float(np.finfo(logits.dtype).max)
        if self.dynatemp_range == 0.0:
            return dense.edit(
                logits, lambda _, row: edits.temperature(row, self.temperature, limit)
            )
        return dense.edit(
            logits,
            lambda _, row: rescaling.dynamic_temperature(
                row, *self._ends, self.dynatemp_exponent, limit
            ),
        )

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        if self.dynatemp_range == 0.0:
            fixed = Instruction(Opcode.TEMPERATURE, self.temperature)
            return () if self.temperature == 1.0 else (fixed,)
        ends, exponent = self._ends, self.dynatemp_exponent
        return (Instruction(Opcode.DYNAMIC_TEMPERATURE, *ends, exponent),)

    @property
    def _ends(self) -> tuple[float, float]:
        lowest = max(0.0, self.temperature - self.dynatemp_range)
        return lowest, min(self.temperature + self.dynatemp_range, sys.float_info.max)
