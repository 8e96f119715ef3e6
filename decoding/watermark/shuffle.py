"""The permutation of torch 2's `randperm` on a CPU, for less than 2³² / 20 items, without torch.

    w = the 32-bit words of MT19937, seeded with seed mod 2³²
    for i = 0 .. n − 2:  swap p[i] with p[i + w[i] mod (n − i)]

p starts as 0 .. n − 1. After step i the entries up to i stay, so the first k entries take k steps.
Source: Matsumoto, Nishimura 1998, "Mersenne Twister", doi:10.1145/272991.272995; Fisher, Yates
1938; the behaviour of torch 2, which for 2³² / 20 items and more draws 64-bit words instead.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.cached_jit import cached_jit
from decoding.kernels.program import words_of

LARGEST = (2**32 - 1) // 20 - 1
"""The most items that torch permutes in this way."""


def mt19937_words(seed: int, count: int) -> NDArray[np.uint32]:
    """The first 32-bit words of MT19937; only the low 32 bits of `seed` count."""
    # The legacy class is the one whose streams NumPy promises never to change.
    generator = np.random.RandomState(seed % 2**32)
    return generator.randint(0, 2**32, size=count, dtype=np.uint32)


def shuffled_prefix(seed: int, size: int, count: int) -> NDArray[np.int32]:
    """The first `count` entries of the permutation of `size` items."""
    words = mt19937_words(seed, min(count, size - 1))
    partners = _partners(words, size)
    swap = _compiled()
    if swap is not None:
        order = np.arange(size, dtype=np.int32)
        swap(order, partners)
        first = order[: len(partners)]
    else:
        first = _first_of_list(partners.tolist(), size)
    if count < size:
        return first
    # The last item has nobody left to swap with.
    last = size * (size - 1) // 2 - int(first.sum(dtype=np.int64))
    return np.append(first, np.int32(last))


def packed_prefix(seed: int, size: int, count: int) -> NDArray[np.int32]:
    """The first `count` entries as a packed set: bit i % 32 of word i // 32 is item i."""
    fill = _compiled_fill()
    if fill is None or not 0 < count < size:
        bits = np.zeros(32 * words_of(size), np.bool_)
        bits[shuffled_prefix(seed, size, count)] = True
        return np.packbits(bits, bitorder="little").view("<i4").astype(np.int32, copy=False)
    octets = np.zeros(4 * words_of(size), np.uint8)
    kind = np.uint16 if count < 2**16 else np.uint32
    fill(octets, np.uint32(seed % 2**32), size, count, np.empty(size, kind))
    return octets.view("<i4").astype(np.int32, copy=False)


def in_shuffled_prefix(seed: int, size: int, count: int, item: int) -> bool:
    """Whether an item is among the first `count` entries, by following that item's swaps alone.

    The item waits at a place until a step swaps it to the front, for good, or its place's own step
    sends it further back.
    """
    if not 0 <= item < size:
        return False
    if count == size:
        return True
    partners = _partners(mt19937_words(seed, count), size)
    place, step = item, 0
    while True:
        if (partners[step : place + 1] == place).any():
            return True
        if place >= count:
            return False
        place, step = int(partners[place]), place + 1


def _partners(words: NDArray[np.uint32], size: int) -> NDArray[np.int64]:
    """The index with which each step of the shuffle swaps."""
    steps = np.arange(len(words))
    partners: NDArray[np.int64] = steps + words % (size - steps).astype(np.uint32)
    return partners


def _first_of_list(partners: list[int], size: int) -> NDArray[np.int32]:
    """`_swap` on a Python list, which is faster than an array here."""
    order = list(range(size))
    for place, other in enumerate(partners):
        order[place], order[other] = order[other], order[place]
    return np.array(order[: len(partners)], np.int32)


def _swap(order: NDArray[np.int32], partners: NDArray[np.int64]) -> None:
    """Run the steps of the shuffle in place."""
    for place in range(len(partners)):
        other = partners[place]
        order[place], order[other] = order[other], order[place]


@cache
def _compiled() -> Callable[..., None] | None:
    """`_swap` as machine code; None without Numba."""
    return cached_jit(lambda: _swap)


@cache
def _compiled_fill() -> Callable[..., None] | None:
    """The packed set by machine code; None without Numba."""

    def load() -> Callable[..., None]:
        from decoding.kernels.compiled.shuffles import fill

        return fill

    return cached_jit(load)
