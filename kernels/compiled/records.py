"""The NumPy records of the Numba step: a batch's programs and seeds, and the state of a row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.program import Program

INSTRUCTION = np.dtype(
    [
        ("opcode", np.int64),
        ("first", np.float64),
        ("second", np.float64),
        ("third", np.float64),
        ("sparse_start", np.int64),
        ("sparse_stop", np.int64),
        ("slot", np.int64),
        ("part", np.int64),
        ("last_n", np.int64),
        ("seed", np.uint64),
    ]
)
SPARSE = np.dtype([("token_id", np.int64), ("value", np.float64)])
PLAN = np.dtype(
    [
        ("first", np.int64),
        ("last", np.int64),
        ("seed", np.uint64),
        ("greedy", np.int64),
        ("top_n", np.int64),
        ("raw", np.int64),
    ]
)
"""A row: its instructions, and how it draws."""

_INTEGERS = "outcome index count address format width whole behind maxima last_tie support ties"
_FLAGS = "compact stale masked"
_NUMBERS = (
    "largest total moment sums_temperature bias temperature low high least most "
    "kept_total kept_moment"
)
_NAMES = {np.int64: _INTEGERS, np.bool_: _FLAGS, np.float64: _NUMBERS}
STATE = np.dtype([(name, kind) for kind, names in _NAMES.items() for name in names.split()])
"""A row between two instructions; see `state`."""


(
    STRIDE, WIDTH, ASKED, FORMAT, MOST_LISTED, INSTRUCTIONS, INSTRUCTION_COUNT, ENTRIES,
    ENTRY_COUNT, PLANS, BATCH, OUTCOMES, LIKELIEST, LIKELIEST_COUNT, BITMASKS, BITMASK_COUNT,
    BITMASK_WORDS, RAW_ROWS, OUT, THREADS, TURNS, SCRATCH,
) = range(22)  # fmt: skip
CALL_SIZE = SCRATCH + 6
"""Indices into the integers that a call of `step.step_rows` is given, and how many there are.

STRIDE: bytes from row to row. ASKED: see `step.DRAW`. FORMAT: of the logits. MOST_LISTED: of
candidates. BATCH: how many rows, plans and outcomes there are. LIKELIEST: the records of the
likeliest tokens. RAW_ROWS: 0 where the rows are as the model gave them. OUT: where edited logits
go, as float64. TURNS: see `step.step_rows`. SCRATCH: the first of `memory.addresses`. What is in
the plural, and OUT, are addresses.
"""


def flatten(program: Program) -> tuple[NDArray[Any], NDArray[Any]]:
    """Pack a program into instruction and sparse-operand records, at least one of each."""
    count = len(program.opcodes)
    instructions = np.zeros(max(count, 1), INSTRUCTION)
    write_operands(instructions, program)
    instructions["sparse_start"][:count] = program.sparse_starts[:-1]
    instructions["sparse_stop"][:count] = program.sparse_starts[1:]
    instructions["slot"][:count] = program.slots
    sparse = np.zeros(max(len(program.sparse_token_ids), 1), SPARSE)
    sparse["token_id"][: len(program.sparse_token_ids)] = program.sparse_token_ids
    sparse["value"][: len(program.sparse_values)] = program.sparse_values
    return instructions, sparse


def write_operands(instructions: NDArray[Any], program: Program) -> None:
    """Write into records the fields that `decoding.kernels.program.retuned` may change."""
    count = len(program.opcodes)
    instructions["opcode"][:count] = program.opcodes
    instructions["first"][:count] = program.operands[:, 0]
    instructions["second"][:count] = program.operands[:, 1]
    instructions["third"][:count] = program.operands[:, 2]
    instructions["part"][:count] = program.scopes[:, 0]
    instructions["last_n"][:count] = program.scopes[:, 1]
    instructions["seed"][:count] = program.coins
