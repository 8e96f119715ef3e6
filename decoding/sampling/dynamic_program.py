"""Programs whose operands depend on the history: masks and edits that change every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from decoding.errors import DecodingError, ProcessorError, shown, shown_error
from decoding.history import History
from decoding.kernels.program import (
    READS_HISTORY,
    Instruction,
    Program,
    assemble,
    fit_bitmasks,
    patched,
    retuned,
    words_of,
)
from decoding.pipeline import Fused
from decoding.sampling.programs import joined, selected
from decoding.typing import Anything, DynamicBitmask, DynamicInstruction

Failures: TypeAlias = dict[int, DecodingError]
"""The errors that ended rows, by row."""


@dataclass(slots=True)
class ProgramRow:
    """The instructions of one row, and what is known of the processors that they come from.

    instructions: those of the last step. dynamic: the instructions that change with every step, and
    whose they are. mask_processors: the instructions whose bitmask changes with every step, where
    they have one. masked: the instructions with a bitmask; None where that can change.
    """

    instructions: list[Instruction]
    dynamic: tuple[tuple[int, DynamicInstruction], ...]
    mask_processors: Mapping[int, DynamicBitmask]
    masked: tuple[int, ...] | None

    @classmethod
    def of(cls, segment: Fused) -> ProgramRow:
        """The row of a segment."""
        instructions = list(segment.instructions)
        dynamic = tuple(
            (index, processor)
            for index, processor in enumerate(segment.processors)
            if isinstance(processor, DynamicInstruction)
            # What a kernel finds in the history itself is the same instruction at every step.
            and instructions[index].opcode not in READS_HISTORY
        )
        masks = {
            index: processor
            for index, processor in enumerate(segment.processors)
            if isinstance(processor, DynamicBitmask)
        }
        row = cls(instructions, dynamic, masks, None)
        if not dynamic:
            row.masked = row.find_masked()
        return row

    def copy(self) -> ProgramRow:
        """A row whose instructions can change without those of this one."""
        if not self.dynamic:
            return self
        return replace(self, instructions=list(self.instructions))

    def find_masked(self) -> tuple[int, ...]:
        """The instructions with a bitmask."""
        return tuple(
            index for index, item in enumerate(self.instructions) if item.bitmask is not None
        )


class Changing:
    """The programs of a batch, one fused run of instructions a row, as a step needs them.

    Each row's instructions are assembled once: `selected` and `joined` make the programs of other
    batches of the same rows from arrays, and leave this one as it is.
    """

    def __init__(self, rows: list[ProgramRow], program: Program) -> None:
        self.rows = rows
        self.program = program
        self._first: list[int] = program.row_starts.tolist()
        self._dynamic = [
            (number, index, processor)
            for number, row in enumerate(self.rows)
            for index, processor in row.dynamic
        ]
        self._masks = self._dynamic_masks()
        self._width, self._bitmasks = -1, np.zeros((0, 0), np.int32)
        self._failed: Failures = {}

    @classmethod
    def of(cls, segments: Sequence[Fused]) -> Changing:
        """The programs of segments, one a row."""
        rows = [ProgramRow.of(segment) for segment in segments]
        return cls(rows, assemble([row.instructions for row in rows]))

    @classmethod
    def joined(cls, parts: Sequence[Changing]) -> Changing:
        """The rows of all parts, in order; at least one part."""
        rows = [row.copy() for part in parts for row in part.rows]
        return cls(rows, joined([part.program for part in parts]))

    def selected(self, rows: Sequence[int]) -> Changing:
        """Some of the rows, which are named in ascending order."""
        return Changing([self.rows[row].copy() for row in rows], selected(self.program, rows))

    def bitmasks(
        self, history: History, width: int, first_row: int = 0
    ) -> tuple[NDArray[np.int32], Failures]:
        """The bitmasks of this step, for logits of a width, and the rows whose processor failed.

        first_row: as what errors count the first row.
        """
        if width != self._width:
            self._width = width
            self._bitmasks = fit_bitmasks(list(self.program.bitmasks), words_of(width))
        failed: Failures = dict(self._failed)
        for slot, row, processor in self._masks:
            own = history.select(row).read_only()
            try:
                words = processor.bitmask(own)
            except Exception as error:
                failed[row] = raised(processor, error, own, first_row + row)
                self._bitmasks[slot] = 0
                continue
            self._write(slot, words)
        return self._bitmasks, failed

    def program_for(self, history: History, width: int, first_row: int = 0) -> Program:
        """The program of this step, the same object if nothing changed; ask before `bitmasks`."""
        changed: dict[int, Instruction] = {}
        masks_move = entries_move = False
        self._failed = {}
        for row, index, processor in self._dynamic:
            own = history.select(row).read_only()
            try:
                item = _within(processor.instruction(own), width)
            except Exception as error:  # a processor may raise anything
                # The row's result is not used; its instruction stays that of the last step.
                self._failed[row] = raised(processor, error, own, first_row + row)
                continue
            last = self.rows[row].instructions[index]
            same_entries = _same_entries(item, last)
            if not same_entries or item[:4] != last[:4] or item.bitmask is not last.bitmask:
                changed[self._first[row] + index] = item
                masks_move |= item.bitmask is not last.bitmask
                entries_move |= not same_entries
                self.rows[row].instructions[index] = item
        if changed and not masks_move:
            change = patched if entries_move else retuned
            self.program = change(self.program, changed)
        if masks_move:
            self.program = assemble([row.instructions for row in self.rows])
            self._masks, self._width = self._dynamic_masks(), -1
        return self.program

    def _write(self, slot: int, words: NDArray[np.int32]) -> None:
        """The words of a slot, cut or filled up with zeros."""
        target = self._bitmasks[slot]
        count = min(len(words), len(target))
        target[:count] = words[:count]
        target[count:] = 0

    def _dynamic_masks(self) -> list[tuple[int, int, DynamicBitmask]]:
        """The slots whose words change with every step, and whose they are."""
        masks: list[tuple[int, int, DynamicBitmask]] = []
        slot = 0
        for number, row in enumerate(self.rows):
            for index in row.masked if row.masked is not None else row.find_masked():
                processor = row.mask_processors.get(index)
                if processor is not None:
                    masks.append((slot, number, processor))
                slot += 1
        return masks


def steps_of(history: History) -> int:
    """The number of tokens that the one row of a history has generated."""
    return int(history.lengths[0] - history.prompt_lengths[0])


def raised(processor: object, error: Exception, history: History, row: int) -> ProcessorError:
    """The error of a row whose processor raised."""
    problem = f"raised {shown_error(error)}"
    failure = ProcessorError(shown(processor), problem, row, steps_of(history))
    failure.__cause__ = error
    return failure


def _same_entries(one: Instruction, other: Instruction) -> bool:
    return _equal(one.token_ids, other.token_ids) and _equal(one.values, other.values)


def _equal(one: Anything, other: Anything) -> bool:  # an array or a tuple
    if isinstance(one, tuple) and isinstance(other, tuple):
        return one == other  # quick where they are the same object
    return np.array_equal(one, other)


def _within(item: Instruction, width: int) -> Instruction:
    """Remove token ids beyond `width` logits from an instruction."""
    if isinstance(item.token_ids, tuple) and all(0 <= place < width for place in item.token_ids):
        return item
    token_ids, values = np.asarray(item.token_ids), np.asarray(item.values, np.float64)
    legal = (token_ids >= 0) & (token_ids < width)
    return item if legal.all() else item._replace(token_ids=token_ids[legal], values=values[legal])
