"""Random words, and the noise of many tokens, as Numba intrinsics over `vectors`.

The law is in `decoding.kernels.randomness`. Products and sums of the law are apart, never
`multiply_add`, so that no machine fuses them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from decoding.kernels.compiled.blocks import MASK_LANES
from decoding.kernels.compiled.vectors import (
    DOUBLE,
    INT32,
    INT64,
    Vector,
    load,
    philox4x32,
    splat,
    store,
)
from decoding.kernels.randomness import (
    BLOCK_SIZE,
    DISCARDED_BITS,
    LN_2_HIGH,
    LN_2_LOW,
    LOG_COEFFICIENTS,
    LOG_OFFSET,
    MANTISSA_BITS,
    UNIFORM_SCALE,
)

_TWO_TO_52 = 0x4330000000000000
"""The bits of 2⁵², to which a smaller integer is added by setting its bits."""
EIGHT = 8


def log(x: Vector) -> Vector:
    """The law's logarithm of positive normal float64."""
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


@intrinsic
def natural_log(_context: Any, x: Any) -> Any:
    """The law's logarithm of a positive normal number."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        found = log(splat(builder, arguments[0], 1))
        return builder.extract_element(found.value, ir.Constant(INT32, 0))

    return types.float64(types.float64), generate


@intrinsic
def exponential_of(_context: Any, high: Any, low: Any) -> Any:
    """Exponential noise of mean 1 from a high and a low word, each in 64 bits."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        words = [splat(builder, word, 1) for word in arguments]
        found = exponential(*words)
        return builder.extract_element(found.value, ir.Constant(INT32, 0))

    return types.float64(types.uint64, types.uint64), generate


@intrinsic
def uniform_of(_context: Any, high: Any, low: Any) -> Any:
    """A number in (0, 1) of a high and a low word, each in 64 bits."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        words = [splat(builder, word, 1) for word in arguments]
        found = uniform(*words)
        return builder.extract_element(found.value, ir.Constant(INT32, 0))

    return types.float64(types.uint64, types.uint64), generate


def _write_blocks(
    context: Any, builder: Any, kinds: Any, indices: Vector, words: list[Vector], outs: Any
) -> None:
    """Shares, noises and leads of blocks into the arrays of `outs`, from its last item on."""
    shares, noises, leads, at = outs
    share = exponential(words[0], words[1]) * (1.0 / BLOCK_SIZE)
    store(context, builder, kinds[0], shares, at, share)
    store(context, builder, kinds[1], noises, at, log(share).negated())
    first = indices * BLOCK_SIZE
    lead = (first | (words[2] & (BLOCK_SIZE - 1))).convert("trunc", INT32)
    store(context, builder, kinds[2], leads, at, lead)


@intrinsic
def blocks_from(
    _context: Any,
    block: Any,
    position: Any,
    domain: Any,
    key0: Any,
    key1: Any,
    shares: Any,
    noises: Any,
    leads: Any,
) -> Any:
    """Eight blocks from `block` on: their shares, the noises of their leads, and the leads.

    Into the three arrays, from `block` on.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block, position, domain, key0, key1, *arrays = arguments
        lanes = Vector(builder, ir.Constant(ir.VectorType(INT64, EIGHT), list(range(EIGHT))))
        indices = splat(builder, block, EIGHT) + lanes
        zero = ir.Constant(INT64, 0)
        words = philox4x32((indices, position, zero, domain), (key0, key1))
        _write_blocks(context, builder, signature.args[5:], indices, words, (*arrays, block))
        return context.get_dummy_value()

    word = types.uint64
    return types.void(types.int64, word, word, word, word, shares, noises, leads), generate


