"""Philox4x32-10 on Python integers, from the paper."""

from __future__ import annotations

from decoding.kernels.randomness import MULTIPLIERS, ROUNDS, WEYL_KEYS

_WORD = 0xFFFFFFFF


def philox4x32(
    counter: tuple[int, int, int, int], key: tuple[int, int]
) -> tuple[int, int, int, int]:
    """The four 32-bit words of one counter."""
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


def words_at(
    index: int, position: int, domain: int, seed: int, draw: int = 0
) -> tuple[int, int, int, int]:
    """The four words at an index of a domain (a purpose), by seed, position and draw."""
    return philox4x32((index, position, draw, domain), (seed & _WORD, seed >> 32))
