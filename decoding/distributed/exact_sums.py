"""Sums numbers in [0, 1] so that the sum does not depend on their spread over processes.

Each number in [0, 1] is rounded once to a multiple of 2⁻⁷²; the multiples are integers, whose sum
is exact in any order.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]

_HIGH_BITS, _LOW_BITS = 40, 32
SCALE = 2 ** (_HIGH_BITS + _LOW_BITS)
"""What a sum is divided by to be a number again."""

MOST_NUMBERS = 2**22
"""So many numbers have a sum that 64 bits hold."""

SUM_FORMAT = "qI"
"""How `struct` packs a sum."""


@dataclass(frozen=True, slots=True, eq=False)
class Exact:
    """Numbers in [0, 1] as integers: `high` · 2³² + `low`, in units of 2⁻⁷²."""

    high: NDArray[np.int64]
    low: NDArray[np.int64]

    @classmethod
    def of(cls, numbers: Row) -> Exact:
        """Round each number to an integer number of units."""
        scaled = np.ldexp(numbers, _HIGH_BITS)
        whole = np.floor(scaled)
        low = np.rint(np.ldexp(scaled - whole, _LOW_BITS))
        return cls(whole.astype(np.int64), low.astype(np.int64))

    def sum(self) -> int:
        """The sum, in units."""
        return (int(self.high.sum()) << _LOW_BITS) + int(self.low.sum())

    def only(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Exact:
        """Keep only some of the numbers."""
        return Exact(self.high[chosen], self.low[chosen])

    def units(self) -> list[int]:
        """Each number, in units."""
        pairs = zip(self.high.tolist(), self.low.tolist(), strict=True)
        return [(high << _LOW_BITS) + low for high, low in pairs]


def exact_sum(numbers: Row) -> int:
    """The sum of numbers in [0, 1], in units.

    >>> exact_sum(np.array([0.5, 0.25])) / SCALE
    0.75
    """
    return Exact.of(numbers).sum()


def packed(total: int) -> tuple[int, int]:
    """A sum as the two numbers of `SUM_FORMAT`."""
    return total >> _LOW_BITS, total & (2**_LOW_BITS - 1)


def unpacked(high: int, low: int) -> int:
    """The sum of the two numbers that `packed` returned."""
    return (high << _LOW_BITS) + low


def pack_sums(*totals: int) -> bytes:
    """Pack sums as bytes, to send them to other processes."""
    return b"".join(struct.pack("<" + SUM_FORMAT, *packed(total)) for total in totals)


def add_sums(replies: list[bytes], start: int, count: int) -> list[int]:
    """`count` sums over all processes, of which each reply holds its own from `start` on."""
    totals = [0] * count
    for reply in replies:
        numbers = struct.unpack_from("<" + SUM_FORMAT * count, reply, start)
        for index in range(count):
            totals[index] += unpacked(numbers[2 * index], numbers[2 * index + 1])
    return totals
