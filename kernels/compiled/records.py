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
    ]
)
"""A row: its instructions, and how it draws."""

STATE = np.dtype(
    [
        ("outcome", np.int64),
        ("index", np.int64),
        ("compact", np.bool_),
        ("count", np.int64),
        ("address", np.int64),
        ("format", np.int64),
        ("width", np.int64),
        ("whole", np.int64),
        ("behind", np.int64),
        ("maxima", np.int64),
        ("stale", np.bool_),
        ("largest", np.float64),
        ("sums_known", np.bool_),
        ("total", np.float64),
        ("moment", np.float64),
        ("slot", np.int64),
        ("inside", np.float64),
        ("outside", np.float64),
        ("other_slot", np.int64),
        ("other_inside", np.float64),
        ("other_outside", np.float64),
        ("temperature", np.float64),
        ("low", np.float64),
        ("high", np.float64),
        ("stored_low", np.float64),
        ("stored_high", np.float64),
        ("last_tie", np.int64),
        ("kept_total", np.float64),
        ("kept_moment", np.float64),
        ("support", np.int64),
        ("ties", np.int64),
    ]
)
"""A row between two instructions; see `state`."""


def flatten(program: Program) -> tuple[NDArray[Any], NDArray[Any]]:
    """The program's arrays as records, of which at least one each."""
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
    """Into records what `decoding.kernels.program.retuned` changes."""
    count = len(program.opcodes)
    instructions["opcode"][:count] = program.opcodes
    instructions["first"][:count] = program.operands[:, 0]
    instructions["second"][:count] = program.operands[:, 1]
    instructions["third"][:count] = program.operands[:, 2]
    instructions["part"][:count] = program.scopes[:, 0]
    instructions["last_n"][:count] = program.scopes[:, 1]
    instructions["seed"][:count] = program.coins
