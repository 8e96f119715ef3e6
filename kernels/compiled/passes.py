"""Passes over a whole row: the only code that touches every logit.

A row comes as itself and its `tail`: `BLOCK` logits that hold what is left after the last whole
block, filled up with −inf; for a row of whole blocks the tail is not looked at. Sums are float32
within a block and float64 across blocks. `block_max` holds the largest logit of every block.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from decoding.kernels.compiled.blocks import (
    copy_32,
    copy_edited_block,
    count_above_block,
    divide_block,
    edit_32,
    extremes_between,
    largest_key,
    largest_of_block,
    mask_between,
    spread_block,
    survey_block,
    weigh_block,
)
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.scalars import (
    as_real,
    bit_count,
    trailing_zeros,
    value_at,
    value_of_key,
)

BLOCK = 256
MASK = 32
LOG2_E = 1.4426950408889634
SLACK = 2.5e-7
"""More than the relative rounding of a float32."""
_DOUBLE_SLACK = 1e-15
_WIDEST_FLOAT32 = 3.5e38
_LARGEST = 1.7976931348623157e308


@compiled
def block_count(row: Any, tail: Any) -> Any:
    """Blocks of a row, the tail included."""
    return (len(row) + len(tail) - 1) // len(tail)


@compiled
def largest_of_blocks(row: Any, tail: Any, block_max: Any) -> Any:
    """The largest logit of a row whose block maxima are known."""
    blocks = block_count(row, tail)
    whole = blocks // 4 * 4
    # Four that do not wait for one another.
    largest, second, third, fourth = -np.inf, -np.inf, -np.inf, -np.inf
    for block in range(0, whole, 4):
        largest, second = max(largest, block_max[block]), max(second, block_max[block + 1])
        third, fourth = max(third, block_max[block + 2]), max(fourth, block_max[block + 3])
    for block in range(whole, blocks):
        largest = max(largest, block_max[block])
    return max(largest, second, third, fourth)


@compiled
def rates_of(scale: Any) -> Any:
    """The rate at which 2 is raised for exp(z · scale), and the lowest gap that counts."""
    rate = np.float32(scale * LOG2_E)
    # Not −126: rounded, the weight would be denormal, which takes a hundred times as long.
    return rate, np.float32(-125.0) / rate


def largest_value(row: Any, start: Any, size: Any) -> Any:
    """The largest logit of a block; NaN where there is one. For half precision by integer keys."""
    raise NotImplementedError  # compiled code takes the overload below


@overload(largest_value, jit_options={"nogil": True, "error_model": "numpy"})
def _largest_value(row: Any, start: Any, size: Any) -> Any:
    def by_key(row: Any, start: Any, size: Any) -> Any:
        return value_of_key(row, largest_key(row, start, start + size))

    def by_value(row: Any, start: Any, size: Any) -> Any:
        top, has_nan = largest_of_block(row, start, start + size)
        return np.nan if has_nan else np.float64(top)

    return by_value if row.dtype in (types.float32, types.float64) else by_key


@compiled
def scan(row: Any, tail: Any, block_max: Any) -> Any:
    """The largest logit; NaN or +inf where any logit is NaN or +inf."""
    size = len(tail)
    whole = len(row) // size
    largest = -np.inf
    for block in range(block_count(row, tail)):
        if block < whole:
            top = largest_value(row, block * size, size)
        else:
            top = largest_value(tail, 0, size)
        block_max[block] = top
        if not top <= largest:
            if not top < np.inf:
                return top
            largest = top
    return largest


@compiled
def survey(row: Any, tail: Any, block_max: Any) -> Any:
    """The largest logit as in `scan`, and the sums of `weigh` relative to it, in one pass.

    The sums are taken relative to a reference, the largest logit of some block, which is replaced
    where a logit exceeds it by more than 40.
    """
    size = len(tail)
    whole = len(row) // size
    rate, lowest = rates_of(1.0)
    reference, known = as_real(row, 0.0), False
    total, moment, largest = 0.0, 0.0, -np.inf
    for block in range(block_count(row, tail)):
        start = block * size
        weight, first, block_top = np.float32(0.0), np.float32(0.0), -np.inf
        for _ in range(2):
            if block < whole:
                weight, first, top = survey_block(row, start, start + size, reference, rate, lowest)
            else:
                weight, first, top = survey_block(tail, 0, size, reference, rate, lowest)
            block_top = np.float64(top)
            if known and block_top <= np.float64(reference) + 40.0:
                break
            if not -np.inf < block_top < np.inf:
                break
            # Once more, relative to this block's largest.
            if known:
                change = np.float64(reference) - block_top
                moment = math.exp(change) * (moment + total * change)
                total *= math.exp(change)
            reference, known = top, True
        if np.isnan(weight) or block_top == np.inf:
            return np.nan, 0.0, 0.0
        block_max[block] = block_top
        largest = max(largest, block_top)
        if known:
            total += np.float64(weight)
            moment += np.float64(first)
    change = np.float64(reference) - largest
    if known:
        moment = math.exp(change) * (moment + total * change)
        total *= math.exp(change)
    return largest, total, moment


@compiled
def weigh(row: Any, tail: Any, reference: Any, scale: Any) -> Any:
    """Σ w and Σ w · gap, where gap = (z − reference) · scale and w = exp(gap)."""
    size = len(tail)
    whole = len(row) // size
    rate, lowest = rates_of(scale)
    zero = as_real(row, reference)
    total, moment = 0.0, 0.0
    for block in range(whole):
        weight, first = weigh_block(row, block * size, block * size + size, zero, rate, lowest)
        total += np.float64(weight)
        moment += np.float64(first)
    if whole * size < len(row):
        weight, first = weigh_block(tail, 0, size, zero, rate, lowest)
        total += np.float64(weight)
        moment += np.float64(first)
    return total, moment * scale


@compiled
def _spread(row: Any, tail: Any, centre: Any) -> Any:
    """How many logits are finite, and Σ d and Σ d² of them, d = z − centre."""
    size = len(tail)
    whole = len(row) // size
    real = as_real(row, centre)
    count, total, square = 0.0, 0.0, 0.0
    for block in range(block_count(row, tail)):
        if block < whole:
            n, first, second = spread_block(row, block * size, block * size + size, real)
        else:
            n, first, second = spread_block(tail, 0, size, real)
        count += np.float64(n)
        total += np.float64(first)
        square += np.float64(second)
    return count, total, square


@compiled
def deviation(row: Any, tail: Any, largest: Any) -> Any:
    """The population standard deviation of the finite logits; NaN where float32 cannot say."""
    count, total, _ = _spread(row, tail, largest)
    if total == 0.0:
        return 0.0
    # About the mean, so that little cancels however far off a few logits are.
    _, total, square = _spread(row, tail, largest + total / count)
    variance = square / count - (total / count) ** 2
    return math.sqrt(variance) if 1e-30 < variance < 1e30 else np.nan


@compiled
def find_fault(row: Any) -> Any:
    """The first NaN or +inf of a row, and how many there are."""
    first, count = -1, 0
    for token_id in range(len(row)):
        if not value_at(row, token_id) < np.inf:
            if first < 0:
                first = token_id
            count += 1
    return first, count


@compiled
def count_above(row: Any, tail: Any, block_max: Any, bound: Any) -> Any:
    """How many logits are larger than one that the row has."""
    size = len(tail)
    whole = len(row) // size
    real = as_real(row, bound)
    count = 0
    for block in range(whole):
        if block_max[block] > bound:
            count += count_above_block(row, block * size, block * size + size, real)
    if whole * size < len(row) and block_max[whole] > bound:
        count += count_above_block(tail, 0, size, real)
    return count


@compiled
def lowest_finite(row: Any) -> Any:
    """The lowest number of the row's precision."""
    lowest = -1.7976931348623157e308
    if np.float64(as_real(row, lowest)) == -np.inf:
        lowest = -3.4028234663852886e38
    return lowest


