"""Philox4x32-10 words and Gumbel noise for many tokens; see `decoding.kernels.randomness`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.randomness import (
    DISCARDED_BITS,
    MULTIPLIERS,
    ROUNDS,
    TOKEN_HIGH,
    TOKEN_LOW,
    UNIFORM_SCALE,
    WEYL_KEYS,
)

_WORD = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox4x32(
    blocks: NDArray[np.uint64], position: int, draw: int, domain: int, seed: int
) -> NDArray[np.uint64]:
    """Words `(len(blocks), 4)` of the counters (block, position, draw, domain)."""
    c0 = blocks
    c1, c2, c3 = (np.full(len(blocks), word, np.uint64) for word in (position, draw, domain))
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    m0, m1 = (np.uint64(multiplier) for multiplier in MULTIPLIERS)
    for _ in range(ROUNDS):
        product0, product1 = m0 * c0, m1 * c2
        c0 = (product1 >> _HALF) ^ c1 ^ np.uint64(k0)
        c1 = product1 & _WORD
        c2 = (product0 >> _HALF) ^ c3 ^ np.uint64(k1)
        c3 = product0 & _WORD
        k0, k1 = (k0 + WEYL_KEYS[0]) & 0xFFFFFFFF, (k1 + WEYL_KEYS[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1)


def token_words(
    token_ids: NDArray[np.int64], seed: int, position: int, draw: int = 0
) -> NDArray[np.uint64]:
    """The 64 random bits of each token; `token_ids` ascending."""
    wanted = token_ids >> 2
    first = np.concatenate(([True], wanted[1:] != wanted[:-1]))
    blocks = wanted[first].astype(np.uint64)
    row = np.cumsum(first) - 1
    lane = token_ids & 3
    high = philox4x32(blocks, position, draw, TOKEN_HIGH, seed)[row, lane]
    low = philox4x32(blocks, position, draw, TOKEN_LOW, seed)[row, lane]
    return (high << _HALF) | low


def coin(seed: int, position: int, domain: int) -> float:
    """A number in (0, 1) that depends on the seed, the place and the purpose alone."""
    words = philox4x32(np.zeros(1, np.uint64), position, 0, domain, seed)
    return float(_uniform((words[:, 0] << _HALF) | words[:, 1])[0])


def gumbel(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Standard Gumbel noise of 64 random bits each; finite at every word."""
    return -np.log(-np.log(_uniform(words)))


def _uniform(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers in (0, 1) of 64 random bits each."""
    return ((words >> np.uint64(DISCARDED_BITS)).astype(np.float64) + 0.5) * UNIFORM_SCALE


def perturb(logits: NDArray[np.float64], words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """logits + noise: the scores whose argmax is the token."""
    return logits + gumbel(words)
