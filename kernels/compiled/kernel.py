"""`CompiledKernel`: the Numba backend, rows on CPU threads; extreme rows left to NumPy."""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.compiled.finish import LEFT_TO_NUMPY
from decoding.kernels.compiled.formats import format_of
from decoding.kernels.compiled.memory import addresses, allocate
from decoding.kernels.compiled.records import (
    ASKED,
    BATCH,
    BITMASK_WORDS,
    BITMASKS,
    CALL_SIZE,
    ENTRY_COUNT,
    FORMAT,
    INSTRUCTIONS,
    LIKELIEST,
    LIKELIEST_COUNT,
    MOST_LISTED,
    OUT,
    OUTCOMES,
    PLAN,
    PLANS,
    RAW_ROWS,
    SCRATCH,
    THREADS,
    TURNS,
    flatten,
    write_operands,
)
from decoding.kernels.compiled.step import DESCRIBE, DRAW, EDIT, step_rows
from decoding.kernels.compiled.threads import Workers
from decoding.kernels.program import Batch, assemble
from decoding.kernels.result import (
    EMPTY_SUPPORT,
    ROW,
    TOP,
    StepResult,
    hide_raw,
    top_capacities,
)
from decoding.kernels.vector.step import VectorKernel

COMPACT_LIMIT = 16_384
"""The most candidates that are listed; above, a row stays whole."""

_BYTE = np.dtype(np.uint8)

_memory = threading.local()
_NO_MEMORY = -1, np.zeros(0, np.int64), ()


