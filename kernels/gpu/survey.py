"""The first Triton kernel of a step: one pass over the logits that collects sums and candidates.

A program takes one slice of each of `ROWS` rows, loads every logit once and keeps the slice in
registers. Slices are interleaved by 32 tokens, a line of memory and a word of a bitmask, so that
each holds its share of a vocabulary whose likely tokens stand together. With z the edited logits of
the slice in float32, m their maximum and T the temperatures ahead of the first truncation:

    candidates  one bit a token, in the layout of a bitmask: the likeliest tokens, in so many quads
                of four as the row's program asks for, and the contenders, where it truncates
                nothing: those whose noise, as far as float32 and its high word tell, leaves them a
                chance to win, or in a greedy row those equal to m
    bound       at or above every z that is not among the candidates
    rest        Σ exp((z − m)/T) and Σ exp((z − m)/T) · (z − m)/T over all but the candidates

Edited in float64 and rounded once to float32, logits keep their order, so the candidates hold every
token above the bound; what is decided by order is decided by `finish` in float64. Weights count
what was lost to rounding, so they are as good where edits move logits of 10⁴ as at 1.
"""

import triton
import triton.language as tl

from decoding.kernels.gpu.operations import (
    LARGEST,
    NO_TOKEN,
    NOTHING,
    bit_of,
    bits_set,
    densely_edited,
    narrowed,
    widened,
)
from decoding.kernels.gpu.philox import TOKEN_HIGH, block_shares, block_words, exponential_bounds

NUMBERS = tl.constexpr(6)
"""Planes of float64: m, bound, the two sums of the rest, the raw maximum and Σ exp(raw − it)."""
COUNTS = tl.constexpr(4)
"""Planes of int32: candidates, tokens alive, invalid logits, and the first of these."""

TURNS = tl.constexpr(32)
"""Of the search for a threshold: it doubles, then halves. Where they are not enough, as among more
ties than asked for, there are fewer candidates, and the bound says so."""
BY_NOISE = tl.constexpr(1)
BY_LOGIT = tl.constexpr(2)
"""What makes a token of a row without truncation a contender."""
MARGIN = tl.constexpr(1.0001)
"""A hundred times what float32 may add to or take from the exponential of a token that may win."""
INFINITY = tl.constexpr(float("inf"))
LOG2_E = tl.constexpr(1.4426950408889634)
LN_2 = tl.constexpr(0.6931471805599453)


