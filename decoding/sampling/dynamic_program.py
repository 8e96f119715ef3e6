"""A batch's kernel programs, whose operands are updated from the history at every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, cast
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

_NO_INSTRUCTIONS = assemble([])

_FEW_INSTRUCTIONS, _FEW_ENTRIES, _FEW_SLOTS = 64, 4096, 4
"""What rows that have left may leave behind in any case."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ProgramRow:
    """A row's fused instructions, and the processors that change their operands every step.

    dynamic: the instructions that change, and whose they are. masks: the instructions whose bitmask
    changes, where they have one, and whose they are.
    """

    segment: Fused
    dynamic: tuple[tuple[int, DynamicInstruction], ...]
    masks: tuple[tuple[int, DynamicBitmask], ...]

    @classmethod
    def of(cls, segment: Fused) -> ProgramRow:
        """Make the row of a segment: find the processors whose instruction or bitmask changes."""
        dynamic: list[tuple[int, DynamicInstruction]] = []
        masks: list[tuple[int, DynamicBitmask]] = []
        for index, processor in enumerate(segment.processors):
            # What a kernel finds in the history itself is the same instruction at every step.
            if (
                has_method(processor, "instruction")
                and segment.instructions[index].opcode not in READS_HISTORY
            ):
                dynamic.append((index, cast("DynamicInstruction", processor)))
            if has_method(processor, "bitmask"):
                masks.append((index, cast("DynamicBitmask", processor)))
        return cls(segment, tuple(dynamic), tuple(masks))


class SharedRows:
    """A weak cache of rows that read no history: equal segments share one `ProgramRow`."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[object, ProgramRow] = WeakValueDictionary()

    def row_of(self, segment: Fused) -> ProgramRow:
        """The row of a segment: a new one if the segment reads the history or no row is equal."""
        # Requests that ask for the same numbers have the same segment, which needs no hash. A row
        # keeps its segment alive, and with it the number that stands for it.
        known = self._known.get(id(segment))
        if known is not None:
            return known
        key: object = segment.instructions
        try:
            if sum(len(item.token_ids) for item in segment.instructions) > _MOST_COMPARED:
                key = id(segment)
            known = self._known.get(key)
        except TypeError:  # operands that are arrays cannot be hashed
            key = id(segment)
        if known is None:
            known = ProgramRow.of(segment)
            if not known.dynamic and not known.masks:
                self._known[key] = self._known[id(segment)] = known
        return known


class _Run(NamedTuple):
    """Where the instructions of a row stand in a program; they are those of the last step."""

    first: int
    last: int
    instructions: list[Instruction]


class RowPrograms:
    """Keeps a batch's program, one fused run of instructions a row, up to date at every step.

    `arrange` lays out the instructions of rows that it has not seen and leaves the others where
    they are. Those of rows that have left stay, for rows to come that are alike, until they are
    more than those in use.

    program: that of the last step; the words of its bitmasks are those that `bitmasks` returns.
    """

    def __init__(self, rows: Sequence[ProgramRow] = ()) -> None:
        self.program = _NO_INSTRUCTIONS
        self._rows: Sequence[ProgramRow] = ()
        self._runs: dict[ProgramRow, _Run] = {}
        # The bitmask of each slot; those of the first slots are in `_bitmasks`, by slot.
        self._words: list[NDArray[np.int32]] = []
        self._written = 0
        self._bitmasks = np.zeros((0, 0), np.int32)
        # Those of the last step where they are those of the next step too.
        self._unchanging: NDArray[np.int32] | None = None
        self._dynamic: list[tuple[int, int, DynamicInstruction]] = []
        self._masks: list[tuple[int, int, DynamicBitmask]] = []
        self._failed: Failures = {}
        self.arrange(rows)

    def arrange(
        self,
        rows: Sequence[ProgramRow],
        moved: Mapping[ProgramRow, list[Instruction]] = MappingProxyType({}),
    ) -> None:
        """Set the rows of the batch, and lay out the instructions of those that are new.

        moved: the instructions of the last step of rows that are laid out anew.
        """
        self._unchanging = None
        if not moved and rows == self._rows:  # those that left had the programs of those that came
            return
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
        changing = [(number, row) for number, row in enumerate(rows) if row.dynamic or row.masks]
        self._dynamic = [
            (number, index, processor)
            for number, row in changing
            for index, processor in row.dynamic
        ]
        self._masks = [
            (number, slot, processor)
            for number, row in changing
            for index, processor in row.masks
            if (slot := int(self.program.slots[runs[number].first + index])) >= 0
        ]

    @property
    def changes(self) -> bool:
        """Whether a processor changes its instruction or its bitmask at every step."""
        return bool(self._dynamic or self._masks)

    def bitmasks(
        self, history: History, width: int, first_row: int = 0
    ) -> tuple[NDArray[np.int32], Failures]:
        """The bitmasks of this step, for logits of a width, and the rows whose processor failed.

        first_row: as what errors count the first row.
        """
        unchanging = self._unchanging
        if unchanging is not None and unchanging.shape[1] == words_of(width):
            return unchanging, self._failed
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
        bitmasks = self._bitmasks[: len(self._words)]
        self._unchanging = None if self._masks else bitmasks
        return bitmasks, failed

    def program_for(self, history: History, width: int, first_row: int = 0) -> Program:
        """The program of this step, the same object if nothing changed; ask before `bitmasks`."""
        self._failed = {}
        if not self._dynamic:
            return self.program
        changed: dict[int, Instruction] = {}
        torn: list[ProgramRow] = []
        entries_move = False
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
            same_ids = _equal(item.token_ids, last.token_ids)
            same_entries = same_ids and _equal(item.values, last.values)
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
        flat: list[Instruction] = []
        first = len(self.program.opcodes)
        for row in rows:
            instructions = moved.get(row) or list(row.segment.instructions)
            last = first + len(instructions)
            self._runs[row] = _Run(first, last, instructions)
            flat += instructions
            first = last
        self.program = _extended(self.program, flat, len(self._words))
        self._words += [item.bitmask for item in flat if item.bitmask is not None]

    def _sweep(self, rows: Sequence[ProgramRow]) -> None:
        """Drop the instructions that are none of the rows', where they are more than the others."""
        if (
            len(self.program.opcodes) <= _FEW_INSTRUCTIONS
            and len(self.program.sparse_values) <= _FEW_ENTRIES
            and len(self._words) <= _FEW_SLOTS
        ):
            return
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


