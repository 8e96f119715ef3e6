"""`Scoped`: restricts a penalty to the prompt, the generated text or the last n tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Protocol, TypeAlias, cast, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from decoding.checks import check_integer, check_token_ids
from decoding.errors import require
from decoding.facts import EDIT, PENALTIES, Facts, Kind, facts_of
from decoding.history import PADDING, History
from decoding.kernels.program import Instruction
from decoding.kernels.program import Part as KernelPart
from decoding.processors import instructions
from decoding.processors.call import checked_call
from decoding.typing import DeclaredProcessor, DynamicInstruction, Logits

Part: TypeAlias = Literal["all", "prompt", "generated"]
"""A part of what a row has seen; "all" is the prompt and then the generated tokens."""


@runtime_checkable
class Movable(Protocol):
    """A penalty that can lower to instructions over any part of the history."""

    def over(
        self, part: KernelPart, last_n: int, exempt: tuple[int, ...]
    ) -> tuple[Instruction, ...] | None:
        """Lower to instructions over the last n tokens of a part (0: all), without the exempt ids.

        Nothing when it is neutral; None where only Python can do it.
        """


_PARTS = {
    "all": KernelPart.ALL,
    "prompt": KernelPart.PROMPT,
    "generated": KernelPart.GENERATED,
}


@dataclass(frozen=True, slots=True)
class Scoped:
    """Apply a penalty to some of the tokens that a row has seen.

        penalty(logits, the last `last_n` tokens of `part`, without those in `exempt`)

    penalty: any processor that reads the history. The tokens in scope are shown to it as generated
    text after an empty prompt, so that it counts all of them, whatever it looks at by itself.
    part: "all" (transformers, vLLM and TGI for repetition), "prompt" or "generated" (SGLang for
    repetition; OpenAI, vLLM and SGLang for frequency and presence).
    last_n: at least 0, None for no limit; it is taken before `exempt` (llama.cpp's 64 and mlx-lm's
    20 count the prompt: "all").
    exempt: token ids that are never penalised: template and special tokens, line breaks.
    logits: `(batch, vocab)` float. Neutral where the penalty is.
    Raises `ParameterError` at construction. Source: `repeat_last_n` of llama.cpp, `context_size` of
    mlx-lm, `prompt_ignore_length` of transformers.

    >>> from decoding.processors import PresencePenalty
    >>> scoped = Scoped(PresencePenalty(1.0), "all", last_n=2, exempt=(1,))
    >>> scoped(np.zeros((1, 4)), History.of([[0, 1]], [[2]]))
    array([[ 0.,  0., -1.,  0.]])
    """

    penalty: DeclaredProcessor
    part: Part
    last_n: int | None = None
    exempt: tuple[int, ...] = ()

    facts: ClassVar[Facts] = replace(
        EDIT,
        needs_history=True,
        formula="a penalty over the prompt, the generated text or the last n, but for exempt ids",
        neutral="the penalty neutral",
        range="n ≥ 0 or None",
        source="llama.cpp, mlx-lm, transformers",
        peers=("transformers", *PENALTIES),
    )

    def __post_init__(self) -> None:
        legal = callable(self.penalty) and not isinstance(self.penalty, type)
        require("penalty", self.penalty, legal, "a processor")
        legal = isinstance(self.part, str) and self.part in get_args(Part)
        require("part", self.part, legal, f"one of {', '.join(get_args(Part))}")
        if self.last_n is not None:
            check_integer(self, "last_n", 0)
        check_token_ids(self, "exempt")

    def facts_of_parameters(self) -> Facts:
        """The facts of the inner penalty, except that it reads the history and exempts ids."""
        return replace(
            facts_of(self.penalty) or EDIT,
            kind=Kind.EDIT,
            needs_history=True,
            vocabulary_blind=False,
        )

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        return self.penalty(logits, self._view(history))

    def lower(self) -> tuple[Instruction, ...] | None:
        """Lower the penalty over the scope; None where it has no instructions for that."""
        if isinstance(self.penalty, Movable):
            over = self.penalty.over(_PARTS[self.part], self.last_n or 0, self.exempt)
            return () if self.last_n == 0 else over
        if not isinstance(self.penalty, DynamicInstruction):
            return None
        lowered = getattr(self.penalty, "lower", lambda: None)()
        return (instructions.NOTHING,) if lowered else lowered

    def instruction(self, history: History) -> Instruction:
        """The instruction for the one row of `history`; the penalty must be a dynamic one."""
        return cast("DynamicInstruction", self.penalty).instruction(self._view(history))

    def _view(self, history: History) -> History:
        rows = list(self._rows(history))
        token_ids = np.full((len(rows), max(map(len, rows), default=0)), PADDING, np.int32)
        for index, row in enumerate(rows):
            token_ids[index, : len(row)] = row
        lengths = np.array([len(row) for row in rows], np.int64)
        return History(token_ids, lengths, np.zeros_like(lengths))

    def _rows(self, history: History) -> Iterator[NDArray[np.int32]]:
        parts = {"all": history.row, "prompt": history.prompt, "generated": history.generated}
        for index in range(len(history)):
            row = parts[self.part](index)
            if self.last_n is not None:
                row = row[max(0, len(row) - self.last_n) :]
            yield row[~np.isin(row, self.exempt)] if self.exempt else row
