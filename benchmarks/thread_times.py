"""Where the time of a thread goes: the processor, waiting for a core, waiting for a lock.

Linux counts for each thread the time on a core and the time for which it could have run but had no
core. What is left of the time that passed is waiting for something else: in a thread that neither
sleeps nor reads, for Python's lock.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

PERCENTILES = (50, 95, 99)

PARTS = ("wall", "cpu", "core", "lock")
"""The time that passed and its parts: on a core, without a core, without the lock."""

_SCHEDSTAT = "/proc/self/task/{}/schedstat"

_libc = ctypes.PyDLL(None)
"""Keeps Python's lock during a call. `os.pread` gives it up, and whoever gives it up during a step
may wait for it: the measurement would make what it measures."""

_thread = threading.local()


class Times(NamedTuple):
    """Seconds of the calling thread, of which only differences mean anything.

    wall: that have passed. cpu: on a core. core: ready to run, but without a core; 0 where the
    system does not count it.
    """

    wall: float
    cpu: float
    core: float

    def minus(self, other: Times) -> Times:
        """The difference of two times."""
        return Times(*(one - two for one, two in zip(self, other, strict=True)))

    def plus(self, other: Times) -> Times:
        """The sum of two times."""
        return Times(*(one + two for one, two in zip(self, other, strict=True)))

    @property
    def lock(self) -> float:
        """Neither on a core nor ready to run. A little below 0 where the clocks disagree."""
        return self.wall - self.cpu - self.core


def times() -> Times:
    """The times of the calling thread; the clocks are read first.

    To read what has no core takes some microseconds, which belong to what is timed where this
    begins it, and to what is around it where this ends it.
    """
    return Times(time.perf_counter(), time.thread_time(), _without_core())


def times_clocks_last() -> Times:
    """The times of the calling thread; the clocks are read last. See `times`."""
    core = _without_core()
    return Times(time.perf_counter(), time.thread_time(), core)


def percentiles(steps: Sequence[Times]) -> dict[str, float]:
    """Milliseconds of each part, by part and percentile; and the means over the slowest steps.

    The percentiles of parts do not add up to that of the whole. The means over the slowest
    hundredth of steps, `slowest_`, do: they say what a slow step consists of.
    """
    if not steps:
        return {}
    table = 1000.0 * np.array([[getattr(step, part) for part in PARTS] for step in steps])
    count = max(1, len(steps) // 100)
    slowest = table[np.argsort(table[:, 0])[-count:]].mean(0)
    found = {
        f"{part}_p{percent}": float(value)
        for percent in PERCENTILES
        for part, value in zip(PARTS, np.percentile(table, percent, axis=0), strict=True)
    }
    return found | {f"{part}_slowest": float(v) for part, v in zip(PARTS, slowest, strict=True)}


def _without_core() -> float:
    """Seconds for which the calling thread could have run, but had no core."""
    file = getattr(_thread, "file", None)
    if file is None:
        path = Path(_SCHEDSTAT.format(threading.get_native_id()))
        file = _thread.file = os.open(path, os.O_RDONLY) if path.exists() else -1
        _thread.text = ctypes.create_string_buffer(100)
    if file < 0:
        return 0.0
    length = _libc.pread(file, _thread.text, 100, 0)
    return int(_thread.text.raw[:length].split()[1]) / 1e9
