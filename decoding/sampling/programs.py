"""Programs of several batches as one, and of some rows of a batch, by array operations alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.program import Program, fit_bitmasks


def joined(programs: Sequence[Program]) -> Program:
    """The rows of all programs, in order; at least one program."""
    if len(programs) == 1:
        return programs[0]
    words = max(program.bitmasks.shape[1] for program in programs)
    slots = np.cumsum([0, *(len(program.bitmasks) for program in programs)])
    return Program(
        np.concatenate([program.opcodes for program in programs]),
        np.concatenate([program.operands for program in programs]),
        np.concatenate([program.scopes for program in programs]),
        np.concatenate([program.coins for program in programs]),
        _joined_starts([program.row_starts for program in programs]),
        _joined_starts([program.sparse_starts for program in programs]),
        np.concatenate([program.sparse_token_ids for program in programs]),
        np.concatenate([program.sparse_values for program in programs]),
        np.concatenate(
            [
                np.where(program.slots < 0, program.slots, program.slots + first).astype(np.int32)
                for program, first in zip(programs, slots, strict=False)
            ]
        ),
        np.concatenate([_widened(program.bitmasks, words) for program in programs]),
    )


def selected(program: Program, rows: Sequence[int]) -> Program:
    """The program of some rows, which are named in ascending order."""
    is_kept = np.zeros(len(program.row_starts) - 1, np.bool_)
    is_kept[list(rows)] = True
    if is_kept.all():
        return program
    row_lengths, sparse_lengths = np.diff(program.row_starts), np.diff(program.sparse_starts)
    instructions = np.repeat(is_kept, row_lengths)
    entries = np.repeat(instructions, sparse_lengths)
    slots = program.slots[instructions]
    has_bitmask = slots >= 0
    return Program(
        program.opcodes[instructions],
        program.operands[instructions],
        program.scopes[instructions],
        program.coins[instructions],
        _starts(row_lengths[is_kept]),
        _starts(sparse_lengths[instructions]),
        program.sparse_token_ids[entries],
        program.sparse_values[entries],
        np.where(has_bitmask, np.cumsum(has_bitmask) - 1, -1).astype(np.int32),
        program.bitmasks[slots[has_bitmask]],
    )


def _joined_starts(starts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return _starts(np.concatenate([np.diff(item) for item in starts]))


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)


def _widened(bitmasks: NDArray[np.int32], words: int) -> NDArray[np.int32]:
    return bitmasks if bitmasks.shape[1] == words else fit_bitmasks(list(bitmasks), words)