@compiled
def is_wide(row: Any) -> Any:
    """Whether the row's precision is float64."""
    return lowest_finite(row) < -_WIDEST_FLOAT32


@compiled
def can_divide(row: Any, tail: Any, temperature: Any) -> Any:
    """Whether z / T is plain division, without the care that is taken where it overflows."""
    if not 1e-18 < temperature < 1e18:
        return False
    if not is_wide(row) or temperature >= 1.0:
        return True
    least, largest = extremes(row, tail, -np.inf, np.inf)
    return max(-least, largest) <= _LARGEST * temperature


@compiled
def lower_real(row: Any, bound: Any) -> Any:
    """The least finite number of the row's precision that is not below `bound`, or just below it.

    Just below: by what rounding in float64 may have added to `bound`.
    """
    bound = min(bound, _LARGEST)
    bound = max(bound - abs(bound) * _DOUBLE_SLACK, lowest_finite(row))
    real = as_real(row, bound)
    return real if np.float64(real) >= bound else np.nextafter(real, as_real(row, np.inf))


@compiled
def upper_real(row: Any, bound: Any) -> Any:
    """The largest number of the row's precision that is not above `bound`, or just above it."""
    if bound >= _LARGEST:
        return as_real(row, np.inf)
    bound += abs(bound) * _DOUBLE_SLACK
    real = as_real(row, bound)
    return real if np.float64(real) <= bound else np.nextafter(real, as_real(row, -np.inf))