class CompiledKernel:
    """`decoding.kernels.backends.Kernel` in Numba.

    threads: over how many the rows are spread. compact_limit: the most candidates that are listed.
    """

    def __init__(self, batch: Batch, threads: int = 1, compact_limit: int = COMPACT_LIMIT) -> None:
        nobody = np.zeros(0, np.int64)
        nothing = assemble([])
        self._batch = Batch(nothing, nobody.astype(np.uint64), nobody > 0, nobody)
        self._beside = -1  # how many threads take part beside the calling one; at first unknown
        self._workers: Workers | None = None
        # Room for more rows and more of their likeliest tokens than there are.
        self._plans, self._outcomes = np.zeros(0, PLAN), np.zeros(0, ROW)
        self._top = np.zeros(0, TOP)
        self._result = StepResult.of(self._outcomes, self._top)
        self._instructions, self._sparse = flatten(nothing)
        self._turns = np.zeros(3, np.int64)
        self._call = np.zeros(CALL_SIZE, np.int64)
        self._call[MOST_LISTED], self._call[TURNS] = compact_limit, _address(self._turns)
        # What the call was written for, where this need not be written again.
        self._head: tuple[Any, ...] | None = None
        self._bitmasks: NDArray[np.int32] | None = None
        self._scratch: NDArray[np.int64] | None = None
        self.regrouped(batch, threads)

    def step(
        self,
        logits: NDArray[Any],
        raw_logits: NDArray[Any],
        bitmasks: NDArray[np.int32],
        token_ids: NDArray[np.int32],
        lengths: NDArray[np.int64],
        prompt_lengths: NDArray[np.int64],
        *,
        describe: bool,
    ) -> StepResult:
        """Draw one token a row."""
        asked = DESCRIBE if describe else DRAW
        if self._run(logits, raw_logits, bitmasks, token_ids, lengths, prompt_lengths, asked):
            history = (token_ids, lengths, prompt_lengths)
            self._leave_to_numpy(logits, raw_logits, bitmasks, history, describe=describe)
        return self._result

    def edit(
        self,
        logits: NDArray[Any],
        bitmasks: NDArray[np.int32],
        token_ids: NDArray[np.int32],
        lengths: NDArray[np.int64],
        prompt_lengths: NDArray[np.int64],
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Run the program alone."""
        edited = np.empty(logits.shape)
        history = (token_ids, lengths, prompt_lengths)
        self._call[OUT] = _address(edited)
        if self._run(logits, logits, bitmasks, *history, EDIT):
            return self._by_numpy().edit(logits, bitmasks, *history)
        outcomes = self._outcomes[: len(logits)]
        is_empty = outcomes["status"] == EMPTY_SUPPORT
        emptied = np.where(is_empty, outcomes["fault_position"], -1)
        return edited, emptied

    def regrouped(self, batch: Batch, threads: int = 1) -> CompiledKernel:
        """Another batch; this kernel itself."""
        last, self._batch = self._batch, batch
        if batch.seeds is not last.seeds or self._beside < 0:
            self._take_rows(batch)
            self._beside = max(1, min(len(batch.seeds), threads)) - 1
            self._call[THREADS] = self._beside + 1
        program, before = batch.program, last.program
        if program is before:
            return self
        size = len(batch.seeds)
        self._plans["first"][:size], self._plans["last"][:size] = program.firsts, program.lasts
        # A retuned program shares all but its operands with the one before.
        if program.sparse_starts is before.sparse_starts and program.slots is before.slots:
            if program.operands is not before.operands:
                write_operands(self._instructions, program)
            return self
        self._instructions, self._sparse = flatten(program)
        self._call[INSTRUCTIONS : ENTRY_COUNT + 1] = (
            _address(self._instructions),
            len(self._instructions),
            _address(self._sparse),
            len(self._sparse),
        )
        return self

    def _take_rows(self, batch: Batch) -> None:
        """Write how each row draws, and where its likeliest tokens go."""
        size = len(batch.seeds)
        if size > len(self._plans):
            room = max(size, 2 * len(self._plans))
            self._plans, self._outcomes = np.zeros(room, PLAN), np.zeros(room, ROW)
            self._call[PLANS], self._call[OUTCOMES] = (
                _address(self._plans),
                _address(self._outcomes),
            )
        plans = self._plans[:size]
        plans["seed"], plans["greedy"], plans["top_n"] = batch.seeds, batch.greedy, batch.top_n
        plans["raw"] = batch.raw
        described = 1
        if batch.top_n.any():
            places = top_capacities(batch.top_n)
            ends = places.cumsum()
            self._outcomes["top_start"][:size] = ends - places
            described = int(ends[-1])
        if described > len(self._top):
            self._top = np.zeros(max(described, 2 * len(self._top)), TOP)
            self._call[LIKELIEST : LIKELIEST_COUNT + 1] = _address(self._top), len(self._top)
        self._call[BATCH] = size
        self._result = StepResult.of(self._outcomes[:size], self._top)

    def _by_numpy(self) -> VectorKernel:
        return VectorKernel(self._batch)

    def _run(
        self,
        logits: NDArray[Any],
        raw_logits: NDArray[Any],
        bitmasks: NDArray[np.int32],
        token_ids: NDArray[Any],
        lengths: NDArray[Any],
        prompt_lengths: NDArray[Any],
        asked: int,
    ) -> int:
        """Run the compiled step over the rows; return how many of them it left."""
        width = logits.shape[1]
        if logits.flags.carray:  # as `_flat` does, in less time
            rows, stride = logits.view(_BYTE), width * logits.itemsize
        else:
            rows, stride = _flat(logits)
        raw_rows = rows
        head = (stride, width, asked, logits.dtype)
        if head != self._head:
            self._head, self._call[: ASKED + 1] = head, head[:-1]
            self._call[FORMAT], self._call[RAW_ROWS] = format_of(logits.dtype), 0
        if logits is not raw_logits:
            raw_rows, raw_stride = _flat(raw_logits)
            if raw_stride != stride:
                plain = np.ascontiguousarray(logits), np.ascontiguousarray(raw_logits)
                return self._run(*plain, bitmasks, token_ids, lengths, prompt_lengths, asked)
            self._head, self._call[RAW_ROWS] = None, _address(raw_rows)
        if bitmasks is not self._bitmasks:
            # A copy is not this object next time either: what it copies may have changed.
            self._bitmasks = _plain(bitmasks, np.int32)
            self._call[BITMASKS : BITMASK_WORDS + 1] = _address(self._bitmasks), *bitmasks.shape
        if self._beside == 0:
            scratch = _memory_for(width)
            if scratch is not self._scratch:
                self._scratch, self._call[SCRATCH:] = scratch, scratch
            try:
                left: int = step_rows(rows, token_ids, lengths, prompt_lengths, self._call)
            except TypeError:  # as they are read-only, or not side by side
                history = _plain_history(token_ids, lengths, prompt_lengths)
                left = step_rows(rows, *history, self._call)
            return left
        # Of this call alone: a thread that begins late finds that no row of it is left.
        call, turns = self._call.copy(), np.zeros(3, np.int64)
        call[TURNS] = _address(turns)
        arrays = (rows, *_plain_history(token_ids, lengths, prompt_lengths))
        work = partial(_run, arrays, call, width, raw_rows, turns)
        workers = self._threads()
        others = [workers.submit(work) for _ in range(self._beside)]
        work()
        for item in others:
            # What is not begun is not needed; what has rows is waited for.
            if not item.cancel() and turns.item(1) < len(logits):
                item.result()
        return turns.item(2)

    def _threads(self) -> Workers:
        """The threads beside the calling one; those of a process are not there after a fork."""
        workers = self._workers
        if workers is None or workers.process != os.getpid() or workers.count < self._beside:
            workers = self._workers = Workers(self._beside)
        return workers

    def _leave_to_numpy(
        self,
        logits: NDArray[Any],
        raw_logits: NDArray[Any],
        bitmasks: NDArray[np.int32],
        history: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
        *,
        describe: bool,
    ) -> None:
        """Step the rows that the compiled step left."""
        token_ids, lengths, prompt_lengths = history
        by_numpy = self._by_numpy()
        for row in np.flatnonzero(
            self._outcomes[: len(logits)]["status"] == LEFT_TO_NUMPY
        ).tolist():
            outcome = self._outcomes[row]
            top = by_numpy.step_row(
                outcome,
                row,
                raw_logits[row],
                None if logits is raw_logits else logits[row],
                bitmasks,
                token_ids[row, : lengths[row]],
                int(prompt_lengths[row]),
                describe=describe,
            )
            outcome["top_count"] = len(top)
            self._top[outcome["top_start"] : outcome["top_start"] + len(top)] = top
        if describe:
            hide_raw(self._result, self._batch.raw)


def _run(
    arrays: tuple[NDArray[Any], ...], call: NDArray[np.int64], width: int, *_kept: object
) -> None:
    """Run the compiled step in one thread of several, with the scratch memory of that thread.

    call: has addresses of what is kept.
    """
    call = call.copy()
    call[SCRATCH:] = _memory_for(width)
    step_rows(*arrays, call)


def _plain(array: NDArray[Any], kind: type[Any]) -> NDArray[Any]:
    """The array as the compiled signature has it: side by side, writeable, of that type."""
    return np.require(array, kind, ("C", "A", "W"))


def _plain_history(
    token_ids: NDArray[Any], lengths: NDArray[Any], prompt_lengths: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Convert a history's arrays to the types and the layout that the compiled step takes."""
    return (
        _plain(token_ids, np.int32), _plain(lengths, np.int64), _plain(prompt_lengths, np.int64)
    )  # fmt: skip


def _memory_for(width: int) -> NDArray[np.int64]:
    """The addresses of the calling thread's scratch arrays, for rows of `width` logits."""
    known: tuple[int, NDArray[np.int64], object] = getattr(_memory, "known", _NO_MEMORY)
    if known[0] != width:
        arrays = allocate(width)
        known = _memory.known = width, addresses(arrays), arrays
    return known[1]


def _flat(logits: NDArray[Any]) -> tuple[NDArray[np.uint8], int]:
    """The bytes of a batch, and how many from row to row; never a copy of rows.

    They have two dimensions, as NumPy takes a microsecond longer for one. Only logits that are not
    side by side are copied.
    """
    batch, width = logits.shape
    item = logits.itemsize
    if logits.flags.carray:
        return logits.view(_BYTE), width * item
    if not logits.flags.writeable:
        return _flat(np.asarray(_Address(logits)))
    stride = logits.strides[0]
    if logits.strides[1] != item or stride < width * item:
        return np.ascontiguousarray(logits).view(_BYTE), width * item
    length = (batch - 1) * stride + width * item
    view = logits.view(_BYTE)
    return np.lib.stride_tricks.as_strided(view, (1, length), (length, 1)), stride


def _address(array: NDArray[Any]) -> int:
    """The address of the array's first byte; the array must be kept."""
    return array.ctypes.data  # not `__array_interface__`, which describes every field of a record


class _Address:
    """An array's memory without its read-only flag, which the compiled signatures do not have."""

    def __init__(self, array: NDArray[Any]) -> None:
        described = array.__array_interface__
        self.__array_interface__ = {**described, "data": (described["data"][0], False)}
        self.array = array


def run_once(dtype: np.dtype[Any]) -> None:
    """Draw from one tiny row of a format, which compiles the step or loads it, for good."""
    nothing = assemble([[]])
    batch = Batch(nothing, np.zeros(1, np.uint64), np.ones(1, np.bool_), np.zeros(1, np.int64))
    row, lengths = np.zeros((1, 2), dtype), np.zeros(1, np.int64)
    bitmasks, token_ids = np.zeros((0, 1), np.int32), np.zeros((1, 1), np.int32)
    CompiledKernel(batch).step(row, row, bitmasks, token_ids, lengths, lengths, describe=False)
    step_rows.disable_compile()
