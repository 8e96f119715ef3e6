"""DRY ("don't repeat yourself"): a penalty on tokens that prolong a repetition."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from decoding.checks import check_integer, check_token_ids
from decoding.facts import EDIT, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode, Part
from decoding.kernels.vector import dense, sequences
from decoding.processors.call import checked_call
from decoding.request_fields import (
    LAST_N,
    NOT_NEGATIVE,
    TEXTS,
    RequestField,
    check,
    integer,
    real,
)
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class Dry:
    """Make a token less likely the longer the repetition that it would prolong.

        L[i] = the longest end of the text that also stands somewhere before, with i behind it
        logits[i] − dry_multiplier · dry_base^(L[i] − dry_allowed_length),   if L[i] reaches that

    dry_multiplier: in [0, inf); 0 is neutral. 0.8 is what its author suggests.
    dry_base: in [1, inf).
    dry_allowed_length: at least 1; shorter repetitions are free.
    last_n: how many tokens of prompt and generated text are looked at; None for all, 0 is neutral.
    breakers: token ids that no repetition reaches across, and that are never penalised.
    logits: `(batch, vocab)` float; −inf stays, what is finite stays finite, however long the
    repetition (llama.cpp clamps the exponent). Ids beyond the width are ignored.
    The search takes time linear in the tokens looked at.
    Raises `ParameterError` at construction. Source: llama.cpp, after text-generation-webui #5677
    and koboldcpp #982. There a breaker is a string, which stands for every token that contains it
    and for sequences of tokens; here it is a token.
    """

    dry_multiplier: float
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    last_n: int | None = None
    breakers: tuple[int, ...] = ()

    facts: ClassVar[Facts] = replace(
        EDIT,
        needs_history=True,
        formula="L − m · b^(length of the repeat − allowed)",
        neutral="m = 0",
        range="m ≥ 0, b ≥ 1",
        source="text-generation-webui #5677",
        peers=("llama.cpp",),
        fields=(
            RequestField(
                "dry_multiplier", NOT_NEGATIVE, "against repetitions by their length", "M", 0.0
            ),
            RequestField("dry_base", real(1.0), "of DRY's powers", "B", default=1.75),
            RequestField(
                "dry_allowed_length", integer(1), "repetitions that DRY lets be", "N", default=2
            ),
            RequestField(
                "dry_penalty_last_n",
                LAST_N,
                "DRY sees the last N tokens; -1 is all",
                "N",
                attribute="last_n",
            ),
            RequestField(
                "dry_sequence_breakers",
                TEXTS,
                "no repetition reaches across this text; repeatable",
                "TEXT",
                attribute="breakers",
            ),
        ),
        place=70,
    )

    def __post_init__(self) -> None:
        check(self, "dry_multiplier", NOT_NEGATIVE)
        check(self, "dry_base", real(1.0))
        check_integer(self, "dry_allowed_length", 1)
        if self.last_n is not None:
            check_integer(self, "last_n", 0)
        check_token_ids(self, "breakers")

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.dry_multiplier == 0.0 or self.last_n == 0:
            return logits
        return dense.edit(
            logits,
            lambda row, values: sequences.less(values, *self._penalties(history.row(row))),
        )

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        if self.dry_multiplier == 0.0 or self.last_n == 0:
            return ()
        return (
            Instruction(
                Opcode.DRY,
                self.dry_multiplier,
                self.dry_base,
                self.dry_allowed_length,
                token_ids=self.breakers,
                values=(0.0,) * len(self.breakers),
                last_n=self.last_n or 0,
            ),
        )

    def over(
        self, part: Part, last_n: int = 0, exempt: tuple[int, ...] = ()
    ) -> tuple[Instruction, ...] | None:
        """Lower over another part of the history; None where tokens are exempt."""
        shorter = min((limit for limit in (last_n, self.last_n) if limit), default=0)
        scoped = [item._replace(part=part, last_n=shorter) for item in self.lower()]
        return None if exempt else tuple(scoped)

    def _penalties(self, text: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        last_n = len(text) if self.last_n is None else self.last_n
        return sequences.dry(
            text[max(0, len(text) - last_n) :],
            self.dry_multiplier,
            self.dry_base,
            self.dry_allowed_length,
            self.breakers,
        )