@compiled
def is_hopeless(found: Any, looked_at: Any, row: Any, step: Any, limit: Any) -> Any:
    """Whether so many of the first tokens qualify that all that do would be far above a limit."""
    if looked_at < 512:
        return False
    if found * len(row) > 4 * looked_at * step * limit:
        return True
    return 4 * found > 3 * looked_at and 3 * len(row) > 4 * step * limit


@compiled
def collect(
    row: Any,
    tail: Any,
    block_max: Any,
    temperature: Any,
    low: Any,
    high: Any,
    limit: Any,
    step: Any,
    slot: Any,
    ids: Any,
    logits: Any,
    count: Any,
) -> Any:
    """Append the possible tokens with low ≤ z / T ≤ high, in order of id; the new count.

    Only every `step`-th block is looked at. Tokens with a `slot` are left out. −1 where that would
    make more than `limit`, or plainly seems to after some blocks.
    """
    size = len(tail)
    whole = len(row) // size
    least, most = lower_real(row, low * temperature), upper_real(row, high * temperature)
    floor = np.float64(least)
    before = count
    for block in range(0, block_count(row, tail), step):
        if not block_max[block] >= floor:
            continue
        looked_at = block // step
        if looked_at <= 16 and is_hopeless(count - before, looked_at * size, row, step, limit):
            return -1
        for lane in range(0, size, 32):
            if block < whole:
                mask = mask_between(row, block * size + lane, least, most)
            else:
                mask = mask_between(tail, lane, least, most)
            if count + 32 > limit and count + bit_count(mask) > limit:
                return -1
            while mask != 0:
                token_id = block * size + lane + trailing_zeros(mask)
                mask = np.uint32(mask & np.uint32(mask - np.uint32(1)))
                logit = value_at(row, token_id) / temperature
                if low <= logit <= high and logit > -np.inf and slot[token_id] == 0:
                    ids[count] = token_id
                    logits[count] = logit
                    count += 1
    return count


@compiled
def extremes(row: Any, tail: Any, low: Any, high: Any) -> Any:
    """The least and the largest finite logit in [low, high]; +inf, −inf if there is none."""
    size = len(tail)
    whole = len(row) // size
    bottom, top = as_real(row, max(low, lowest_finite(row))), as_real(row, high)
    least, largest = np.inf, -np.inf
    for block in range(block_count(row, tail)):
        if block < whole:
            one, other = extremes_between(row, block * size, block * size + size, bottom, top)
        else:
            one, other = extremes_between(tail, 0, size, bottom, top)
        least = min(least, np.float64(one))
        largest = max(largest, np.float64(other))
    return least, largest


@compiled
def nth_equal(row: Any, tail: Any, value: Any, n: Any) -> Any:
    """The id of the n-th token, from 1, whose logit is `value`; there are as many."""
    size = len(tail)
    whole = len(row) // size
    real = as_real(row, value)
    for start in range(0, block_count(row, tail) * size, 32):
        if start < whole * size:
            mask = mask_between(row, start, real, real)
        else:
            mask = mask_between(tail, start - whole * size, real, real)
        here = bit_count(mask)
        if here < n:
            n -= here
            continue
        while n > 1:
            mask = np.uint32(mask & np.uint32(mask - np.uint32(1)))
            n -= 1
        return start + trailing_zeros(mask)
    return len(row) - 1


@compiled
def append_equal(
    row: Any, tail: Any, value: Any, logit: Any, room: Any, ids: Any, logits: Any, count: Any
) -> Any:
    """Append the first `room` tokens whose stored logit is `value`, as `logit`; the new count."""
    size = len(tail)
    whole = len(row) // size
    real = as_real(row, value)
    for start in range(0, block_count(row, tail) * size, 32):
        if start < whole * size:
            mask = mask_between(row, start, real, real)
        else:
            mask = mask_between(tail, start - whole * size, real, real)
        while mask != 0:
            if room <= 0:
                return count
            ids[count], logits[count] = start + trailing_zeros(mask), logit
            mask = np.uint32(mask & np.uint32(mask - np.uint32(1)))
            count += 1
            room -= 1
    return count


