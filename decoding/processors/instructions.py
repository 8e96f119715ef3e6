"""Makes kernel instructions that ban, keep, scale or add to the logits of given token ids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.program import Instruction, Opcode
from decoding.processors.bitmask import pack
from decoding.typing import Anything

Tokens: TypeAlias = Sequence[int] | NDArray[np.integer]

NOTHING = Instruction(Opcode.LOGIT_BIAS)
"""Leaves a row as it is."""


def without(token_ids: Tokens) -> Instruction:
    """Make an instruction that bans tokens; ids may repeat."""
    distinct = tuple(sorted({int(token_id) for token_id in token_ids}))
    return added(distinct, (-math.inf,) * len(distinct))


def added(token_ids: Tokens, values: Sequence[float] | NDArray[np.float64]) -> Instruction:
    """Make an instruction that adds to the logits of distinct tokens."""
    if not len(token_ids):
        return NOTHING
    return Instruction(Opcode.LOGIT_BIAS, token_ids=_kept(token_ids), values=_kept(values))


def scaled(token_ids: Tokens, factor: float, divisor: float) -> Instruction:
    """Make an instruction that multiplies negative logits of tokens by a factor, divides others."""
    unused = (0.0,) * len(token_ids)
    ids = _kept(token_ids)
    return Instruction(Opcode.LOGIT_SCALE, factor, divisor, token_ids=ids, values=unused)


def only(token_ids: Tokens) -> Instruction:
    """Make an instruction that keeps these tokens only."""
    words = np.frombuffer(pack(token_ids), "<i4").astype(np.int32, copy=False)
    return Instruction(Opcode.BITMASK, bitmask=words)


def _kept(values: Anything) -> Anything:  # an array or a sequence of numbers
    """An array as it is; anything else as a tuple, which is quicker for a few."""
    return values if isinstance(values, np.ndarray) else tuple(values)
