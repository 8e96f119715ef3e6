"""Green lists by Philox, in Numba or NumPy: tokens whose word is below a bound, packed as bits."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.cached_jit import cached_jit
from decoding.kernels.program import words_of
from decoding.kernels.vector.noise import philox4x32

_WORD = 0xFFFFFFFF


def tokens_below(seed: int, vocab_size: int, domain: int, bound: int) -> NDArray[np.int32]:
    """The tokens whose 32-bit Philox word is below a bound in (0, 2³²].

    The words are those of `decoding.kernels.randomness` at position 0, draw 0. With Numba it takes
    about what the noise of a row takes.
    """
    fill = _compiled()
    if fill is None:
        drawn = philox4x32(np.arange((vocab_size + 3) // 4, dtype=np.uint64), 0, 0, domain, seed)
        bits = np.zeros(32 * words_of(vocab_size), np.bool_)
        bits[:vocab_size] = drawn.reshape(-1)[:vocab_size] < np.uint64(bound)
        return np.packbits(bits, bitorder="little").view("<i4").astype(np.int32, copy=False)
    words = np.full(words_of(vocab_size), -1, np.int32)
    if bound <= _WORD:
        fill(words, *(np.uint64(item) for item in (domain, seed, bound)))
    if vocab_size % 32:
        words[-1:] &= np.array([(1 << vocab_size % 32) - 1], np.uint32).view(np.int32)
    return words


@cache
def _compiled() -> Callable[..., None] | None:
    """The words of all tokens as machine code; None without Numba."""

    def load() -> Callable[..., None]:
        from decoding.kernels.compiled.colours import fill

        return fill

    return cached_jit(load)
