"""Locks that a fork waits for, two seconds at most, and that are free in the child process.

A fork copies a lock as it is, and of all threads only the one that forked: a lock that another
thread held would stay locked in the child for ever.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any, TypeVar
from weakref import WeakValueDictionary

_Lock = TypeVar("_Lock")

_PATIENCE_SECONDS = 2.0
"""How long a fork waits for the locks of all other threads together."""


class _Forks:
    """The locks that a fork of this process waits for."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self._count = 0
        self._held: list[Any] = []
        self._guard = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before,
                after_in_parent=self._after_in_parent,
                after_in_child=self._after_in_child,
            )

    def add(self, lock: Any) -> None:  # `threading.Lock` is no type
        with self._guard:
            self._locks[self._count] = lock
            self._count += 1

    def _newest_first(self) -> list[Any]:
        """The locks in the order in which most threads take them: what uses others is made last."""
        return [lock for _, lock in sorted(self._locks.items(), reverse=True)]

    def _before(self) -> None:
        self._guard.acquire()
        end = time.monotonic() + _PATIENCE_SECONDS
        self._held = [
            lock
            for lock in self._newest_first()
            if lock.acquire(timeout=max(0.0, end - time.monotonic()))
        ]

    def _after_in_parent(self) -> None:
        while self._held:
            self._held.pop().release()
        self._guard.release()

    def _after_in_child(self) -> None:
        for lock in self._newest_first():
            if lock not in self._held:
                lock._at_fork_reinit()  # as the standard library does with its own
        self._after_in_parent()


_FORKS = _Forks()


def free_after_fork(lock: _Lock) -> _Lock:
    """Register a `threading.Lock` or `RLock` to be free in every forked child; return it.

    A fork waits until nobody else holds it, so that what it guards is whole in the child, but for
    two seconds at most: a child then finds it free all the same.
    """
    _FORKS.add(lock)
    return lock
