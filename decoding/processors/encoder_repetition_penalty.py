"""`EncoderRepetitionPenalty`: raises the logits of the prompt's tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from decoding.facts import EDIT, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode, Part
from decoding.kernels.vector import dense, edits
from decoding.processors.call import checked_call
from decoding.request_fields import FACTOR, check
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class EncoderRepetitionPenalty:
    """Make every token of the prompt more likely, once.

        logits[i] / r  if logits[i] < 0  else  logits[i] · r,   for each distinct i of the prompt

    encoder_repetition_penalty: r > 0, within float32; 1 is neutral, below 1 punishes. It is the
    `RepetitionPenalty` of 1 / r over the prompt alone.
    logits: `(batch, vocab)` float; −inf stays; ids beyond the width are ignored. Not
    shift-invariant. Raises `ParameterError` at construction.
    Source: transformers (against hallucination in summaries and the like).
    """

    encoder_repetition_penalty: float

    facts: ClassVar[Facts] = replace(
        EDIT,
        needs_history=True,
        shift_invariant=False,
        formula="L / r if L < 0, else L · r, on the prompt's tokens",
        neutral="1",
        range="r > 0",
        source="transformers",
        peers=("transformers",),
    )

    def __post_init__(self) -> None:
        check(self, "encoder_repetition_penalty", FACTOR)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.encoder_repetition_penalty == 1.0:
            return logits
        reward = 1.0 / self.encoder_repetition_penalty
        width = logits.shape[1]
        return dense.edit(
            logits,
            lambda row, values: edits.repetition_penalty(
                values, np.unique(dense.within(history.prompt(row), width)), reward
            ),
        )

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        if self.encoder_repetition_penalty == 1.0:
            return ()
        reward = 1.0 / self.encoder_repetition_penalty
        return (Instruction(Opcode.REPETITION_PENALTY, reward, part=Part.PROMPT),)
