"""Programs whose operands depend on the history: masks and edits that change every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, TypeAlias, cast
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from decoding.checks import has_method
from decoding.errors import DecodingError, ProcessorError, shown, shown_error
from decoding.history import History
from decoding.kernels.program import (
    READS_HISTORY,
    Instruction,
    Program,
    assemble,
    gathered,
    patched,
    retuned,
    words_of,
)
from decoding.pipeline import Fused
from decoding.typing import Anything, DynamicBitmask, DynamicInstruction

Failures: TypeAlias = dict[int, DecodingError]
"""The errors that ended rows, by row."""

_MOST_COMPARED = 64
"""Rows with more sparse operands than that are alike only where their segment is the same."""

_FEW_INSTRUCTIONS, _FEW_ENTRIES, _FEW_SLOTS = 64, 4096, 4
"""What rows that have left may leave behind in any case."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ProgramRow:
    """The program of a row: one segment, and the processors that change its operands every step.

    dynamic: the instructions that change, and whose they are. masks: the instructions whose bitmask
    changes, where they have one, and whose they are.
    """

    segment: Fused
    dynamic: tuple[tuple[int, DynamicInstruction], ...]
    masks: tuple[tuple[int, DynamicBitmask], ...]

    @classmethod
    def of(cls, segment: Fused) -> ProgramRow:
        """The row of a segment."""
        dynamic = tuple(
            (index, cast("DynamicInstruction", processor))
            for index, processor in enumerate(segment.processors)
            if has_method(processor, "instruction")
            # What a kernel finds in the history itself is the same instruction at every step.
            and segment.instructions[index].opcode not in READS_HISTORY
        )
        masks = tuple(
            (index, cast("DynamicBitmask", processor))
            for index, processor in enumerate(segment.processors)
            if has_method(processor, "bitmask")
        )
        return cls(segment, dynamic, masks)


