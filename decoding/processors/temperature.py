"""`Temperature`: divides logits by a constant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from decoding.facts import PEERS, SCALE, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode
from decoding.kernels.vector import dense, edits
from decoding.processors.call import checked_call
from decoding.request_fields import NOT_NEGATIVE, POSITIVE, RequestField, check
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class Temperature:
    """Sharpen (below 1) or flatten (above 1) the distribution.

        logits[i] / temperature

    temperature: in (0, inf); 1 is neutral. Greedy decoding is no temperature: see `Sampler`.
    logits: `(batch, vocab)` float32 or float64; −inf stays, what is finite stays finite: a row
    that division would push out of the dtype becomes (logits − max) / temperature, which is the
    same distribution.
    Raises `ParameterError` at construction. Source: Ackley, Hinton, Sejnowski 1985, "A learning
    algorithm for Boltzmann machines", doi:10.1207/s15516709cog0901_7.

    >>> Temperature(0.5)(np.log([[0.25, 0.75]]), History.empty(1)).round(3)
    array([[-2.773, -0.575]])
    """

    temperature: float

    facts: ClassVar[Facts] = replace(
        SCALE,
        formula="L / T",
        range="T > 0",
        source="Ackley, Hinton, Sejnowski 1985, doi:10.1207/s15516709cog0901_7",
        peers=PEERS,
        fields=(
            RequestField("temperature", NOT_NEGATIVE, "divides the logits; 0 is greedy", "T", 1.0),
        ),
        place=130,
    )

    def __post_init__(self) -> None:
        check(self, "temperature", POSITIVE)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.temperature == 1.0:
            return logits
        limit = float(np.finfo(logits.dtype).max)
        return dense.edit(logits, lambda _, row: edits.temperature(row, self.temperature, limit))

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        if self.temperature == 1.0:
            return ()
        return (Instruction(Opcode.TEMPERATURE, self.temperature),)
