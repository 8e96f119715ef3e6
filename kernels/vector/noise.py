"""NumPy: Philox words and noise of many tokens; chooses a token by logit plus noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.randomness import (
    BLOCK_SIZE,
    DISCARDED_BITS,
    LN_2_HIGH,
    LN_2_LOW,
    LOG_COEFFICIENTS,
    LOG_OFFSET,
    MANTISSA_BITS,
    MARGIN,
    MULTIPLIERS,
    NOISE_BLOCK,
    ROUNDS,
    TOKEN_HIGH,
    TOKEN_LOW,
    UNIFORM_SCALE,
    WEYL_KEYS,
)

_WORD = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)

Row = NDArray[np.float64]
Words = NDArray[np.uint64]
TokenIds = NDArray[np.int64]


class Place(NamedTuple):
    """The address of a row's noise: seed, position, and the index of the draw there."""

    seed: int
    position: int
    draw: int = 0


class Blocks(NamedTuple):
    """Blocks of tokens: each one's shared exponential, and its lead, the token of most noise.

    found: which of the blocks each token is in.
    """

    shares: Row
    most: Row
    leads: TokenIds
    found: NDArray[np.int64]


def philox4x32(blocks: Words, position: int, draw: int, domain: int, seed: int) -> Words:
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


def natural_log(x: Row) -> Row:
    """The natural logarithm of positive normal numbers, by the noise law's exact arithmetic."""
    bits = x.view(np.int64)
    exponents = (bits - LOG_OFFSET) >> MANTISSA_BITS
    f = (bits - (exponents << MANTISSA_BITS)).view(np.float64) - 1.0
    l1, l2, l3, l4, l5, l6, l7 = LOG_COEFFICIENTS
    half = 0.5 * f * f
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (l2 + w * (l4 + w * l6))
    odd = z * (l1 + w * (l3 + w * (l5 + w * l7)))
    k = exponents.astype(np.float64)
    result: Row = s * (half + (even + odd)) + k * LN_2_LOW - half + f + k * LN_2_HIGH
    return result


def uniform(words: Words) -> Row:
    """Numbers in (0, 1) of 64 random bits each."""
    return ((words >> np.uint64(DISCARDED_BITS)).astype(np.float64) + 0.5) * UNIFORM_SCALE


def exponential(words: Words) -> Row:
    """Exponential noise of mean 1, each from 64 random bits."""
    return -natural_log(uniform(words))


def gumbel(words: Words) -> Row:
    """Standard Gumbel noise of 64 random bits each; finite at every word."""
    return -natural_log(exponential(words))


def token_words(token_ids: TokenIds, place: Place) -> Words:
    """The 64 random bits of each token; `token_ids` ascending."""
    indices, found = _distinct(token_ids >> 2)
    lane = token_ids & 3
    high, low = (
        philox4x32(indices, place.position, place.draw, domain, place.seed)[found, lane]
        for domain in (TOKEN_HIGH, TOKEN_LOW)
    )
    return (high << _HALF) | low


def blocks_of(token_ids: TokenIds, place: Place) -> Blocks:
    """The blocks of ascending token ids."""
    indices, found = _distinct(token_ids // BLOCK_SIZE)
    words = philox4x32(indices, place.position, place.draw, NOISE_BLOCK, place.seed)
    shares = exponential(words[:, 0] << _HALF | words[:, 1]) / BLOCK_SIZE
    leads = indices.astype(np.int64) * BLOCK_SIZE + (words[:, 2] % BLOCK_SIZE).astype(np.int64)
    return Blocks(shares, -natural_log(shares), leads, found)


def token_noise(token_ids: TokenIds, place: Place) -> Row:
    """The noise of each token; `token_ids` ascending."""
    blocks = blocks_of(token_ids, place)
    shares, leads = blocks.shares[blocks.found], blocks.leads[blocks.found]
    others = exponential(token_words(token_ids, place))
    return -natural_log(np.where(token_ids == leads, shares, shares + others))


def choose(token_ids: TokenIds, logits: Row, place: Place) -> int:
    """Choose a token: the position of the largest logit + noise, ties to the lowest id.

    Only tokens that their block's lead does not rule out get a noise of their own.
    """
    blocks = blocks_of(token_ids, place)
    best, somewhere = -np.inf, np.searchsorted(token_ids, blocks.leads)
    somewhere[somewhere == len(token_ids)] = 0
    leads = np.flatnonzero(token_ids[somewhere] == blocks.leads)
    if len(leads):
        best = (logits[somewhere[leads]] + blocks.most[leads]).max()
    bounds = logits + (blocks.most + MARGIN)[blocks.found]
    likeliest = int(bounds.argmax())
    some = token_ids[likeliest : likeliest + 1]
    best = max(best, (logits[likeliest] + token_noise(some, place))[0])
    rivals = np.flatnonzero(bounds >= best)
    scores = logits[rivals] + token_noise(token_ids[rivals], place)
    return int(rivals[scores.argmax()])


def coin(seed: int, position: int, domain: int) -> float:
    """A pseudorandom number in (0, 1) for a seed, a position and a purpose."""
    words = philox4x32(np.zeros(1, np.uint64), position, 0, domain, seed)
    return float(uniform((words[:, 0] << _HALF) | words[:, 1])[0])


def _distinct(ascending: TokenIds) -> tuple[Words, NDArray[np.int64]]:
    """The distinct numbers of a list, and where each of the list is among them."""
    first = np.concatenate(([True], ascending[1:] != ascending[:-1]))
    return ascending[first].astype(np.uint64), np.cumsum(first) - 1