@intrinsic
def blocks_of_eight(
    _context: Any,
    token_ids: Any,
    start: Any,
    position: Any,
    domain: Any,
    key0: Any,
    key1: Any,
    shares: Any,
    noises: Any,
    leads: Any,
) -> Any:
    """The same of the blocks of token_ids[start:start + 8], into the arrays from `start` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        ids, start, position, domain, key0, key1, *arrays = arguments
        tokens = load(context, builder, signature.args[0], ids, start, EIGHT)
        shift = BLOCK_SIZE.bit_length() - 1
        indices = tokens.convert("zext", INT64) >> shift
        zero = ir.Constant(INT64, 0)
        words = philox4x32((indices, position, zero, domain), (key0, key1))
        _write_blocks(context, builder, signature.args[6:], indices, words, (*arrays, start))
        return context.get_dummy_value()

    word = types.uint64
    return types.void(
        token_ids, types.int64, word, word, word, word, shares, noises, leads
    ), generate


def _order(blocks: int) -> list[int]:
    """Which Philox block is in which lane: such that `_by_token` moves no word across 128 bits."""
    return [lane // 2 + lane % 2 * (blocks // 2) for lane in range(blocks)]


def _by_token(words: list[Vector]) -> Vector:
    """Four vectors of words, one a lane of a Philox block, as 32-bit words in order of token."""
    builder, count = words[0].builder, words[0].count
    narrow, wide = ir.VectorType(INT32, 2 * count), ir.VectorType(INT64, count)
    halves = [Vector(builder, builder.bitcast(word.value, narrow)) for word in words]
    low_halves = [2 * lane + side for lane in range(count) for side in (0, 2 * count)]
    pairs = []
    for one, other in (halves[:2], halves[2:]):
        pair = one.shuffle(other, low_halves)
        pairs.append(Vector(builder, builder.bitcast(pair.value, wide)))
    evens, odds = (
        pairs[0].shuffle(pairs[1], [lane + side for lane in lanes for side in (0, count)])
        for lanes in (range(0, count, 2), range(1, count, 2))
    )
    tokens = evens.shuffle(odds, range(2 * count))
    return Vector(builder, builder.bitcast(tokens.value, ir.VectorType(INT32, 4 * count)))


@intrinsic
def mask_below(
    _context: Any,
    first: Any,
    position: Any,
    draw: Any,
    domain: Any,
    key0: Any,
    key1: Any,
    bound: Any,
) -> Any:
    """Bit i says whether the word of token first + i, a multiple of 32 plus i, is below `bound`.

    bound: a word in 64 bits.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first, position, draw, domain, key0, key1, bound = arguments
        blocks = MASK_LANES // 4
        lanes = Vector(builder, ir.Constant(ir.VectorType(INT64, blocks), _order(blocks)))
        block = builder.lshr(first, ir.Constant(INT64, 2))
        counter = (splat(builder, block, blocks) + lanes, position, draw, domain)
        words = _by_token(philox4x32(counter, (key0, key1)))
        narrow = splat(builder, builder.trunc(bound, INT32), MASK_LANES)
        return builder.bitcast(words.compare("<", narrow).value, INT32)

    word = types.uint64
    return types.uint32(types.int64, word, word, word, word, word, word), generate


@intrinsic
def words_of_eight(
    _context: Any,
    token_ids: Any,
    start: Any,
    position: Any,
    draw: Any,
    domain: Any,
    key0: Any,
    key1: Any,
    words: Any,
) -> Any:
    """The words of the tokens token_ids[start:start + 8], into `words` from `start` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, position, draw, domain, key0, key1, out = arguments
        tokens = load(context, builder, signature.args[0], array, start, 8)
        blocks = (tokens >> 2).convert("zext", INT64)
        drawn = philox4x32((blocks, position, draw, domain), (key0, key1))
        lane = (tokens & 3).convert("zext", INT64)
        chosen = drawn[3]
        for index in (2, 1, 0):
            chosen = lane.compare("==", index).choose(drawn[index], chosen)
        store(context, builder, signature.args[-1], out, start, chosen.convert("trunc", INT32))
        return context.get_dummy_value()

    word = types.uint64
    return types.void(token_ids, start, word, word, word, word, word, words), generate
