"""Computes one token's Gumbel noise on Python numbers by `decoding.kernels.randomness`."""

from __future__ import annotations

import struct

from decoding.kernels.randomness import (
    BLOCK_SIZE,
    DISCARDED_BITS,
    LN_2_HIGH,
    LN_2_LOW,
    LOG_COEFFICIENTS,
    LOG_OFFSET,
    MANTISSA_BITS,
    NOISE_BLOCK,
    TOKEN_HIGH,
    TOKEN_LOW,
    UNIFORM_SCALE,
)
from decoding.kernels.reference.philox import words_at


def natural_log(x: float) -> float:
    """The noise law's logarithm of a positive normal number."""
    bits: int
    (bits,) = struct.unpack("<q", struct.pack("<d", x))
    exponent = (bits - LOG_OFFSET) >> MANTISSA_BITS
    mantissa: float
    (mantissa,) = struct.unpack("<d", struct.pack("<q", bits - (exponent << MANTISSA_BITS)))
    l1, l2, l3, l4, l5, l6, l7 = LOG_COEFFICIENTS
    f = mantissa - 1.0
    half = 0.5 * f * f
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (l2 + w * (l4 + w * l6))
    odd = z * (l1 + w * (l3 + w * (l5 + w * l7)))
    return s * (half + (even + odd)) + exponent * LN_2_LOW - half + f + exponent * LN_2_HIGH


def exponential(word: int) -> float:
    """Exponential noise of mean 1 from 64 random bits; at least 2⁻⁵³ or so, at most 36.8."""
    return -natural_log(((word >> DISCARDED_BITS) + 0.5) * UNIFORM_SCALE)


def gumbel(word: int) -> float:
    """Standard Gumbel noise of 64 random bits; finite at every word."""
    return -natural_log(exponential(word))


def block_share(seed: int, position: int, block: int, draw: int = 0) -> tuple[float, int]:
    """The exponential that all tokens of a block share, and the block's lead token."""
    high, low, place, _ = words_at(block, position, NOISE_BLOCK, seed, draw)
    share = exponential(high << 32 | low) / BLOCK_SIZE
    return share, block * BLOCK_SIZE + place % BLOCK_SIZE


def token_word(seed: int, position: int, token_id: int, draw: int = 0) -> int:
    """The 64 random bits of one token."""
    index, lane = divmod(token_id, 4)
    high = words_at(index, position, TOKEN_HIGH, seed, draw)[lane]
    low = words_at(index, position, TOKEN_LOW, seed, draw)[lane]
    return high << 32 | low


def token_noise(seed: int, position: int, token_id: int, draw: int = 0) -> float:
    """Standard Gumbel noise of one token at one position of one request."""
    share, lead = block_share(seed, position, token_id // BLOCK_SIZE, draw)
    if token_id == lead:
        return -natural_log(share)
    return -natural_log(share + exponential(token_word(seed, position, token_id, draw)))
