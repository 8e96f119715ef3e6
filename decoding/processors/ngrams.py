"""Processors that ban tokens which would repeat an n-gram of the text or of the prompt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from decoding.checks import check_integer
from decoding.facts import MASK, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode, Part
from decoding.kernels.vector import sequences
from decoding.processors.call import checked_call
from decoding.request_fields import COUNT, RequestField
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class NoRepeatNgram:
    """Ban every token that would complete an n-gram of the prompt or the generated text again.

        remove i  <=>  (last n − 1 tokens, i) occurs in prompt + generated

    no_repeat_ngram_size: n, an integer, at least 0; 0 is neutral, 1 bans every token seen.
    logits: `(batch, vocab)` float; what stays is untouched; ids beyond the width are ignored. A row
    can end empty. Raises `ParameterError` at construction. Source: Paulus, Xiong, Socher 2017, "A
    Deep Reinforced Model for Abstractive Summarization", arXiv:1705.04304; transformers has it.
    """

    no_repeat_ngram_size: int

    facts: ClassVar[Facts] = replace(
        MASK,
        needs_history=True,
        formula="no n-gram twice",
        source="Paulus, Xiong, Socher 2017, arXiv:1705.04304",
        peers=("transformers",),
        fields=(
            RequestField("no_repeat_ngram_size", COUNT, "no N tokens twice in a row of N", "N", 0),
        ),
        place=80,
    )

    def __post_init__(self) -> None:
        check_integer(self, "no_repeat_ngram_size", 0)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.no_repeat_ngram_size == 0:
            return logits
        texts = [history.row(row) for row in range(len(history))]
        size = self.no_repeat_ngram_size
        return sequences.without(logits, [sequences.successors(text, text, size) for text in texts])

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        if self.no_repeat_ngram_size == 0:
            return ()
        return (Instruction(Opcode.NO_REPEAT_NGRAM, self.no_repeat_ngram_size),)

    def over(
        self, part: Part, last_n: int = 0, exempt: tuple[int, ...] = ()
    ) -> tuple[Instruction, ...] | None:
        """Lower to the ban over another part of the history; None where tokens are exempt."""
        scoped = [item._replace(part=part, last_n=last_n) for item in self.lower()]
        return None if exempt else tuple(scoped)


@dataclass(frozen=True, slots=True)
class EncoderNoRepeatNgram:
    """Ban every token that would complete an n-gram of the prompt.

        remove i  <=>  (last n − 1 tokens, i) occurs in the prompt

    encoder_no_repeat_ngram_size: n, an integer, at least 0; 0 is neutral. The last tokens are those
    of prompt + generated, so that the first generated tokens can continue the prompt's end.
    logits: `(batch, vocab)` float; what stays is untouched; ids beyond the width are ignored. A row
    can end empty. Raises `ParameterError` at construction. Source: transformers, where it is for
    encoder-decoder models (Roller et al. 2020, "Recipes for building an open-domain chatbot",
    arXiv:2004.13637).
    """

    encoder_no_repeat_ngram_size: int

    facts: ClassVar[Facts] = replace(
        MASK,
        needs_history=True,
        formula="no n-gram of the prompt",
        neutral="0",
        range="n ≥ 0",
        source="Roller et al. 2020, arXiv:2004.13637",
        peers=("transformers",),
    )

    def __post_init__(self) -> None:
        check_integer(self, "encoder_no_repeat_ngram_size", 0)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        size = self.encoder_no_repeat_ngram_size
        if size == 0:
            return logits
        return sequences.without(
            logits,
            [
                sequences.successors(history.prompt(row), history.row(row), size)
                for row in range(len(history))
            ],
        )

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        if self.encoder_no_repeat_ngram_size == 0:
            return ()
        return (Instruction(Opcode.NO_REPEAT_NGRAM, self.encoder_no_repeat_ngram_size, 1.0),)
