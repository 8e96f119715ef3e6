"""Numba intrinsics (SIMD): Philox words and exponential noise of many tokens at once.

The law is in `decoding.kernels.randomness`. Products and sums of the law are apart, never
`multiply_add`, so that no machine fuses them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from decoding.kernels.compiled.blocks import MASK_LANES
from decoding.kernels.compiled.intrinsics import GIVEN, Array, straight_line
from decoding.kernels.compiled.vectors import DOUBLE, INT32, INT64, Vector, philox4x32, splat
from decoding.kernels.randomness import (
    BLOCK_SIZE,
    DISCARDED_BITS,
    LN_2_HIGH,
    LN_2_LOW,
    LOG_COEFFICIENTS,
    LOG_OFFSET,
    MANTISSA_BITS,
    NOISE_BLOCK,
    UNIFORM_SCALE,
)

_TWO_TO_52 = 0x4330000000000000
"""The bits of 2⁵², to which a smaller integer is added by setting its bits."""
TOGETHER = 16
"""So many blocks, or tokens, get their words at once, in two registers that need not wait."""
_WORD, _BITS = types.uint64, types.uint32


def log(x: Vector) -> Vector:
    """The noise law's logarithm of positive normal float64 in the lanes of a vector."""
    bits = x.bits_as(INT64)
    exponents = (bits - LOG_OFFSET).signed_shift(MANTISSA_BITS)
    f = (bits - (exponents << MANTISSA_BITS)).bits_as(DOUBLE) - 1.0
    l1, l2, l3, l4, l5, l6, l7 = LOG_COEFFICIENTS
    half = f * 0.5 * f
    s = f / (f + 2.0)
    z = s * s
    w = z * z
    even = w * (w * (w * l6 + l4) + l2)
    odd = z * (w * (w * (w * l7 + l5) + l3) + l1)
    k = exponents.convert("sitofp", DOUBLE)
    return s * (half + (even + odd)) + k * LN_2_LOW - half + f + k * LN_2_HIGH


def uniform(high: Vector, low: Vector) -> Vector:
    """Numbers in (0, 1) of words in lanes of 64 bits."""
    k = (high << (32 - DISCARDED_BITS)) | (low >> DISCARDED_BITS)
    return ((k | _TWO_TO_52).bits_as(DOUBLE) - 2.0**52 + 0.5) * UNIFORM_SCALE


def exponential(high: Vector, low: Vector) -> Vector:
    """Exponential noise of mean 1 from high and low words, in lanes of 64 bits."""
    return log(uniform(high, low)).negated()


@straight_line(types.float64, types.float64)
def natural_log(builder: Any, x: Any) -> list[Any]:
    """The law's logarithm of a positive normal number."""
    return [log(splat(builder, x, 1)).lane(0)]


@straight_line(types.float64, _WORD, _WORD)
def exponential_of(builder: Any, high: Any, low: Any) -> list[Any]:
    """Exponential noise of mean 1 from a high and a low word, each in 64 bits."""
    return [exponential(splat(builder, high, 1), splat(builder, low, 1)).lane(0)]


@straight_line(types.float64, _WORD, _WORD)
def uniform_of(builder: Any, high: Any, low: Any) -> list[Any]:
    """A number in (0, 1) of a high and a low word, each in 64 bits."""
    return [uniform(splat(builder, high, 1), splat(builder, low, 1)).lane(0)]


def _write_blocks(indices: Vector, words: list[Vector], arrays: tuple[Array, ...], at: Any) -> None:
    """Shares, noises and leads of blocks into three arrays, from `at` on."""
    shares, noises, leads = arrays
    share = exponential(words[0], words[1]) * (1.0 / BLOCK_SIZE)
    shares.store(at, share)
    noises.store(at, log(share).negated())
    lead = (indices * BLOCK_SIZE) | (words[2] & (BLOCK_SIZE - 1))
    leads.store(at, lead.convert("trunc", INT32))