@triton.jit
def survey(
    logits,
    row_stride,
    raw_logits,
    raw_row_stride,
    batch,
    width,
    opcodes,
    operands,
    slots,
    row_starts,
    cut_starts,
    most_edits,
    temperatures,
    targets,
    limits,
    contenders,
    seeds,
    positions,
    bitmasks,
    words,
    touched,
    patches,
    candidates,
    numbers,
    counts,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    SPLITS: tl.constexpr,
    DENSE: tl.constexpr,
    BIASED: tl.constexpr,
    SPARSE: tl.constexpr,
    NOISE: tl.constexpr,
    SUMS: tl.constexpr,
    DESCRIBE: tl.constexpr,
):
    """Read one slice of each of `ROWS` rows once; store sums, largest logits and candidates."""
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS))[:, None].to(tl.int64)
    split = tl.program_id(1)
    inside = row < batch
    lane = tl.arange(0, BLOCK)[None, :]
    token = ((lane // 32) * SPLITS + split) * 32 + lane % 32
    here = inside & (token < width)
    plane = batch * SPLITS
    numbers += row * SPLITS + split
    counts += row * SPLITS + split

    z = widened(tl.load(logits + row * row_stride + token, mask=here, other=NOTHING))
    faults, fault = invalid_logits(z, token, ROWS)
    tl.store(counts + 2 * plane, faults, mask=inside)
    tl.store(counts + 3 * plane, fault, mask=inside)

    lost = 0.0
    if DENSE or SPARSE:
        alive = z > NOTHING
        if DENSE:
            start = tl.load(row_starts + row, mask=inside, other=0)
            stop = tl.load(cut_starts + row, mask=inside, other=0)
            wide = z
            if BIASED:
                wide = z.to(tl.float64)
            wide, alive = densely_edited(
                wide, alive, token, here, start, stop, most_edits,
                opcodes, operands, slots, bitmasks, words,
            )  # fmt: skip
            if BIASED:
                z, lost = narrowed(wide)
        if SPARSE:
            bit = bit_of(touched, words, row, token, here)
            patch = tl.load(patches + row * width + token, mask=here & (bit == 1), other=0.0)
            narrow, difference = narrowed(patch)
            z = tl.where(bit == 1, narrow, z)
            lost = tl.where(bit == 1, difference, lost)
            alive = alive & ((bit == 0) | (patch > NOTHING))
        z = tl.where(alive, tl.minimum(tl.maximum(z, -LARGEST), LARGEST), NOTHING)

    # From here on half the depth below the maximum is all that is kept of a logit: it cannot
    # overflow, is infinite for a token that is gone, and compares as false for NaN.
    top = tl.max(z, axis=1, keep_dims=True)
    depth = tl.fma(z, -0.5, 0.5 * shallow(top))
    alive_count = tl.sum((depth < INFINITY).to(tl.int32), axis=1, keep_dims=True)
    temperature = tl.load(temperatures + row, mask=inside, other=1.0)
    target = tl.load(targets + row, mask=inside, other=0)
    limit = tl.load(limits + row, mask=inside, other=0)
    contending = tl.load(contenders + row, mask=inside, other=0)
    quads = tl.min(tl.reshape(depth, [ROWS, BLOCK // 4, 4]), axis=2)
    reach = threshold(quads, 0.5 * temperature, target, limit, alive_count)
    # A greedy row's winner may be any that float32 does not tell from the maximum.
    least = tl.where(contending == BY_LOGIT, tl.maximum(reach, 0.0), reach)
    candidate = depth <= least
    # What edits lost to float32 may not matter to the order, but at z = 10⁴ it does to a weight.
    binary = (depth - 0.5 * lost) * (2.0 * LOG2_E / temperature)
    if NOISE:
        seed = tl.load(seeds + row, mask=inside, other=0)
        position = tl.load(positions + row, mask=inside, other=0)
        shortest, longest = noise_bounds(token, split, seed, position, ROWS, BLOCK, SPLITS)
        # z/T − ln e is largest where e · exp(−z/T) is smallest, and that needs no logarithm.
        stretch = tl.exp2(binary)
        longest = tl.where(depth < INFINITY, longest * stretch, INFINITY)
        # Large scores tie where float64 does not tell them apart.
        unit = tl.exp2(tl.minimum(tl.abs(shallow(top)) / temperature * 2e-15, 126.0))
        bar = tl.min(longest, axis=1, keep_dims=True) * (MARGIN * unit)
        chance = (depth < INFINITY) & (shortest * stretch <= bar)
        candidate = candidate | (chance & (contending == BY_NOISE))

    spread = tl.reshape(candidate, [ROWS, BLOCK // 32, 32])
    bits = spread.to(tl.int32) << tl.arange(0, 32)[None, None, :]
    word = tl.sum(bits, axis=2)
    place = tl.arange(0, BLOCK // 32)[None, :] * SPLITS + split
    tl.store(candidates + row * words + place, word, mask=inside & (place < words))
    found = tl.sum(bits_set(word), axis=1, keep_dims=True)
    bound = top.to(tl.float64) - 2.0 * tl.maximum(reach, 0.0).to(tl.float64)
    bound = tl.where(alive_count > found, bound, NOTHING)
    tl.store(counts, found, mask=inside)
    tl.store(counts + plane, alive_count, mask=inside)
    tl.store(numbers, top.to(tl.float64), mask=inside)
    tl.store(numbers + plane, bound, mask=inside)
    if SUMS:
        weight = tl.where(candidate, 0.0, tl.exp2(-binary))
        tl.store(numbers + 2 * plane, total(weight), mask=inside)
        product = total(tl.where(weight > 0.0, weight * binary, 0.0))
        tl.store(numbers + 3 * plane, product * -LN_2, mask=inside)
    if DESCRIBE:
        raw = tl.load(raw_logits + row * raw_row_stride + token, mask=here, other=NOTHING)
        raw = widened(raw)
        raw = tl.where(raw < INFINITY, raw, NOTHING)
        raw_top = tl.max(raw, axis=1, keep_dims=True)
        shift = tl.where(raw_top > NOTHING, raw_top, 0.0)
        tl.store(numbers + 4 * plane, raw_top.to(tl.float64), mask=inside)
        tl.store(numbers + 5 * plane, total(tl.exp(raw - shift)), mask=inside)


@triton.jit
def invalid_logits(z, token, ROWS: tl.constexpr):
    """Count each row's logits that are NaN or +inf, and find the first of them."""
    # Zero times a number is zero, of NaN and +inf it is NaN: one look at the sum finds both.
    poison = tl.maximum(z, -LARGEST, propagate_nan=tl.PropagateNan.ALL) * 0.0
    poisoned = tl.sum(poison, axis=1, keep_dims=True) != 0.0
    faults = tl.full([ROWS, 1], 0, tl.int32)
    fault = tl.full([ROWS, 1], NO_TOKEN, tl.int32)
    if tl.max(poisoned.to(tl.int32)) > 0:
        invalid = ~(z < INFINITY)
        faults = tl.sum(invalid.to(tl.int32), axis=1, keep_dims=True)
        fault = tl.min(tl.where(invalid, token, NO_TOKEN), axis=1, keep_dims=True)
    return faults, fault


@triton.jit
def noise_bounds(
    token, split, seed, position,
    ROWS: tl.constexpr, BLOCK: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """Float32 bounds of each token's exponential noise, from the high 32 of 64 random bits."""
    quad = tl.arange(0, BLOCK // 4)[None, :] * 4
    block = (((quad // 32) * SPLITS + split) * 32 + quad % 32) >> 2
    w0, w1, w2, w3 = block_words(block, position, seed, TOKEN_HIGH)
    high = tl.reshape(tl.join(tl.join(w0, w2), tl.join(w1, w3)), [ROWS, BLOCK])
    shortest, longest = exponential_bounds(high)
    # A line of 32 tokens is in one block of the noise.
    line = (tl.arange(0, BLOCK // 32)[None, :] * SPLITS + split) * 32
    share, lead = block_shares(line, position, seed)
    share = spread_lines(share.to(tl.float32), ROWS, BLOCK)
    others = token != spread_lines(lead, ROWS, BLOCK)
    shortest = tl.where(others, share + shortest, share)
    return shortest, tl.where(others, share + longest, share)


@triton.jit
def shallow(top):
    """Each row's largest logit, or 0 where no token remains."""
    return tl.where(top > NOTHING, top, 0.0)


@triton.jit
def spread_lines(numbers, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """Repeat the number of each line of 32 tokens for all of its tokens."""
    each = tl.broadcast_to(tl.expand_dims(numbers, 2), [ROWS, BLOCK // 32, 32])
    return tl.reshape(each, [ROWS, BLOCK])


@triton.jit
def total(weights):
    """The sum of each row's float32 weights, added up in float32 and returned as float64."""
    return tl.sum(weights, axis=1, keep_dims=True).to(tl.float64)


@triton.jit
def threshold(quads, unit, target, limit, alive_count):
    """The distance below the largest logit at which a row's candidates end; below 0 for none.

    Where no more than `limit` tokens are alive, all of them; else `target` to `limit` quads, by
    their least depth, if a threshold found in `TURNS` turns tells so many from the rest, else
    fewer.
    """
    asked = target > 0
    reach = tl.where(asked & (alive_count <= limit), LARGEST, -1.0)
    low = tl.zeros_like(reach)
    high = low + LARGEST
    pending = asked & (alive_count > limit)
    turn = 0
    while (tl.max(pending.to(tl.int32)) > 0) & (turn < TURNS):
        middle = tl.minimum(2.0 * tl.maximum(low, unit), 0.5 * low + 0.5 * high)
        count = tl.sum((quads <= middle).to(tl.int32), axis=1, keep_dims=True)
        fits = count <= limit
        reach = tl.where(pending & fits, middle, reach)
        low = tl.where(pending & fits, middle, low)
        high = tl.where(pending & ~fits, middle, high)
        pending = pending & ~(fits & (count >= target))
        turn += 1
    return reach
