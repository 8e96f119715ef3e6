"""Repetition, frequency and presence penalties on tokens that a sequence has seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from decoding.facts import EDIT, PEERS, PENALTIES, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode, Part
from decoding.kernels.vector import dense, edits
from decoding.processors.call import checked_call
from decoding.request_fields import FACTOR, FINITE, LAST_N, RequestField, check
from decoding.typing import Logits

REPEAT_LAST_N = RequestField(
    "repeat_last_n", LAST_N, "the three penalties see the last N tokens; -1 is all", "N"
)


@dataclass(frozen=True, slots=True)
class RepetitionPenalty:
    """Make every token of the prompt and of the generated text less likely, once.

        logits[i] · r  if logits[i] < 0  else  logits[i] / r,   for each distinct seen i

    repetition_penalty: r > 0, within float32; 1 is neutral, below 1 rewards repetition.
    logits: `(batch, vocab)` float; −inf stays. Not shift-invariant: adding a constant to the logits
    changes signs. Only the row's own tokens count, never padding; ids beyond the width are ignored.
    Raises `ParameterError` at construction. Source: Keskar et al. 2019, "CTRL: A Conditional
    Transformer Language Model for Controllable Generation", arXiv:1909.05858.
    """

    repetition_penalty: float

    facts: ClassVar[Facts] = replace(
        EDIT,
        needs_history=True,
        shift_invariant=False,
        formula="L · r if L < 0, else L / r, on tokens seen",
        source="Keskar et al. 2019, arXiv:1909.05858",
        peers=PEERS,
        fields=(
            RequestField("repetition_penalty", FACTOR, "on tokens of prompt and text", "R", 1.0),
            REPEAT_LAST_N,
        ),
        place=20,
    )

    def __post_init__(self) -> None:
        check(self, "repetition_penalty", FACTOR)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.repetition_penalty == 1.0:
            return logits
        return _penalise(logits, history.row, edits.repetition_penalty, self.repetition_penalty)

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        return self.over(Part.ALL)

    def over(
        self, part: Part, last_n: int = 0, exempt: tuple[int, ...] = ()
    ) -> tuple[Instruction, ...]:
        """The penalty on other tokens than those it looks at by itself."""
        if self.repetition_penalty == 1.0:
            return ()
        return (_over(Opcode.REPETITION_PENALTY, self.repetition_penalty, part, last_n, exempt),)


@dataclass(frozen=True, slots=True)
class FrequencyPenalty:
    """Make generated tokens less likely, in proportion to how often they occurred.

        logits[i] − frequency_penalty · (occurrences of i among the generated tokens)

    frequency_penalty: within float32; 0 is neutral, below 0 rewards. (OpenAI allows [−2, 2].)
    logits: `(batch, vocab)` float; −inf stays; ids beyond the width are ignored.
    Raises `ParameterError` at construction. Source: the OpenAI API's definition. TGI's formulas of
    the same name divide by the context's length or reward negative logits, and are not this one.
    """

    frequency_penalty: float

    facts: ClassVar[Facts] = replace(
        EDIT,
        needs_history=True,
        formula="L − α · (times generated)",
        source="OpenAI API",
        peers=PENALTIES,
        fields=(
            RequestField("frequency_penalty", FINITE, "on tokens of the text, each time", "R", 0.0),
            REPEAT_LAST_N,
        ),
        place=30,
    )

    def __post_init__(self) -> None:
        check(self, "frequency_penalty", FINITE)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.frequency_penalty == 0.0:
            return logits
        return _penalise(logits, history.generated, edits.frequency_penalty, self.frequency_penalty)

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        return self.over(Part.GENERATED)

    def over(
        self, part: Part, last_n: int = 0, exempt: tuple[int, ...] = ()
    ) -> tuple[Instruction, ...]:
        """The penalty on other tokens than those it looks at by itself."""
        if self.frequency_penalty == 0.0:
            return ()
        return (_over(Opcode.FREQUENCY_PENALTY, self.frequency_penalty, part, last_n, exempt),)


@dataclass(frozen=True, slots=True)
class PresencePenalty:
    """Make every generated token less likely, once.

        logits[i] − presence_penalty · [i is among the generated tokens]

    presence_penalty: within float32; 0 is neutral, below 0 rewards. (OpenAI allows [−2, 2].)
    logits: `(batch, vocab)` float; −inf stays; ids beyond the width are ignored.
    Raises `ParameterError` at construction. Source: the OpenAI API's definition.
    """

    presence_penalty: float

    facts: ClassVar[Facts] = replace(
        EDIT,
        needs_history=True,
        formula="L − α on generated tokens",
        source="OpenAI API",
        peers=PENALTIES,
        fields=(
            RequestField("presence_penalty", FINITE, "on tokens of the text, once", "R", 0.0),
            REPEAT_LAST_N,
        ),
        place=40,
    )

    def __post_init__(self) -> None:
        check(self, "presence_penalty", FINITE)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.presence_penalty == 0.0:
            return logits
        return _penalise(logits, history.generated, edits.presence_penalty, self.presence_penalty)

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        return self.over(Part.GENERATED)

    def over(
        self, part: Part, last_n: int = 0, exempt: tuple[int, ...] = ()
    ) -> tuple[Instruction, ...]:
        """The penalty on other tokens than those it looks at by itself."""
        if self.presence_penalty == 0.0:
            return ()
        return (_over(Opcode.PRESENCE_PENALTY, self.presence_penalty, part, last_n, exempt),)


def _over(
    opcode: Opcode, penalty: float, part: Part, last_n: int, exempt: tuple[int, ...]
) -> Instruction:
    unused = (0.0,) * len(exempt)
    return Instruction(opcode, penalty, token_ids=exempt, values=unused, part=part, last_n=last_n)


def _penalise(
    logits: Logits,
    seen: Callable[[int], NDArray[np.int32]],
    edit: Callable[[NDArray[np.float64], NDArray[np.int32], float], NDArray[np.float64]],
    penalty: float,
) -> Logits:
    width = logits.shape[1]
    return dense.edit(
        logits, lambda row, values: edit(values, dense.within(seen(row), width), penalty)
    )
