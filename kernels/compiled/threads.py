"""`Workers`: the threads over which a compiled step is spread, kept off the calling thread's core.

A thread that is woken may be put on the core of the one that wakes it, and then waits until that
one is done, though other cores have nothing to do. (Linux does so where it expects that the caller
is about to wait.) A step is over in less time than it takes the system to move the thread.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

_Value = TypeVar("_Value")


class Workers:
    """Threads that run work beside the calling thread, on other cores where the system lets them.

    They belong to the process that made them: after a fork they are not there.
    """

    def __init__(self, count: int) -> None:
        self.count, self.process = count, os.getpid()
        self._ids: list[int] = []
        # On which core the calling thread was last, and where it may run beside that.
        self._core, self._others = -1, set[int]()
        self._threads = ThreadPoolExecutor(count, initializer=self._begin)

    def submit(self, work: Callable[[], _Value]) -> Future[_Value]:
        """Run a function in one of the threads, which is kept off the caller's core."""
        core = _core_of_caller()
        if core != self._core:
            self._core = core
            self._others = os.sched_getaffinity(0) - {core}
            for thread in self._ids:
                self._keep_off(thread)
        return self._threads.submit(work)

    def _begin(self) -> None:
        """Register a new thread, in that thread, and keep it off the caller's core."""
        thread = threading.get_native_id()
        self._ids.append(thread)
        self._keep_off(thread)

    def _keep_off(self, thread: int) -> None:
        """Keep a thread off the caller's core, if the caller may run on others too."""
        if self._others:
            try:
                os.sched_setaffinity(thread, self._others)
            except OSError:  # not allowed here: it runs where the system puts it
                self._others = set()


def _system_call() -> Any:
    """The C library's `sched_getcpu`; None where it has none."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    return getattr(ctypes.CDLL(None), "sched_getcpu", None)


_get_core = _system_call()


def _core_of_caller() -> int:
    """The core on which this thread runs; −1 where that cannot be known, or not be chosen."""
    return -1 if _get_core is None else int(_get_core())