class SharedRows:
    """The rows in use that run the same at every step, so that rows alike are one object."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[object, ProgramRow] = WeakValueDictionary()

    def row_of(self, segment: Fused) -> ProgramRow:
        """The row of a segment: a new one where it changes with the history, or none is like it."""
        key: object = segment.instructions
        try:
            if sum(len(item.token_ids) for item in segment.instructions) > _MOST_COMPARED:
                key = id(segment)  # which its row keeps alive
            known = self._known.get(key)
        except TypeError:  # operands that are arrays cannot be hashed
            key = id(segment)
            known = self._known.get(key)
        if known is None:
            known = ProgramRow.of(segment)
            if not known.dynamic and not known.masks:
                self._known[key] = known
        return known


class _Run(NamedTuple):
    """Where the instructions of a row stand in a program; they are those of the last step."""

    first: int
    last: int
    instructions: list[Instruction]


class RowPrograms:
    """The programs of the rows of a batch, one fused run of instructions a row, step by step.

    `arrange` lays out the instructions of rows that it has not seen and leaves the others where
    they are. Those of rows that have left stay, for rows to come that are alike, until they are
    more than those in use.

    program: that of the last step; the words of its bitmasks are those that `bitmasks` returns.
    """

    def __init__(self, rows: Sequence[ProgramRow] = ()) -> None:
        self.program = assemble([])
        self._rows: Sequence[ProgramRow] = ()
        self._runs: dict[ProgramRow, _Run] = {}
        # The bitmask of each slot; those of the first slots are in `_bitmasks`, by slot.
        self._words: list[NDArray[np.int32]] = []
        self._written = 0
        self._bitmasks = np.zeros((0, 0), np.int32)
        self._dynamic: list[tuple[int, int, DynamicInstruction]] = []
        self._masks: list[tuple[int, int, DynamicBitmask]] = []
        self._failed: Failures = {}
        self.arrange(rows)

    def arrange(
        self,
        rows: Sequence[ProgramRow],
        moved: Mapping[ProgramRow, list[Instruction]] = MappingProxyType({}),
    ) -> None:
        """Let these be the rows of the batch.

        moved: the instructions of the last step of rows that are laid out anew.
        """
        fresh = [row for row in dict.fromkeys(rows) if row not in self._runs]
        if fresh:
            self._sweep(rows)
            self._append(fresh, moved)
        runs = [self._runs[row] for row in rows]
        self.program = self.program._replace(
            firsts=np.array([run.first for run in runs], np.int64),
            lasts=np.array([run.last for run in runs], np.int64),
        )
        self._rows = rows
        self._dynamic = [
            (number, index, processor)
            for number, row in enumerate(rows)
            for index, processor in row.dynamic
        ]
        self._masks = [
            (number, slot, processor)
            for number, row in enumerate(rows)
            for index, processor in row.masks
            if (slot := int(self.program.slots[runs[number].first + index])) >= 0
        ]

    def bitmasks(
        self, history: History, width: int, first_row: int = 0
    ) -> tuple[NDArray[np.int32], Failures]:
        """The bitmasks of this step, for logits of a width, and the rows whose processor failed.

        first_row: as what errors count the first row.
        """
        self._fit(words_of(width))
        failed: Failures = dict(self._failed)
        for row, slot, processor in self._masks:
            own = history.select(row).read_only()
            try:
                words = processor.bitmask(own)
            except Exception as error:
                failed[row] = raised(processor, error, own, first_row + row)
                self._bitmasks[slot] = 0
                continue
            self._write(slot, words)
        return self._bitmasks[: len(self._words)], failed

    def program_for(self, history: History, width: int, first_row: int = 0) -> Program:
        """The program of this step, the same object if nothing changed; ask before `bitmasks`."""
        changed: dict[int, Instruction] = {}
        torn: list[ProgramRow] = []
        entries_move = False
        self._failed = {}
        for row, index, processor in self._dynamic:
            own = history.select(row).read_only()
            try:
                item = _within(processor.instruction(own), width)
            except Exception as error:  # a processor may raise anything
                # The row's result is not used; its instruction stays that of the last step.
                self._failed[row] = raised(processor, error, own, first_row + row)
                continue
            run = self._runs[self._rows[row]]
            last = run.instructions[index]
            if (item.bitmask is None) is not (last.bitmask is None):
                torn.append(self._rows[row])
            same_entries = _same_entries(item, last)
            if not same_entries or item[:4] != last[:4] or item[7:] != last[7:]:
                changed[run.first + index] = item
                entries_move |= not same_entries
            if item.bitmask is not None and item.bitmask is not last.bitmask:
                self._move_words(int(self.program.slots[run.first + index]), item.bitmask)
            run.instructions[index] = item
        if changed:
            self.program = (patched if entries_move else retuned)(self.program, changed)
        if torn:  # a bitmask that comes or goes moves the slots: its row is laid out anew
            moved = {row: self._runs.pop(row).instructions for row in dict.fromkeys(torn)}
            self.arrange(self._rows, moved)
        return self.program

    def _append(
        self, rows: Sequence[ProgramRow], moved: Mapping[ProgramRow, list[Instruction]]
    ) -> None:
        """Lay out rows behind the others."""
        listed = [moved.get(row) or list(row.segment.instructions) for row in rows]
        more = assemble(listed)
        first = len(self.program.opcodes)
        for row, instructions, start, stop in zip(
            rows, listed, more.firsts.tolist(), more.lasts.tolist(), strict=True
        ):
            self._runs[row] = _Run(first + start, first + stop, instructions)
        self.program = _extended(self.program, more, len(self._words))
        self._words += [item.bitmask for run in listed for item in run if item.bitmask is not None]

    def _sweep(self, rows: Sequence[ProgramRow]) -> None:
        """Drop the instructions that are none of the rows', where they are more than the others."""
        kept = [row for row in dict.fromkeys(rows) if row in self._runs]
        runs = [self._runs[row] for row in kept]
        items = [item for run in runs for item in run.instructions]
        instructions, entries, slots = (
            len(items),
            sum([len(item.token_ids) for item in items]),
            sum([item.bitmask is not None for item in items]),
        )
        if (
            len(self.program.opcodes) <= 2 * instructions + _FEW_INSTRUCTIONS
            and len(self.program.sparse_values) <= 2 * entries + _FEW_ENTRIES
            and len(self._words) <= 2 * slots + _FEW_SLOTS
        ):
            return
        firsts = np.array([run.first for run in runs], np.int64)
        lasts = np.array([run.last for run in runs], np.int64)
        program = gathered(self.program, firsts, lasts)
        has_slot = program.slots >= 0
        self._words = [self._words[slot] for slot in program.slots[has_slot].tolist()]
        slots_now = np.where(has_slot, np.cumsum(has_slot) - 1, -1).astype(np.int32)
        self.program, self._written = program._replace(slots=slots_now), 0
        self._runs = {
            row: _Run(first, last, run.instructions)
            for row, run, first, last in zip(
                kept, runs, program.firsts.tolist(), program.lasts.tolist(), strict=True
            )
        }

    def _move_words(self, slot: int, words: NDArray[np.int32]) -> None:
        """Other words for a slot; −1 has none."""
        if slot >= 0:
            self._words[slot] = words
            if slot < self._written:
                self._write(slot, words)

    def _fit(self, width: int) -> None:
        """Write the words of the slots that are not written yet, or not in this width."""
        count, room = len(self._words), len(self._bitmasks)
        if width != self._bitmasks.shape[1]:
            self._written, self._bitmasks = 0, np.zeros((count, width), np.int32)
        elif count > room:
            grown = np.zeros((max(count, 2 * room), width), np.int32)
            grown[: self._written] = self._bitmasks[: self._written]
            self._bitmasks = grown
        for slot in range(self._written, count):
            self._write(slot, self._words[slot])
        self._written = count

    def _write(self, slot: int, words: NDArray[np.int32]) -> None:
        """The words of a slot, cut or filled up with zeros."""
        target = self._bitmasks[slot]
        count = min(len(words), len(target))
        target[:count] = words[:count]
        target[count:] = 0


def _extended(program: Program, more: Program, slots: int) -> Program:
    """The instructions of both programs; the second one's slots come after so many others."""
    more_slots = np.where(more.slots < 0, -1, more.slots + slots) if slots else more.slots
    return Program(
        np.concatenate((program.opcodes, more.opcodes)),
        np.concatenate((program.operands, more.operands)),
        np.concatenate((program.scopes, more.scopes)),
        np.concatenate((program.coins, more.coins)),
        program.firsts,
        program.lasts,
        np.concatenate(
            (program.sparse_starts[:-1], more.sparse_starts + program.sparse_starts[-1])
        ),
        np.concatenate((program.sparse_token_ids, more.sparse_token_ids)),
        np.concatenate((program.sparse_values, more.sparse_values)),
        np.concatenate((program.slots, more_slots), dtype=np.int32),
        program.bitmasks,
    )


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
