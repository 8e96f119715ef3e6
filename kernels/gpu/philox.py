"""Philox4x32-10 words and Gumbel noise on the device; see `decoding.kernels.randomness`.

Every word is computed with 32-bit products, high and low halves apart, so all four words of a
counter are ours: (token_id // 4, position, draw 0, domain).
"""

import triton
import triton.language as tl

from decoding.kernels import randomness

ROUNDS = tl.constexpr(randomness.ROUNDS)
MULTIPLIER_0 = tl.constexpr(randomness.MULTIPLIERS[0])
MULTIPLIER_1 = tl.constexpr(randomness.MULTIPLIERS[1])
WEYL_0 = tl.constexpr(randomness.WEYL_KEYS[0])
WEYL_1 = tl.constexpr(randomness.WEYL_KEYS[1])
TOKEN_HIGH = tl.constexpr(randomness.TOKEN_HIGH)
TOKEN_LOW = tl.constexpr(randomness.TOKEN_LOW)
LOW_BITS_LEFT = tl.constexpr(32 - randomness.DISCARDED_BITS)
DISCARDED_BITS = tl.constexpr(randomness.DISCARDED_BITS)
UNIFORM_SCALE = tl.constexpr(randomness.UNIFORM_SCALE)


@triton.jit
def philox4x32(c0, c1, c2, c3, k0, k1):
    """The four words of each counter, uint32."""
    for _ in tl.static_range(ROUNDS):
        high0 = tl.umulhi(c0, MULTIPLIER_0)
        low0 = tl.mul(c0, MULTIPLIER_0, sanitize_overflow=False)
        high1 = tl.umulhi(c2, MULTIPLIER_1)
        low1 = tl.mul(c2, MULTIPLIER_1, sanitize_overflow=False)
        c0 = high1 ^ c1 ^ k0
        c1 = low1
        c2 = high0 ^ c3 ^ k1
        c3 = low0
        k0 = tl.add(k0, WEYL_0, sanitize_overflow=False)
        k1 = tl.add(k1, WEYL_1, sanitize_overflow=False)
    return c0, c1, c2, c3


@triton.jit
def block_words(blocks, positions, seeds, DOMAIN: tl.constexpr):
    """The words of counters (block, position, 0, domain), four tensors of the common shape.

    seeds: the 64 bits of each row's seed as int64.
    """
    c0 = blocks.to(tl.uint32) + tl.zeros_like(positions).to(tl.uint32)
    c1 = positions.to(tl.uint32) + tl.zeros_like(c0)
    c2 = tl.zeros_like(c0)
    c3 = tl.zeros_like(c0) + DOMAIN
    k0 = (seeds & 0xFFFFFFFF).to(tl.uint32)
    k1 = ((seeds >> 32) & 0xFFFFFFFF).to(tl.uint32)
    return philox4x32(c0, c1, c2, c3, k0, k1)


@triton.jit
def token_words(tokens, positions, seeds, DOMAIN: tl.constexpr):
    """The word of each token, in whatever order the tokens stand."""
    w0, w1, w2, w3 = block_words(tokens >> 2, positions, seeds, DOMAIN)
    lanes = tokens & 3
    return tl.where(lanes < 2, tl.where(lanes == 0, w0, w1), tl.where(lanes == 2, w2, w3))


@triton.jit
def gumbel(high, low):
    """The noise of each token's two words, in float64 as NumPy's kernels compute it."""
    bits = (high.to(tl.int64) << LOW_BITS_LEFT) | (low >> DISCARDED_BITS).to(tl.int64)
    uniform = (bits.to(tl.float64) + 0.5) * UNIFORM_SCALE
    return -tl.log(-tl.log(uniform))


@triton.jit
def exponential_bounds(high):
    """Between which float32 numbers −ln u lies, as far as the high word tells.

    With x = 1 − u in (n, n + 1) · 2⁻³², where n is the word's complement: x < −ln(1 − x), and that
    is below x + x² for x ≤ ½; beyond, the upper bound is +inf.
    """
    least = (0xFFFFFFFF - high).to(tl.float32) * 2.3283064365386963e-10
    most = least + 2.3283064365386963e-10
    return least, tl.where(most <= 0.5, most + most * most, float("inf"))
