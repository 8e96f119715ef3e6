"""PyTorch: groups a batch's rows by their opcodes; uploads the operands as device columns."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from decoding.kernels.program import (
    READS_HISTORY,
    Batch,
    Instruction,
    Opcode,
    Program,
    patched,
)
from decoding.kernels.tensor.arrays import upload
from decoding.kernels.vector.scopes import repeats

_SEARCHES = (Opcode.NO_REPEAT_NGRAM, Opcode.DRY)
_LIMIT = sys.float_info.max
_LONGEST = 2.0**31


class Operation(NamedTuple):
    """One instruction of every row of a group.

    Tensors have one row a row: `first` to `last_n` and the halves of `coins` `(rows, 1)`, slots
    `(rows,)`, the sparse operand `(rows, most)`, of which `present` says what is the row's own. The
    rest is known to the host: `most`, the largest k of a top-k; `needs`, the statistics that some
    row's cut needs; whether some row cuts ties; whether
    the instruction could push a finite logit out of float64, or remove the last token of a row.
    """

    opcode: Opcode
    first: Tensor
    second: Tensor
    third: Tensor
    parts: Tensor
    last_n: Tensor
    coins: tuple[Tensor, Tensor]
    slots: Tensor
    token_ids: Tensor
    values: Tensor
    present: Tensor
    most: int
    needs: int
    cuts_ties: bool
    may_overflow: bool
    may_empty: bool


class Group(NamedTuple):
    """The rows of a batch that run the same opcodes and are all greedy or all not.

    seeds: the low and the high 32 bits, `(rows, 1)`; None where the rows are greedy.
    """

    rows: NDArray[np.int64]
    places: Tensor | None
    """The rows on the device; None where they are the whole batch."""
    operations: tuple[Operation, ...]
    seeds: tuple[Tensor, Tensor] | None
    top_n: Tensor
    most_top_n: int

    def of(self, tensor: Tensor) -> Tensor:
        """The group's rows of a tensor or array that has an entry for each row of the batch."""
        return tensor if self.places is None else tensor.index_select(0, self.places)

    @property
    def reads_history(self) -> bool:
        """Whether the programs read the history of their rows."""
        return any(operation.opcode in READS_HISTORY for operation in self.operations)


def looked_up(
    batch: Batch,
    token_ids: NDArray[np.int32],
    lengths: NDArray[np.int64],
    prompt_lengths: NDArray[np.int64],
) -> Batch:
    """Replace n-gram bans and DRY by logit biases that the host finds in the rows' histories.

    The host searches: it has the history, and no other device has to be waited for.
    """
    program = batch.program
    found = {}
    for index in np.flatnonzero(np.isin(program.opcodes, _SEARCHES)).tolist():
        row = int(np.searchsorted(program.firsts, index, "right")) - 1
        history, prompt_length = token_ids[row, : lengths[row]], int(prompt_lengths[row])
        ids, values = repeats(program, index, history, prompt_length)
        found[index] = Instruction(Opcode.LOGIT_BIAS, token_ids=ids, values=values)
    return batch._replace(program=patched(program, found)) if found else batch


def groups_of(batch: Batch, rows: Iterable[int], device: torch.device, reach: float) -> list[Group]:
    """Group rows by the opcodes that they run; `reach` bounds their finite logits."""
    program = batch.program
    alike: dict[tuple[bool, bytes], list[int]] = {}
    for row in rows:
        opcodes = program.opcodes[program.firsts[row] : program.lasts[row]]
        alike.setdefault((bool(batch.greedy[row]), opcodes.tobytes()), []).append(row)
    return [_group(batch, np.array(members, np.int64), device, reach) for members in alike.values()]


