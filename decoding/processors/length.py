"""Processors by generated length: a minimum, a forced first or last token, likelier ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from decoding.checks import check_integer, check_token_ids
from decoding.errors import require
from decoding.facts import EDIT, MASK, SERVERS, Facts
from decoding.history import History
from decoding.kernels.program import Instruction
from decoding.kernels.vector import dense, rescaling, sequences
from decoding.processors import instructions
from decoding.processors.call import checked_call
from decoding.request_fields import COUNT, POSITIVE, RequestField, check
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class MinTokens:
    """Remove the tokens that end the text until enough is generated.

        remove i  <=>  i is in eos_token_ids,  and fewer than min_tokens tokens are generated

    min_tokens: an integer, at least 0; 0 is neutral.
    eos_token_ids: none is neutral; ids beyond the width are ignored.
    logits: `(batch, vocab)` float; what stays is untouched. A row can end empty.
    Raises `ParameterError` at construction. Source: `min_new_tokens` of transformers and SGLang,
    `min_tokens` of vLLM. The `min_length` of transformers counts the prompt as well.
    """

    min_tokens: int
    eos_token_ids: tuple[int, ...]

    facts: ClassVar[Facts] = replace(
        MASK,
        needs_history=True,
        formula="no end of sequence before n tokens",
        source="vLLM, SGLang, transformers",
        peers=("transformers", *SERVERS),
        fields=(RequestField("min_tokens", COUNT, "do not end before N tokens", "N", 0),),
        place=120,
    )

    def __post_init__(self) -> None:
        check_integer(self, "min_tokens", 0)
        check_token_ids(self, "eos_token_ids")

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.min_tokens == 0 or not self.eos_token_ids:
            return logits
        short = (_generated(history) < self.min_tokens).tolist()
        return sequences.without(logits, [self.eos_token_ids if yes else () for yes in short])

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction that changes with the step, none when neutral."""
        neutral = self.min_tokens == 0 or not self.eos_token_ids
        return () if neutral else (instructions.NOTHING,)

    def instruction(self, history: History) -> Instruction:
        """The instruction for the one row of `history`."""
        is_short = _generated(history)[0] < self.min_tokens
        return instructions.without(self.eos_token_ids if is_short else ())


@dataclass(frozen=True, slots=True)
class ForcedFirstToken:
    """Begin the generated text with this token.

        keep i  <=>  i = token_id,  where nothing is generated yet

    token_id: at least 0; no token is neutral.
    logits: `(batch, vocab)` float; the token keeps its logit. If it is impossible already, or
    beyond the width, the row ends empty. Raises `ParameterError` at construction. Source:
    transformers (`forced_bos_token_id`, for encoder-decoder models), where the forced token gets
    the logit 0, even if it was impossible, and the first token is the one after a prompt of length
    1.
    """

    token_id: int

    facts: ClassVar[Facts] = replace(
        MASK,
        needs_history=True,
        formula="one token at the beginning",
        range="a token id",
        source="transformers",
        peers=("transformers",),
    )

    def __post_init__(self) -> None:
        check_integer(self, "token_id", 0)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        begins = (_generated(history) == 0).tolist()
        return sequences.only(logits, [(self.token_id,) if begin else None for begin in begins])

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction that changes with the step."""
        return (instructions.NOTHING,)

    def instruction(self, history: History) -> Instruction:
        """The instruction for the one row of `history`."""
        begins = _generated(history)[0] == 0
        return instructions.only((self.token_id,)) if begins else instructions.NOTHING


@dataclass(frozen=True, slots=True)
class ForcedLastToken:
    """End the generated text with one of these tokens when the budget is used up.

        keep i  <=>  i is in token_ids,  where max_new_tokens − 1 tokens are generated

    token_ids: at least one; no set is neutral.
    max_new_tokens: at least 1, the same as the request's. What comes later is left alone.
    logits: `(batch, vocab)` float; the tokens keep their logits. If all of them are impossible
    already, or beyond the width, the row ends empty. Raises `ParameterError` at construction.
    Source: transformers (`forced_eos_token_id`), where the forced tokens get the logit 0, so that
    several are equally likely, and the budget counts the prompt.
    """

    token_ids: tuple[int, ...]
    max_new_tokens: int

    facts: ClassVar[Facts] = replace(
        MASK,
        needs_history=True,
        formula="an end of sequence where the budget ends",
        range="token ids",
        source="transformers",
        peers=("transformers",),
    )

    def __post_init__(self) -> None:
        check_token_ids(self, "token_ids")
        require("token_ids", self.token_ids, len(self.token_ids) > 0, "not empty")
        check_integer(self, "max_new_tokens", 1)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        ends = (_generated(history) == self.max_new_tokens - 1).tolist()
        return sequences.only(logits, [self.token_ids if end else None for end in ends])

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction that changes with the step."""
        return (instructions.NOTHING,)

    def instruction(self, history: History) -> Instruction:
        """The instruction for the one row of `history`."""
        ends = _generated(history)[0] == self.max_new_tokens - 1
        return instructions.only(self.token_ids) if ends else instructions.NOTHING


@dataclass(frozen=True, slots=True)
class ExponentialLengthDecay:
    """Make the tokens that end the text likelier with every token after a start.

        logits[i] + |logits[i]| · (decay_factor^(generated − start) − 1),   i in eos_token_ids,
        where more than start tokens are generated

    start: at least 0, in generated tokens.
    decay_factor: in (0, inf); 1 is neutral, below 1 makes them less likely.
    eos_token_ids: none is neutral; ids beyond the width are ignored.
    logits: `(batch, vocab)` float; −inf stays, what is finite stays finite. Not shift-invariant: a
    logit of 0 is not moved. Raises `ParameterError` at construction. Source: transformers
    (`exponential_decay_length_penalty`).
    """

    start: int
    decay_factor: float
    eos_token_ids: tuple[int, ...]

    facts: ClassVar[Facts] = replace(
        EDIT,
        needs_history=True,
        shift_invariant=False,
        formula="L + abs(L) · (f^(tokens past a start) − 1) on ends of sequence",
        neutral="f = 1",
        range="f > 0",
        source="transformers",
        peers=("transformers",),
    )

    def __post_init__(self) -> None:
        check_integer(self, "start", 0)
        check(self, "decay_factor", POSITIVE)
        check_token_ids(self, "eos_token_ids")

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.decay_factor == 1.0 or not self.eos_token_ids:
            return logits
        steps = (_generated(history) - self.start).tolist()
        ids = dense.within(np.array(self.eos_token_ids, np.int32), logits.shape[1])
        chosen = ids.astype(np.int64)
        return dense.edit(
            logits,
            lambda row, values: rescaling.length_decay(
                values, chosen, self.decay_factor, steps[row]
            ),
        )

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction that changes with the step, none when neutral."""
        neutral = self.decay_factor == 1.0 or not self.eos_token_ids
        return () if neutral else (instructions.NOTHING,)

    def instruction(self, history: History) -> Instruction:
        """The instruction for the one row of `history`."""
        steps = int(_generated(history)[0]) - self.start
        if steps <= 0:
            return instructions.NOTHING
        scale = rescaling.decay_scale(self.decay_factor, steps)
        return instructions.scaled(self.eos_token_ids, *scale)


def _generated(history: History) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """How many tokens each row has generated."""
    return history.lengths - history.prompt_lengths
