"""Philox4x32-10 on Python integers, from the paper."""

from __future__ import annotations

import math

from decoding.kernels.randomness import (
    DISCARDED_BITS,
    MULTIPLIERS,
    ROUNDS,
    TOKEN_HIGH,
    TOKEN_LOW,
    UNIFORM_SCALE,
    WEYL_KEYS,
)

_WORD = 0xFFFFFFFF


def philox4x32(
    counter: tuple[int, int, int, int], key: tuple[int, int]
) -> tuple[int, int, int, int]:
    """The four 32-bit words of one block."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        product0, product1 = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (product1 >> 32) ^ c1 ^ k0,
            product1 & _WORD,
            (product0 >> 32) ^ c3 ^ k1,
            product0 & _WORD,
        )
        k0, k1 = (k0 + WEYL_KEYS[0]) & _WORD, (k1 + WEYL_KEYS[1]) & _WORD
    return c0, c1, c2, c3


def token_word(seed: int, position: int, token_id: int, draw: int = 0) -> int:
    """The 64 random bits of one token at one place of one request."""
    key = (seed & _WORD, seed >> 32)
    block, lane = divmod(token_id, 4)
    high = philox4x32((block, position, draw, TOKEN_HIGH), key)[lane]
    low = philox4x32((block, position, draw, TOKEN_LOW), key)[lane]
    return high << 32 | low


def gumbel(word: int) -> float:
    """Standard Gumbel noise of 64 random bits; finite at every word."""
    return -math.log(-math.log(((word >> DISCARDED_BITS) + 0.5) * UNIFORM_SCALE))
