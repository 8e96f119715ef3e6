"""Programs whose operands depend on the history: masks and edits that change every step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from decoding.typing import Anything, DynamicBitmask, DynamicInstruction, Processor

Failures: TypeAlias = dict[int, DecodingError]
"""What ended rows, by row."""


class Changing:
    """Updates the program of a batch at every step, one run of instructions a row."""

    def __init__(self, segments: Sequence[Fused], first_row: int = 0) -> None:
        """first_row: the row that the first segment is of; errors count from it."""
        self._segments, self._first_row = segments, first_row
        self._rows: list[list[Instruction]] = [list(segment.instructions) for segment in segments]
        self.program = assemble(self._rows)
        self._first: list[int] = self.program.row_starts.tolist()
        self._dynamic = [
            (row, index, processor)
            for row, index, processor in self._places()
            if isinstance(processor, DynamicInstruction)
            # What a kernel finds in the history itself is the same instruction at every step.
            and self._rows[row][index].opcode not in READS_HISTORY
        ]
        self._masks = self._dynamic_masks()
        self._width, self._bitmasks = -1, np.zeros((0, 0), np.int32)
        self._failed: Failures = {}

    def bitmasks(self, history: History, width: int) -> tuple[NDArray[np.int32], Failures]:
        """The bitmasks of this step, and the errors of rows whose processor failed."""
        if width != self._width:
            self._width = width
            self._bitmasks = fit_bitmasks(list(self.program.bitmasks), words_of(width))
        failed: Failures = dict(self._failed)
        for slot, row, processor in self._masks:
            own = history.select(row).read_only()
            try:
                words = processor.bitmask(own)
            except Exception as error:  # a processor may raise anything
                failed[row] = raised(processor, error, own, self._first_row + row)
                self._bitmasks[slot] = 0
                continue
            self._write(slot, words)
        return self._bitmasks, failed

    def program_for(self, history: History, width: int) -> Program:
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
                self._failed[row] = raised(processor, error, own, self._first_row + row)
                continue
            last = self._rows[row][index]
            same_entries = _same_entries(item, last)
            if not same_entries or item[:4] != last[:4] or item.bitmask is not last.bitmask:
                changed[self._first[row] + index] = item
                masks_move |= item.bitmask is not last.bitmask
                entries_move |= not same_entries
                self._rows[row][index] = item
        if changed and not masks_move:
            change = patched if entries_move else retuned
            self.program = change(self.program, changed)
        if masks_move:
            self.program = assemble(self._rows)
            self._masks, self._width = self._dynamic_masks(), -1
        return self.program

    def _write(self, slot: int, words: NDArray[np.int32]) -> None:
        """The words of a slot, cut or filled up with zeros."""
        target = self._bitmasks[slot]
        count = min(len(words), len(target))
        target[:count] = words[:count]
        target[count:] = 0

    def _places(self) -> Iterator[tuple[int, int, Processor]]:
        for row, segment in enumerate(self._segments):
            for index, processor in enumerate(segment.processors):
                yield row, index, processor

    def _dynamic_masks(self) -> list[tuple[int, int, DynamicBitmask]]:
        """The slots whose words change with every step, and whose they are."""
        masked = [
            (row, processor)
            for row, index, processor in self._places()
            if self._rows[row][index].bitmask is not None
        ]
        return [
            (slot, row, processor)
            for slot, (row, processor) in enumerate(masked)
            if isinstance(processor, DynamicBitmask)
        ]


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