@compiled
def count_in_block(row: Any, start: Any, low: Any, high: Any) -> Any:
    """`count_between` of the block that begins at `start`."""
    least, most = as_real(row, low), as_real(row, high)
    count = 0
    for lane in range(0, BLOCK, MASK):
        count += bit_count(mask_between(row, start + lane, least, most))
    return count


@compiled
def count_between(row: Any, tail: Any, low: Any, high: Any) -> Any:
    """How many logits lie in [low, high], bounds that are the row's own values."""
    whole = len(row) // BLOCK * BLOCK
    count = 0
    for start in range(0, whole, BLOCK):
        count += count_in_block(row, start, low, high)
    if whole < len(row):
        count += count_in_block(tail, 0, low, high)
    return count


@compiled
def copy_block(row: Any, tail: Any, block: Any, shadow: Any) -> Any:
    """One block of a row into its shadow, as it is."""
    none, infinite = as_real(row, -np.inf), as_real(row, np.inf)
    start = block * BLOCK
    for lane in range(0, BLOCK, MASK):
        if start + BLOCK <= len(row):
            copy_32(row, start + lane, none, infinite, shadow, start + lane)
        else:
            copy_32(tail, lane, none, infinite, shadow, start + lane)


@compiled
def copy_row(
    row: Any, tail: Any, low: Any, high: Any, last_tie: Any, shadow: Any, block_max: Any
) -> Any:
    """Copy a row into a shadow of whole blocks, −inf where a logit is outside [low, high].

    Writes the shadow's `block_max`, and returns its largest logit.

    Of those equal to `low`, only tokens up to `last_tie` stay. The bounds are the row's own values.
    The shadow may be the row.
    """
    size = len(tail)
    whole = len(row) // size
    least, most = as_real(row, low), as_real(row, high)
    above = np.nextafter(least, as_real(row, np.inf))
    largest = -np.inf
    for start in range(0, block_count(row, tail) * size, 32):
        bound = least if start <= last_tie else above
        if start < whole * size:
            copy_32(row, start, bound, most, shadow, start)
        else:
            copy_32(tail, start - whole * size, bound, most, shadow, start)
        if start <= last_tie < start + 31:
            for token_id in range(last_tie + 1, start + 32):
                if shadow[token_id] <= least:
                    shadow[token_id] = -np.inf
        if (start + 32) % size == 0:
            block = start // size
            block_max[block] = largest_value(shadow, block * size, size)
            largest = max(largest, block_max[block])
    return largest


@compiled
def copy_edited_row(
    row: Any, tail: Any, bitmask: Any, inside: Any, outside: Any, shadow: Any, block_max: Any
) -> Any:
    """A row copied as `copy_row` does, all of it, and edited as `edit_row` does."""
    size = len(tail)
    whole = len(row) // size
    for block in range(block_count(row, tail)):
        start = block * size
        if block < whole and start + size <= 32 * len(bitmask):
            top = copy_edited_block(
                row, start, start + size, bitmask, inside, outside, shadow, start
            )
            block_max[block] = top
            continue
        copy_block(row, tail, block, shadow)
        for lane in range(0, size, 32):
            word = (start + lane) // 32
            bits = bitmask[word] if word < len(bitmask) else np.int32(0)
            edit_32(shadow, start + lane, bits, inside, outside)
        block_max[block] = largest_value(shadow, start, size)


@compiled
def edit_row(shadow: Any, bitmask: Any, inside: Any, outside: Any) -> Any:
    """Add `inside` to the logits whose bit is set, `outside` to the others; words are 32 tokens."""
    for start in range(0, len(shadow), 32):
        word = start // 32
        bits = bitmask[word] if word < len(bitmask) else np.int32(0)
        edit_32(shadow, start, bits, inside, outside)


@compiled
def divide_row(shadow: Any, block_max: Any, temperature: Any) -> Any:
    """z / T of every logit of a shadow; its block maxima stay right, as rounding keeps order."""
    if temperature == 1.0:
        return
    for block in range(len(shadow) // BLOCK):
        divide_block(shadow, block * BLOCK, block * BLOCK + BLOCK, temperature)
        block_max[block] /= temperature
