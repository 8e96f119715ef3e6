"""The compiled kernels behind the protocol of every backend."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.compiled.memory import allocate
from decoding.kernels.compiled.records import PLAN, flatten
from decoding.kernels.compiled.step import LEFT_TO_NUMPY, step_rows
from decoding.kernels.program import Batch
from decoding.kernels.result import ROW, TOP, StepResult, top_capacity
from decoding.kernels.vector.step import VectorKernel

COMPACT_LIMIT = 16_384
"""The most candidates that are listed; above, a row stays whole."""

_memory = threading.local()


class CompiledKernel:
    """`decoding.kernels.backends.Kernel` in Numba.

    threads: over how many the rows are spread. compact_limit: the most candidates that are listed.
    """

    def __init__(
        self, batch: Batch, threads: int = 1, compact_limit: int = COMPACT_LIMIT
    ) -> None:
        self._batch = batch
        self._limit = compact_limit
        size = len(batch.seeds)
        self._instructions, self._sparse = flatten(batch.program)
        self._plans = np.zeros(size, PLAN)
        self._plans["first"] = batch.program.row_starts[:-1]
        self._plans["last"] = batch.program.row_starts[1:]
        self._plans["seed"], self._plans["greedy"] = batch.seeds, batch.greedy
        self._plans["top_n"] = batch.top_n
        self._outcomes = np.zeros(size, ROW)
        ends = np.cumsum([top_capacity(int(n)) for n in batch.top_n], dtype=np.int64)
        self._outcomes["top_start"] = ends - [top_capacity(int(n)) for n in batch.top_n]
        self._top = np.zeros(max(int(ends[-1]) if size else 0, 1), TOP)
        self._call = np.array(
            [
                0, 0, 0, 0, compact_limit,
                _address(self._instructions), len(self._instructions),
                _address(self._sparse), len(self._sparse),
                _address(self._plans), size, _address(self._outcomes),
                _address(self._top), len(self._top),
            ],
            np.int64,
        )  # fmt: skip
        self._shares = _shares(size, threads)
        self._pool = ThreadPoolExecutor(len(self._shares) - 1) if len(self._shares) > 1 else None
        self._by_numpy = VectorKernel(batch)

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
        edited = logits is not raw_logits
        rows, stride = _flat(logits)
        raw_rows = rows
        if edited:
            raw_rows, raw_stride = _flat(raw_logits)
            if raw_stride != stride:
                return self.step(
                    np.ascontiguousarray(logits), np.ascontiguousarray(raw_logits), bitmasks,
                    token_ids, lengths, prompt_lengths, describe=describe,
                )  # fmt: skip
        width = logits.shape[1]
        self._call[:4] = stride, width, edited, describe
        arguments = (rows, raw_rows, bitmasks, token_ids, lengths, prompt_lengths, self._call)
        if self._pool is None:
            _run_share(arguments, width, *self._shares[0])
        else:
            waiting = [
                self._pool.submit(_run_share, arguments, width, *share) for share in self._shares[1:]
            ]
            _run_share(arguments, width, *self._shares[0])
            for item in waiting:
                item.result()
        if (self._outcomes["status"] == LEFT_TO_NUMPY).any():
            result = self._by_numpy.step(
                logits, raw_logits, bitmasks, token_ids, lengths, prompt_lengths, describe=describe
            )
            return self._with_rows_of(result)
        return StepResult(self._outcomes, self._top)

    def _with_rows_of(self, result: StepResult) -> StepResult:
        """The outcomes, with the rows that were left to NumPy taken from its result."""
        for row in np.flatnonzero(self._outcomes["status"] == LEFT_TO_NUMPY):
            start = int(self._outcomes[row]["top_start"])
            other = result.rows[row]
            count, place = int(other["top_count"]), int(other["top_start"])
            self._top[start : start + count] = result.top[place : place + count]
            self._outcomes[row] = other
            self._outcomes[row]["top_start"] = start
        return StepResult(self._outcomes, self._top)


def _run_share(arguments: tuple[Any, ...], width: int, first: int, last: int) -> None:
    """Some rows, with the memory of the thread that runs them."""
    step_rows(*arguments, *_memory_for(width, arguments[0].dtype), first, last)


def _memory_for(width: int, dtype: np.dtype[Any]) -> tuple[Any, ...]:
    kept: dict[tuple[int, bool], tuple[Any, ...]] = _memory.__dict__
    key = (width, dtype == np.float64)
    if key not in kept:
        kept.clear()
        kept[key] = allocate(width, dtype)
    return kept[key]


def _shares(size: int, threads: int) -> list[tuple[int, int]]:
    """The rows, cut into at most `threads` runs of about the same length."""
    count = max(1, min(size, threads))
    return [(size * share // count, size * (share + 1) // count) for share in range(count)]


def _flat(logits: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """The memory of a batch as one array, and the distance between its rows; never a copy of rows.

    Only logits that are not side by side are copied.
    """
    batch, width = logits.shape
    if not logits.flags.writeable:
        logits = _as_writeable(logits)
    if logits.flags.c_contiguous:
        return logits.reshape(-1), width
    item = logits.itemsize
    stride, rest = divmod(logits.strides[0], item)
    if logits.strides[1] != item or rest or stride < width:
        return np.ascontiguousarray(logits).reshape(-1), width
    length = (batch - 1) * stride + width
    return np.lib.stride_tricks.as_strided(logits, (length,), (item,)), stride


def _address(array: NDArray[Any]) -> int:
    """Where the array's memory begins; the array must be kept."""
    return int(array.__array_interface__["data"][0])


class _Address:
    """An array's memory without its read-only flag, which the compiled signatures do not have."""

    def __init__(self, array: NDArray[Any]) -> None:
        described = array.__array_interface__
        self.__array_interface__ = {**described, "data": (described["data"][0], False)}
        self.array = array


def _as_writeable(logits: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(_Address(logits))
