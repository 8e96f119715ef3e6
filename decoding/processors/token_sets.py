"""Processors that allow or ban fixed sets of tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from decoding.checks import check_token_ids
from decoding.errors import ShapeError, require
from decoding.facts import MASK, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode
from decoding.kernels.vector import sequences
from decoding.processors import instructions
from decoding.processors.call import checked_call
from decoding.request_fields import SOME_TOKEN_IDS, TOKEN_IDS, RequestField
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class AllowedTokens:
    """Keep only these tokens.

        keep i  <=>  i is in token_ids

    token_ids: at least one id; no set is neutral. Ids beyond the width are ignored.
    logits: `(batch, vocab)` float; what stays is untouched. A row can end empty.
    Raises `ParameterError` at construction. Source: `allowed_token_ids` of vLLM. `Bitmask` is the
    same for sets that come packed.

    >>> import numpy as np
    >>> AllowedTokens((1,))(np.zeros((1, 3)), History.empty(1))
    array([[-inf,   0., -inf]])
    """

    token_ids: tuple[int, ...]

    facts: ClassVar[Facts] = replace(
        MASK,
        formula="these tokens alone",
        range="token ids",
        source="vLLM",
        peers=("vLLM",),
        fields=(
            RequestField(
                "allowed_token_ids",
                SOME_TOKEN_IDS,
                "these tokens alone",
                "IDS",
                attribute="token_ids",
            ),
        ),
        place=110,
    )

    def __post_init__(self) -> None:
        check_token_ids(self, "token_ids", "allowed_token_ids")
        require("allowed_token_ids", self.token_ids, len(self.token_ids) > 0, "not empty")

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        return sequences.only(logits, [self.token_ids] * len(logits))

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction."""
        return (instructions.only(self.token_ids),)


@dataclass(frozen=True, slots=True)
class SuppressTokens:
    """Remove these tokens.

        remove i  <=>  i is in token_ids

    token_ids: none is neutral.
    logits: `(batch, vocab)` float; what stays is untouched. A row can end empty.
    Raises `ParameterError` at construction for a negative id, `ShapeError` at the call for an id
    that the row does not have, as `LogitBias`, which it is with −inf. Source: transformers
    (`suppress_tokens`), where such an id is ignored.

    >>> import numpy as np
    >>> SuppressTokens((1,))(np.zeros((1, 3)), History.empty(1))
    array([[  0., -inf,   0.]])
    """

    token_ids: tuple[int, ...]

    facts: ClassVar[Facts] = replace(
        MASK,
        formula="never these tokens",
        neutral="()",
        range="token ids",
        source="transformers",
        peers=("transformers",),
        fields=(
            RequestField(
                "suppress_tokens",
                TOKEN_IDS,
                "never these tokens",
                "IDS",
                initial=(),
                attribute="token_ids",
            ),
        ),
        place=100,
    )

    def __post_init__(self) -> None:
        check_token_ids(self, "token_ids", "suppress_tokens")

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if not self.token_ids:
            return logits
        if self.token_ids[-1] >= logits.shape[1]:
            expected = f"at most {logits.shape[1] - 1}, the last token of the row"
            raise ShapeError("suppress_tokens", f"token id {self.token_ids[-1]}", expected)
        return sequences.without(logits, [self.token_ids] * len(logits))

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        if not self.token_ids:
            return ()
        values = (-math.inf,) * len(self.token_ids)
        return (Instruction(Opcode.LOGIT_BIAS, token_ids=self.token_ids, values=values),)


@dataclass(frozen=True, slots=True)
class BeginSuppressTokens:
    """Remove these tokens where the generated text begins.

        remove i  <=>  i is in token_ids,  and nothing is generated yet

    token_ids: none is neutral; ids beyond the width are ignored.
    logits: `(batch, vocab)` float; what stays is untouched. A row can end empty.
    Raises `ParameterError` at construction. Source: transformers (`begin_suppress_tokens`), for
    Whisper, where the caller says which length is the beginning.

    >>> import numpy as np
    >>> BeginSuppressTokens((1,))(np.zeros((2, 3)), History.of([[1], [1]], [[], [2]]))
    array([[  0., -inf,   0.],
           [  0.,   0.,   0.]])
    """

    token_ids: tuple[int, ...]

    facts: ClassVar[Facts] = replace(
        MASK,
        needs_history=True,
        formula="not these tokens at the beginning",
        neutral="()",
        range="token ids",
        source="transformers",
        peers=("transformers",),
    )

    def __post_init__(self) -> None:
        check_token_ids(self, "token_ids", "begin_suppress_tokens")

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if not self.token_ids:
            return logits
        begins = (history.lengths == history.prompt_lengths).tolist()
        return sequences.without(logits, [self.token_ids if begin else () for begin in begins])

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction that changes with the step, none when neutral."""
        return () if not self.token_ids else (instructions.NOTHING,)

    def instruction(self, history: History) -> Instruction:
        """The instruction for the one row of `history`."""
        begins = history.lengths[0] == history.prompt_lengths[0]
        return instructions.without(self.token_ids if begins else ())
