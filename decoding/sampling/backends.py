"""Chooses the backend of a batch, opens its kernels, and waits for Numba's compilation."""

from __future__ import annotations

import importlib.util
import os
import time
from typing import Any, NamedTuple

import numpy as np

from decoding import compilation
from decoding.errors import MissingDependencyError, require
from decoding.kernels.backends import Backend, Kernel, open_kernel
from decoding.kernels.compiled.loading import GROUPS
from decoding.kernels.program import Batch
from decoding.kernels.rows import BFLOAT16_BITS, FLOAT16_BITS
from decoding.logits import is_tensor
from decoding.typing import Anything, Rows

_STORED: dict[str, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    "float16": FLOAT16_BITS,
    "bfloat16": BFLOAT16_BITS,
}
_ROWS_A_THREAD = 16
_DRAWS = 8
"""At so many-th draw of a process its kernels are loaded: before, that costs more than it saves."""
_GROUPS = {np.dtype(name).char: group for name, group in GROUPS.items()}
_PACKAGES = {Backend.NUMBA: "numba", Backend.TORCH: "torch", Backend.TRITON: "triton"}


def warmup(dtype: str = "float32") -> float:
    """Wait until the compiled kernels for logits of a dtype are ready; returns the seconds it took.

    Nobody has to call this: until they are ready the NumPy kernels draw the same tokens, slower.
    The first time on a machine takes as long as compiling, later ones about a second.

    dtype: float32, float64, float16 or bfloat16.

    Raises:
        ParameterError: another dtype.
        MissingDependencyError: Numba is not installed.
    """
    start = time.perf_counter()
    _await_compiled(np.dtype(stored_format(dtype)))
    return time.perf_counter() - start


def stored_format(dtype: str) -> str:
    """The format in which `decoding.kernels.rows` keeps logits of a dtype.

    Raises:
        ParameterError: another dtype than float32, float64, float16 and bfloat16.
    """
    require(
        "dtype", dtype, isinstance(dtype, str) and dtype in _STORED, f"one of {', '.join(_STORED)}"
    )
    return _STORED[dtype].name


def named(backend: Anything) -> Backend | None:
    """Convert a backend or its name to `Backend`; None stays None.

    Raises:
        ParameterError: there is no such backend.
    """
    if backend is None:
        return None
    legal = isinstance(backend, str) and backend in list(Backend)
    require("backend", backend, legal, f"None or one of {', '.join(Backend)}")
    return Backend(backend)


def on_host(backend: Backend | None) -> Backend | None:
    """Return a backend that runs on the host as it is; None for any other one."""
    return backend if backend in (Backend.NUMPY, Backend.NUMBA) else None


def fastest(rows: Rows) -> Backend:
    """Choose the fastest backend that can run these rows now, without waiting."""
    if not is_tensor(rows):
        is_ready = compilation.is_ready(_GROUPS[rows.dtype.char], uses=_DRAWS)
        return Backend.NUMBA if is_ready else Backend.NUMPY
    if rows.device.type == "cuda" and importlib.util.find_spec("triton") is not None:
        return Backend.TRITON
    return Backend.TORCH


def open_backend(batch: Batch, backend: Backend, rows: Rows, threads: int) -> Kernel:
    """Open a batch on a backend; wait if the backend must be compiled first.

    Raises:
        MissingDependencyError: the backend's package is not installed.
    """
    try:
        if backend is Backend.NUMBA:
            _await_compiled(rows.dtype)
        return open_kernel(batch, backend, threads)
    except ImportError as error:
        raise MissingDependencyError(_PACKAGES.get(backend, backend), backend) from error


class Execution(NamedTuple):
    """How a step ran: on which backend, over how many threads of the host (1 off the host)."""

    backend: Backend
    threads: int


class OpenKernels:
    """The kernels of a batch by backend, opened on demand.

    threads: for each; `None` chooses by the number of rows, up to as many as there are cores.
    """

    __slots__ = ("_executions", "_opened", "_threads")

    def __init__(self, threads: int | None) -> None:
        self._threads = threads
        self._opened: dict[Backend, tuple[Batch, Kernel]] = {}
        self._executions: dict[Backend, Execution] = {}

    def execution(self, backend: Backend) -> Execution:
        """How the kernel runs that `at` returned last for a backend."""
        return self._executions[backend]

    def at(self, backend: Backend, rows: Rows, batch: Batch) -> Kernel:
        """The kernel of a backend with a batch; opened as by `open_backend`.

        A batch that is the same object as the last one costs nothing.
        """
        opened = self._opened.get(backend)
        if opened is not None and opened[0] is batch:
            return opened[1]
        threads = self._threads_for(backend, batch, opened)
        if opened is None:
            kernel = open_backend(batch, backend, rows, threads)
        else:
            # Where this is interrupted nobody knows what the kernel holds: it is not used again.
            del self._opened[backend]
            kernel = opened[1].regrouped(batch, threads)
        self._opened[backend] = batch, kernel
        return kernel

    def _threads_for(
        self, backend: Backend, batch: Batch, opened: tuple[Batch, Kernel] | None
    ) -> int:
        """Over how many threads a batch is spread; noted for `execution`."""
        if opened is not None and opened[0].seeds is batch.seeds:  # the rows are the same
            return self._executions[backend].threads
        size = len(batch.seeds)
        threads = self._threads or _threads_for(size, usable_cores())
        used = min(threads, max(size, 1)) if backend is Backend.NUMBA else 1
        self._executions[backend] = Execution(backend, used)
        return threads


def _await_compiled(dtype: np.dtype[Any]) -> None:
    try:
        compilation.loader().wait(_GROUPS[dtype.char])
    except ImportError as error:
        raise MissingDependencyError("numba", "numba") from error


def usable_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _threads_for(rows: int, most: int) -> int:
    """The number of threads for a batch: limited, also by rows per thread."""
    return max(1, min(most, rows // _ROWS_A_THREAD))
