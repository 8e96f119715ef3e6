"""`MaskCache`: keeps token masks by number within a memory bound; drops the older half."""

from __future__ import annotations

import threading
from itertools import count

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.forks import free_after_fork

_NUMBERS_EACH = 1 << 40


class MaskCache:
    """Masks by number, of at most `memory` bytes together.

    The cache has two halves. A mask that is asked for is in the young half, or moves there. When
    the young half is full, the old half is dropped and the young one becomes the old one. So a mask
    that is dropped was not asked for while half of the memory was filled with other masks.
    """

    __slots__ = ("_firsts", "_half", "_held", "_lock", "_old", "_young", "memory")

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self._half = memory // 2
        self._young: dict[int, NDArray[np.uint32]] = {}
        self._old: dict[int, NDArray[np.uint32]] = {}
        self._held = 0
        self._lock = free_after_fork(threading.Lock())
        self._firsts = count(0, _NUMBERS_EACH)

    @property
    def size(self) -> int:
        """An upper bound on the bytes of the masks in the cache."""
        return self._held + sum(mask.nbytes for mask in self._old.values())

    def numbers(self) -> int:
        """Reserve 2^40 numbers; returns the first."""
        return next(self._firsts)

    def get(self, number: int) -> NDArray[np.uint32] | None:
        """The mask of a number, or `None` if it is not in the cache."""
        known = self._young.get(number)
        if known is None:
            known = self._old.get(number)
            if known is not None:
                self.put(number, known)
        return known

    def put(self, number: int, mask: NDArray[np.uint32]) -> None:
        """Put a mask into the cache, unless it is larger than half of the memory."""
        if mask.nbytes > self._half:
            return
        with self._lock:
            if self._held + mask.nbytes > self._half:
                self._old, self._young, self._held = self._young, {}, 0
            self._young[number] = mask
            self._held += mask.nbytes