def _group(batch: Batch, rows: NDArray[np.int64], device: torch.device, reach: float) -> Group:
    operations = []
    firsts, lasts = batch.program.firsts[rows], batch.program.lasts[rows]
    for position in range(lasts[0] - firsts[0]):
        operation, reach = _operation(batch.program, firsts + position, device, reach)
        operations.append(operation)
    whole = len(rows) == len(batch.seeds)
    return Group(
        rows,
        None if whole else upload(rows, device),
        tuple(operations),
        None if batch.greedy[rows[0]] else _halves(batch.seeds[rows, np.newaxis], device),
        upload(batch.top_n[rows, np.newaxis], device),
        int(batch.top_n[rows].max()),
    )


def _halves(seeds: NDArray[np.uint64], device: torch.device) -> tuple[Tensor, Tensor]:
    """The low and the high 32 bits of seeds, as int64."""
    low, high = seeds & np.uint64(0xFFFFFFFF), seeds >> np.uint64(32)
    return upload(low.astype(np.int64), device), upload(high.astype(np.int64), device)


def _operation(
    program: Program, indices: NDArray[np.int64], device: torch.device, reach: float
) -> tuple[Operation, float]:
    """The instructions at `indices`, and the bound of the logits that they leave."""
    opcode = Opcode(program.opcodes[indices[0]])
    first, second, third = np.split(program.operands[indices], 3, axis=1)
    starts, ends = program.sparse_starts[indices], program.sparse_starts[indices + 1]
    entries = starts[:, np.newaxis] + np.arange((ends - starts).max())
    present = entries < ends[:, np.newaxis]
    entries = np.where(present, entries, 0)
    values = np.where(present, program.sparse_values[entries], 0.0)
    left = _reach(opcode, first, second, values[present], reach)
    may_overflow = left > _LIMIT / 4
    bans = opcode == Opcode.BITMASK or bool(np.isneginf(values[present]).any())
    operation = Operation(
        opcode,
        # The logarithm is taken here, so that it is the same number on every device.
        upload(_logarithm(first) if opcode == Opcode.XTC else first, device),
        upload(second, device),
        upload(third, device),
        upload(program.scopes[indices, :1], device),
        upload(program.scopes[indices, 1:], device),
        _halves(program.coins[indices, np.newaxis], device),
        upload(program.slots[indices].astype(np.int64), device),
        upload(program.sparse_token_ids[entries].astype(np.int64), device),
        upload(values, device),
        upload(present, device),
        int(min(first.max(), _LONGEST)) if opcode == Opcode.TOP_K else 0,
        int(np.bitwise_or.reduce(first.astype(np.int64), None)) if opcode == Opcode.CUT else 0,
        opcode == Opcode.TOP_K and bool((second != 1.0).any()),
        may_overflow,
        bans or (may_overflow and opcode in _EDITS),
    )
    return operation, min(left, _LIMIT)


_EDITS = (*READS_HISTORY, Opcode.LOGIT_BIAS, Opcode.BITMASK_BIAS)
"""What moves a logit without bringing it back where that overflows."""


def _logarithm(fraction: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        logarithm: NDArray[np.float64] = np.log(fraction)
    return logarithm


def _reach(
    opcode: Opcode,
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    values: NDArray[np.float64],
    reach: float,
) -> float:
    """The bound of the finite logits after an instruction, where it was `reach` before."""
    smallest, largest = float(first.min()), float(np.abs(first).max())
    match opcode:
        case Opcode.TEMPERATURE | Opcode.DYNAMIC_TEMPERATURE:
            return reach / max(smallest, sys.float_info.min)
        case Opcode.REPETITION_PENALTY | Opcode.LOGIT_SCALE:
            divisor = float(second.min()) if opcode == Opcode.LOGIT_SCALE else smallest
            return reach * max(largest, 1.0 / divisor)
        case Opcode.FREQUENCY_PENALTY:
            return reach + largest * _LONGEST
        case Opcode.PRESENCE_PENALTY | Opcode.BITMASK_BIAS:
            return reach + largest
        case Opcode.LOGIT_BIAS:
            return reach + float(np.abs(values[values > -np.inf]).max(initial=0.0))
        case _:
            return reach