def _extended(program: Program, instructions: Sequence[Instruction], slots: int) -> Program:
    """The program with further instructions behind its own; their bitmasks have the next slots.

    slots: how many the program has.
    """
    sparse = [item for item in instructions if len(item.token_ids)]
    token_ids, values = program.sparse_token_ids, program.sparse_values
    if sparse:
        sorted_operands = assemble([sparse])
        token_ids = np.concatenate((token_ids, sorted_operands.sparse_token_ids))
        values = np.concatenate((values, sorted_operands.sparse_values))
    end, numbers = int(program.sparse_starts[-1]), count(slots)
    return Program(
        _with(program.opcodes, [item.opcode for item in instructions]),
        _with(program.operands, [item[1:4] for item in instructions]),
        _with(program.scopes, [item[7:9] for item in instructions]),
        _with(program.coins, [item.seed for item in instructions]),
        program.firsts,
        program.lasts,
        _with(
            program.sparse_starts,
            [end := end + len(item.token_ids) for item in instructions]
            if sparse
            else [end] * len(instructions),
        ),
        token_ids,
        values,
        _with(
            program.slots,
            [-1 if item.bitmask is None else next(numbers) for item in instructions],
        ),
        program.bitmasks,
    )


def _with(array: NDArray[Any], more: Sequence[object]) -> NDArray[Any]:
    """An array with more entries behind its own."""
    before = len(array)
    longer = np.empty((before + len(more), *array.shape[1:]), array.dtype)
    longer[:before] = array
    if more:
        longer[before:] = more
    return longer


def steps_of(history: History) -> int:
    """The number of tokens that the one row of a history has generated."""
    return int(history.lengths[0] - history.prompt_lengths[0])


def raised(processor: object, error: Exception, history: History, row: int) -> ProcessorError:
    """Make the `ProcessorError` of a row whose processor raised."""
    problem = f"raised {shown_error(error)}"
    failure = ProcessorError(shown(processor), problem, row, steps_of(history))
    failure.__cause__ = error
    return failure


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