@straight_line(types.void, types.int64, _WORD, _WORD, GIVEN, GIVEN, GIVEN)
def blocks_from(builder: Any, block: Any, position: Any, seed: Any, *arrays: Array) -> list[Any]:
    """Write the shares, lead noises and leads of 16 blocks, from `block` on.

    Into the three arrays, from `block` on.
    """
    indices = splat(builder, block, TOGETHER) + _counting(builder, TOGETHER)
    words = philox4x32(indices, position, _word(NOISE_BLOCK), seed)
    _write_blocks(indices, words, arrays, block)
    return []


@straight_line(types.void, GIVEN, types.int64, _WORD, _WORD, GIVEN, GIVEN, GIVEN)
def blocks_of_tokens(
    _builder: Any, token_ids: Array, start: Any, position: Any, seed: Any, *arrays: Array
) -> list[Any]:
    """Write the shares, lead noises and leads of the blocks of token_ids[start:start + 16]."""
    tokens = token_ids.load(start, TOGETHER).convert("zext", INT64)
    indices = tokens >> (BLOCK_SIZE.bit_length() - 1)
    words = philox4x32(indices, position, _word(NOISE_BLOCK), seed)
    _write_blocks(indices, words, arrays, start)
    return []


def _word(number: int) -> Any:
    return ir.Constant(INT64, number)


def _counting(builder: Any, count: int) -> Vector:
    """0, 1, 2 ..."""
    return Vector(builder, ir.Constant(ir.VectorType(INT64, count), list(range(count))))


def _by_token(words: list[Vector]) -> Vector:
    """Four vectors of words, one a lane of a Philox block, as 32-bit words in order of token."""
    narrow, count = [word.convert("trunc", INT32) for word in words], words[0].count
    pairs = [one.shuffle(other, range(2 * count)) for one, other in (narrow[:2], narrow[2:])]
    order = [word * count + block for block in range(count) for word in range(4)]
    return pairs[0].shuffle(pairs[1], order)


@straight_line(_BITS, types.int64, *[_WORD] * 4)
def mask_below(
    builder: Any, first: Any, position: Any, domain: Any, seed: Any, bound: Any
) -> list[Any]:
    """Bit i says whether the word of token first + i, a multiple of 32 plus i, is below `bound`.

    bound: a word in 64 bits.
    """
    blocks = MASK_LANES // 4
    indices = splat(builder, builder.lshr(first, _word(2)), blocks) + _counting(builder, blocks)
    words = _by_token(philox4x32(indices, position, domain, seed))
    narrow = splat(builder, builder.trunc(bound, INT32), MASK_LANES)
    return [builder.bitcast(words.compare("<", narrow).value, INT32)]


def _words_of(tokens: Vector, position: Any, domain: Any, seed: Any) -> Vector:
    """The word of each token, in lanes of 64 bits."""
    drawn = philox4x32(tokens >> 2, position, domain, seed)
    chosen = drawn[3]
    for index in (2, 1, 0):
        chosen = (tokens & 3).compare("==", index).choose(drawn[index], chosen)
    return chosen


@straight_line(_WORD, types.int64, *[_WORD] * 3)
def word_of(builder: Any, token_id: Any, position: Any, domain: Any, seed: Any) -> list[Any]:
    """One 32-bit word of one token, in 64 bits."""
    return [_words_of(splat(builder, token_id, 1), position, domain, seed).lane(0)]


@straight_line(types.void, GIVEN, types.int64, *[_WORD] * 3, GIVEN)
def words_of_tokens(
    _builder: Any, token_ids: Array, start: Any, position: Any, domain: Any, seed: Any, words: Array
) -> list[Any]:
    """The words of the tokens token_ids[start:start + 16], into `words` from `start` on."""
    tokens = token_ids.load(start, TOGETHER).convert("zext", INT64)
    words.store(start, _words_of(tokens, position, domain, seed).convert("trunc", INT32))
    return []
