"""What processors lower to whose instruction is another one at every step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.program import Instruction, Opcode
from decoding.processors.bitmask import pack

Tokens: TypeAlias = Sequence[int] | NDArray[np.integer]

NOTHING = Instruction(Opcode.LOGIT_BIAS)
"""Leaves a row as it is."""


def without(token_ids: Tokens) -> Instruction:
    """Bans tokens, which may be named more than once."""
    if not len(token_ids):
        return NOTHING
    distinct = np.unique(np.asarray(token_ids, np.int64))
    return added(distinct, np.full(len(distinct), -math.inf))


def added(token_ids: Tokens, values: Sequence[float] | NDArray[np.float64]) -> Instruction:
    """Adds to the logits of distinct tokens."""
    if not len(token_ids):
        return NOTHING
    ids, amounts = np.asarray(token_ids, np.int64), np.asarray(values, np.float64)
    return Instruction(Opcode.LOGIT_BIAS, token_ids=ids, values=amounts)


def scaled(token_ids: Tokens, factor: float, divisor: float) -> Instruction:
    """Multiplies the logits of distinct tokens by a factor below 0, else divides them."""
    ids = np.asarray(token_ids, np.int64)
    return Instruction(
        Opcode.LOGIT_SCALE, factor, divisor, token_ids=ids, values=np.zeros(len(ids))
    )


def only(token_ids: Tokens) -> Instruction:
    """Keeps these tokens."""
    words = np.frombuffer(pack(token_ids), "<i4").astype(np.int32, copy=False)
    return Instruction(Opcode.BITMASK, bitmask=words)
