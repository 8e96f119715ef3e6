"""Generators by which processes with a part of a row each find a truncation's threshold.

Every element has a key and a weight. The threshold is

    the largest key for which the weight of all elements with this key or a larger one is >= target

A process tells the others the weight of its elements from a few pivots on, everybody knows between
which of the pivots the threshold is, and the next pivots lie there. Where few elements are left
between two pivots, these are told themselves. All decisions are made from exchanged integers and
float64 numbers by sums, products and quotients, so that every process makes the same ones.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from decoding.distributed.exact_sums import SUM_FORMAT, Exact, packed, unpacked

Row = NDArray[np.float64]

Rounds: TypeAlias = Generator[bytes, list[bytes], "Threshold"]
"""Yields what the process tells the others, receives what every process told, in their order."""

_FEW_BYTES = 160
"""Elements are told themselves where they are no more bytes than that on any process."""

_SHARES = (0.5, 0.8, 1.0, 1.25, 2.0)
"""Which order statistics a process proposes as pivots of a count: these times its fair share."""

NATS_BELOW = (0.0, 1.0, 2.0, 3.5, 5.0, 7.0, 10.0, 14.0)
"""The first pivots for weights exp(key − largest key), as distances below the largest key."""


class Threshold(NamedTuple):
    """The threshold of a truncation: the key of the last element that it keeps.

    key: of the last element that is within. above: the weight of all elements with a larger key.
    weight: of one element with this key. ties: how many of them each process has.
    """

    key: float
    above: int
    weight: int
    ties: tuple[int, ...]

    def kept_ties(self, count: int, rank: int) -> int:
        """How many of a process's own ties are among the first `count`, in order of processes."""
        return min(max(count - sum(self.ties[:rank]), 0), self.ties[rank])


@dataclass(slots=True)
class _Elements:
    """The elements of this process between the bounds, in no order."""

    keys: Row
    weights: Exact | None

    def only(self, chosen: NDArray[np.bool_]) -> _Elements:
        weights = None if self.weights is None else self.weights.only(chosen)
        return _Elements(self.keys[chosen], weights)

    def total(self) -> int:
        return len(self.keys) if self.weights is None else self.weights.sum()


@dataclass(slots=True)
class _Bounds:
    """low <= threshold < high; what is known of the elements from either bound on.

    counts: by process. smallest: the smallest key that is not below `low`, where that is known.
    """

    low: float
    low_total: int
    low_counts: tuple[int, ...]
    high: float = math.inf
    high_total: int = 0
    high_counts: tuple[int, ...] = field(default=())
    smallest: float | None = None

    def inside(self) -> list[int]:
        return [low - high for low, high in zip(self.low_counts, self.high_counts, strict=True)]

    def only_key(self) -> float | None:
        """The one key that elements between the bounds can have; None where there are several."""
        if self.smallest is not None and self.high <= math.nextafter(self.smallest, math.inf):
            return self.smallest
        return self.low if math.nextafter(self.low, math.inf) >= self.high else None


def threshold_by_count(keys: Row, count: int, counts: Sequence[int]) -> Rounds:
    """The `count`-th largest key; every element weighs 1.

    keys: those of this process, finite. counts: how many each process has, `count` or more in all.
    Ties with the threshold are counted among the `count` largest of each process.
    """
    # No process has more than `count` of the largest.
    own = keys
    if count < len(keys):
        own = keys[np.argpartition(keys, len(keys) - count)[len(keys) - count :]]
    counts = tuple(min(number, count) for number in counts)
    bounds = _Bounds(-math.inf, sum(counts), counts, high_counts=(0,) * len(counts))
    elements = _Elements(own + 0.0, None)
    if max(counts) * struct.calcsize("<d") <= _FEW_BYTES:
        return (yield from _told(elements, bounds, count))
    pivots = yield from _proposed(elements.keys, count / len(counts))
    return (yield from _search(elements, bounds, count, pivots))


def threshold_by_weight(
    keys: Row,
    weights: Exact,
    target: int,
    total: int,
    *,
    counts: Sequence[int],
    pivots: Sequence[float],
) -> Rounds:
    """The key at which the weight of the largest keys reaches `target`, at least 1 and at most all.

    keys: those of this process, finite. total: the weight of all processes. counts: the number of
    elements of each. pivots: the first ones.
    """
    bounds = _Bounds(-math.inf, total, tuple(counts), high_counts=(0,) * len(counts))
    elements = _Elements(keys + 0.0, weights)
    return (yield from _search(elements, bounds, target, sorted(set(pivots))))


