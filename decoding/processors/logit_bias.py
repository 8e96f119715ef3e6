"""Logit bias: constants added to the logits of chosen tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from decoding.checks import LARGEST_TOKEN_ID, checked_integer, checked_real
from decoding.errors import ParameterError, ShapeError
from decoding.facts import EDIT, PENALTIES, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode
from decoding.kernels.vector import dense, edits
from decoding.processors.call import checked_call
from decoding.request_fields import BIASES, IN_FLOAT32, RequestField, TokenBias, is_bias
from decoding.typing import Logits


@dataclass(frozen=True, slots=True, init=False)
class LogitBias:
    """Add a constant to the logits of chosen tokens; −inf bans them.

        logits[i] + bias[i]

    bias: token id to a float32, or −inf; empty is neutral. Kept as pairs sorted by id.
    logits: `(batch, vocab)` float; −inf stays −inf.
    Raises `ParameterError` at construction for NaN, +inf or a negative id; `ShapeError` at the
    call for an id that the row does not have. Source: the OpenAI API's `logit_bias`.

    >>> LogitBias({1: 2.0}).bias
    ((1, 2.0),)
    """

    bias: tuple[tuple[int, float], ...]

    facts: ClassVar[Facts] = replace(
        EDIT,
        never_empties=False,
        formula="L + b",
        neutral="{}",
        range="finite or −inf",
        source="OpenAI API",
        peers=PENALTIES,
        fields=(
            RequestField(
                "logit_bias",
                BIASES,
                "add to a logit; -inf bans; repeatable",
                "ID=VALUE",
                initial=TokenBias(),
                attribute="bias",
            ),
        ),
        place=50,
    )

    def __init__(self, bias: Mapping[int, float] | Iterable[tuple[int, float]]) -> None:
        try:
            pairs = dict(bias)
        except (TypeError, ValueError):
            expected = "a mapping of token ids to biases, or their pairs"
            raise ParameterError("logit_bias", bias, expected) from None
        kept: dict[int, float] = {}
        for key, value in pairs.items():
            expected = "keyed by token ids >= 0"
            token_id = checked_integer("logit_bias", key, 0, LARGEST_TOKEN_ID, expected)
            name = f"logit_bias[{token_id}]"
            kept[token_id] = checked_real(name, value, is_bias, f"finite {IN_FLOAT32}, or -inf")
        object.__setattr__(self, "bias", tuple(sorted(kept.items())))

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if not self.bias:
            return logits
        token_ids = np.array([token_id for token_id, _ in self.bias])
        values = np.array([value for _, value in self.bias])
        if token_ids[-1] >= logits.shape[1]:
            expected = f"at most {logits.shape[1] - 1}, the last token of the row"
            raise ShapeError("logit_bias", f"token id {token_ids[-1]}", expected)
        return dense.edit(logits, lambda _, row: edits.logit_bias(row, token_ids, values))

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        if not self.bias:
            return ()
        token_ids, values = zip(*self.bias, strict=True)
        return (Instruction(Opcode.LOGIT_BIAS, token_ids=token_ids, values=values),)
