"""Triton: Philox4x32-10 words and Gumbel noise; see `decoding.kernels.randomness`.

Every word is computed with 32-bit products, high and low halves apart, so all four words of a
counter are ours: (index, position, draw 0, domain).
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
NOISE_BLOCK = tl.constexpr(randomness.NOISE_BLOCK)
BLOCK_BITS = tl.constexpr(randomness.BLOCK_SIZE.bit_length() - 1)
BLOCK_LANES = tl.constexpr(randomness.BLOCK_SIZE - 1)
BLOCK_SCALE = tl.constexpr(1.0 / randomness.BLOCK_SIZE)
LOG_OFFSET = tl.constexpr(randomness.LOG_OFFSET)
MANTISSA_BITS = tl.constexpr(randomness.MANTISSA_BITS)
LN_2_HIGH = tl.constexpr(randomness.LN_2_HIGH)
LN_2_LOW = tl.constexpr(randomness.LN_2_LOW)
L1, L2, L3, L4, L5, L6, L7 = (tl.constexpr(item) for item in randomness.LOG_COEFFICIENTS)


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
    """The words of counters (index, position, 0, domain), four tensors of the common shape.

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
    """The random word of each token id; the ids may stand in any order."""
    w0, w1, w2, w3 = block_words(tokens >> 2, positions, seeds, DOMAIN)
    lanes = tokens & 3
    return tl.where(lanes < 2, tl.where(lanes == 0, w0, w1), tl.where(lanes == 2, w2, w3))


@triton.jit
def natural_log(x):
    """The noise law's logarithm of positive normal float64; needs `enable_fp_fusion=False`."""
    bits = x.to(tl.int64, bitcast=True)
    exponent = (bits - LOG_OFFSET) >> MANTISSA_BITS
    mantissa = (bits - (exponent << MANTISSA_BITS)).to(tl.float64, bitcast=True)
    f = mantissa - 1.0
    half = 0.5 * f * f
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (L2 + w * (L4 + w * L6))
    odd = z * (L1 + w * (L3 + w * (L5 + w * L7)))
    k = exponent.to(tl.float64)
    return s * (half + (even + odd)) + k * LN_2_LOW - half + f + k * LN_2_HIGH


@triton.jit
def exponential(high, low):
    """Exponential noise of mean 1 from each token's two words, in float64."""
    bits = (high.to(tl.int64) << LOW_BITS_LEFT) | (low >> DISCARDED_BITS).to(tl.int64)
    uniform = (bits.to(tl.float64) + 0.5) * UNIFORM_SCALE
    return -natural_log(uniform)


@triton.jit
def block_shares(tokens, positions, seeds):
    """The shared exponential and the lead token of each token's block; see `docs/noise.md`."""
    blocks = tokens >> BLOCK_BITS
    high, low, place, _ = block_words(blocks, positions, seeds, NOISE_BLOCK)
    lead = (blocks << BLOCK_BITS) | (place & BLOCK_LANES).to(tl.int32)
    return exponential(high, low) * BLOCK_SCALE, lead


@triton.jit
def token_noise(tokens, positions, seeds):
    """The Gumbel noise of each token id, in float64; the ids may stand in any order."""
    share, lead = block_shares(tokens, positions, seeds)
    high = token_words(tokens, positions, seeds, TOKEN_HIGH)
    low = token_words(tokens, positions, seeds, TOKEN_LOW)
    return -natural_log(tl.where(tokens == lead, share, share + exponential(high, low)))


@triton.jit
def exponential_bounds(high):
    """Lower and upper float32 bounds of −ln u, from the high word of u alone.

    With x = 1 − u in (n, n + 1) · 2⁻³², where n is the word's complement: x < −ln(1 − x), and that
    is below x + x² for x ≤ ½; beyond, the upper bound is +inf.
    """
    least = (0xFFFFFFFF - high).to(tl.float32) * 2.3283064365386963e-10
    most = least + 2.3283064365386963e-10
    return least, tl.where(most <= 0.5, most + most * most, float("inf"))