def _search(elements: _Elements, bounds: _Bounds, target: int, pivots: Sequence[float]) -> Rounds:
    """Move the bounds together until the threshold is the only key between them."""
    size = struct.calcsize("<" + _entry(elements))
    above = 0  # of this process's elements, those that are not below `bounds.high`
    above_count = 0
    while True:
        if bounds.only_key() is not None:
            return _settled(bounds)
        if max(bounds.inside()) * size <= _FEW_BYTES:
            return (yield from _told(elements, bounds, target))
        tables = []
        for pivot in pivots:
            from_here = elements.only(elements.keys >= pivot)
            tables.append((above_count + len(from_here.keys), above + from_here.total()))
        smallest = float(elements.keys.min()) if len(elements.keys) else math.inf
        replies = yield struct.pack("<d", smallest) + _packed_tables(tables, elements)
        known = min(struct.unpack_from("<d", reply)[0] for reply in replies)
        columns = [_unpacked_tables(reply, len(pivots), elements) for reply in replies]
        for index, pivot in enumerate(pivots):
            counts = tuple(column[index][0] for column in columns)
            total = sum(column[index][1] for column in columns)
            if total >= target:
                if pivot > bounds.low:
                    bounds.low, bounds.low_total, bounds.low_counts = pivot, total, counts
            elif pivot < bounds.high:
                bounds.high, bounds.high_total, bounds.high_counts = pivot, total, counts
                above_count, above = tables[index]
        bounds.smallest = known if known >= bounds.low else None
        elements = elements.only((elements.keys >= bounds.low) & (elements.keys < bounds.high))
        pivots = _next_pivots(bounds, target)


def _next_pivots(bounds: _Bounds, target: int) -> list[float]:
    """A few numbers between the bounds: where the threshold seems to be, and the middle."""
    low = bounds.low if bounds.smallest is None else max(bounds.low, bounds.smallest)
    high = bounds.high
    middle = _from_order((_order(low) + _order(high)) // 2)
    found = {middle}
    if math.isfinite(low) and math.isfinite(high):
        share = (bounds.low_total - target) / (bounds.low_total - bounds.high_total)
        width = high - low
        guess = low + width * share
        found |= {guess, guess - width / 16.0, guess + width / 16.0}
    if bounds.smallest is not None:
        found.add(math.nextafter(bounds.smallest, math.inf))
    return sorted(pivot + 0.0 for pivot in found if bounds.low < pivot < high)


def _proposed(keys: Row, share: float) -> Generator[bytes, list[bytes], list[float]]:
    """Pivots near the order statistics of all processes, made of those of each."""
    ordered = np.sort(keys)[::-1]
    places = [max(math.ceil(share * part), 1) for part in _SHARES]
    own = [float(ordered[min(place, len(ordered)) - 1]) if len(ordered) else -math.inf
           for place in places]  # fmt: skip
    replies = yield struct.pack(f"<{len(own)}d", *own)
    columns = zip(*(struct.unpack(f"<{len(own)}d", reply) for reply in replies), strict=True)
    middles = {sorted(column)[len(column) // 2] for column in columns}
    return sorted(pivot for pivot in middles if pivot > -math.inf)


def _settled(bounds: _Bounds) -> Threshold:
    key = bounds.only_key()
    assert key is not None  # ours
    ties = tuple(bounds.inside())
    weight = (bounds.low_total - bounds.high_total) // sum(ties)
    return Threshold(key, bounds.high_total, weight, ties)


def _told(elements: _Elements, bounds: _Bounds, target: int) -> Rounds:
    """The threshold, where every process tells its elements between the bounds."""
    counts = bounds.inside()
    entry = _entry(elements)
    own: list[tuple[Any, ...]] = [(key,) for key in elements.keys.tolist()]
    if elements.weights is not None:
        units = elements.weights.units()
        own = [(*key, *packed(unit)) for key, unit in zip(own, units, strict=True)]
    size = struct.calcsize("<" + entry)
    message = b"".join(struct.pack("<" + entry, *item) for item in own)
    replies = yield message.ljust(max(counts) * size, b"\0")
    told = [
        (key, unpacked(*weight) if weight else 1, rank)
        for rank, reply in enumerate(replies)
        for key, *weight in struct.iter_unpack("<" + entry, reply[: counts[rank] * size])
    ]
    above = bounds.high_total
    for key in sorted({key for key, _, _ in told}, reverse=True):
        here = [(weight, rank) for other, weight, rank in told if other == key]
        total = sum(weight for weight, _ in here)
        if above + total >= target:
            ties = tuple(sum(rank == one for _, rank in here) for one in range(len(replies)))
            return Threshold(key, above, here[0][0], ties)
        above += total
    raise AssertionError("the target is more than the weight of all elements")


def _entry(elements: _Elements) -> str:
    return "d" if elements.weights is None else "d" + SUM_FORMAT


def _packed_tables(tables: list[tuple[int, int]], elements: _Elements) -> bytes:
    if elements.weights is None:
        return struct.pack(f"<{len(tables)}I", *(count for count, _ in tables))
    return b"".join(
        struct.pack("<I" + SUM_FORMAT, count, *packed(total)) for count, total in tables
    )


def _unpacked_tables(reply: bytes, count: int, elements: _Elements) -> list[tuple[int, int]]:
    body = reply[struct.calcsize("<d") :]
    if elements.weights is None:
        return [(number, number) for number in struct.unpack(f"<{count}I", body)]
    return [
        (number, unpacked(*total)) for number, *total in struct.iter_unpack("<I" + SUM_FORMAT, body)
    ]


_SIGN = 2**63


def _order(number: float) -> int:
    """The rank of a float64 among all float64 numbers, as an integer."""
    bits: int = struct.unpack("<q", struct.pack("<d", number))[0]
    return bits if bits >= 0 else -(bits + _SIGN)


def _from_order(place: int) -> float:
    bits = place if place >= 0 else -place - _SIGN
    number: float = struct.unpack("<d", struct.pack("<q", bits))[0]
    return number
