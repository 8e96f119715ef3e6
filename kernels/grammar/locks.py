"""Locks that a process may hold in one thread while another thread forks it."""

from __future__ import annotations

import os
import threading
from types import TracebackType
from weakref import WeakSet


class ForkSafeLock:
    """A lock that its thread may take again, and that no fork leaves taken.

    `os.fork` copies one thread only. A lock that another thread holds would stay taken in the child
    for ever, and what it guards would be half written. So the thread that forks first waits for
    every such lock, and gives all of them back afterwards, in the parent and in the child.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _LOCKS.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()

    def acquire(self) -> None:
        """Wait for the lock and take it."""
        self._lock.acquire()

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()


_LOCKS: WeakSet[ForkSafeLock] = WeakSet()
_held: list[ForkSafeLock] = []
"""The locks that the thread that forks holds during the fork."""


def _before() -> None:
    for lock in list(_LOCKS):
        lock.acquire()
        _held.append(lock)


def _after() -> None:
    while _held:
        _held.pop().release()


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
