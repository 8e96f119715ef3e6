"""What a batch of pipelines lowers to: a flat program that a kernel runs row by row.

A processor lowers to instructions; the instructions of every row, one row after the other, are a
program. It consists of arrays only, so that any backend can read it without Python in the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Opcode(IntEnum):
    """The operations a backend implements; operands are (first, second), unused ones 0."""

    TEMPERATURE = 0
    """first: the temperature, > 0."""
    TOP_K = 1
    """first: k ≥ 1; second: 1 keeps ties with the k-th, 0 keeps exactly k."""
    TOP_P = 2
    """first: p in (0, 1)."""
    MIN_P = 3
    """first: min_p in (0, 1]."""
    TYPICAL_P = 4
    """first: the mass in (0, 1)."""
    REPETITION_PENALTY = 5
    """first: the penalty, > 0; over prompt and generated tokens."""
    FREQUENCY_PENALTY = 6
    """first: the penalty a generated occurrence."""
    PRESENCE_PENALTY = 7
    """first: the penalty a distinct generated token."""
    LOGIT_BIAS = 8
    """sparse: token ids and what is added to their logits."""


class Instruction(NamedTuple):
    """One operation of one row."""

    opcode: Opcode
    first: float = 0.0
    second: float = 0.0
    token_ids: tuple[int, ...] = ()
    values: tuple[float, ...] = ()


class Program(NamedTuple):
    """The instructions of a batch.

    Row r runs the instructions `row_starts[r]` up to `row_starts[r + 1]`; instruction i has the
    operands `operands[i]` and the sparse operand from `sparse_starts[i]` up to
    `sparse_starts[i + 1]`, sorted by token id.
    """

    opcodes: NDArray[np.int32]
    operands: NDArray[np.float64]
    row_starts: NDArray[np.int64]
    sparse_starts: NDArray[np.int64]
    sparse_token_ids: NDArray[np.int32]
    sparse_values: NDArray[np.float64]


def assemble(rows: Sequence[Sequence[Instruction]]) -> Program:
    """Lay the instructions of every row out as one program."""
    flat = [instruction for row in rows for instruction in row]
    sparse = [sorted(zip(item.token_ids, item.values, strict=True)) for item in flat]
    entries = [entry for item in sparse for entry in item]
    return Program(
        np.array([item.opcode for item in flat], np.int32),
        np.array([(item.first, item.second) for item in flat], np.float64).reshape(-1, 2),
        _starts([len(row) for row in rows]),
        _starts([len(item) for item in sparse]),
        np.array([token_id for token_id, _ in entries], np.int32),
        np.array([value for _, value in entries], np.float64),
    )


def _starts(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(np.array(lengths, np.int64)))).astype(np.int64)
