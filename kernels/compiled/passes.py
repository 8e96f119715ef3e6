"""Numba: loops over a whole row of logits that scan, sum, count, collect, copy or edit it.

Sums are float32 within a block, or a run of four, and float64 across them. `block_max` holds the
largest logit of every block; of a row with masks, a bound of it that is hardly larger.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from decoding.kernels.compiled.blocks import (
    copy_block_between,
    count_block_between,
    divide_block_between,
    extremes_between,
    largest_value,
    spread_block,
)
from decoding.kernels.compiled.formats import FLOAT64
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.scalars import (
    above_of,
    as_real,
    below_of,
    value_at,
)
from decoding.kernels.compiled.weights import weigh_block, weigh_block_between
from decoding.kernels.randomness import BLOCK_SIZE

BLOCK = BLOCK_SIZE
RUN = 8 * BLOCK
"""So many logits are summed at once where no block's own sum is asked for."""
MASK = 32
LOG2_E = 1.4426950408889634
SLACK = 2.5e-7
"""More than the relative rounding of a float32."""
_DOUBLE_SLACK, _TINY = 1e-15, 1e-300
_LARGEST = 1.7976931348623157e308


@compiled
def blocks_of(row: Any) -> Any:
    """How many blocks a row has, the last of which need not be whole."""
    return (row.width + BLOCK - 1) // BLOCK


class Window(NamedTuple):
    """Which tokens of a row a truncation keeps.

    low, high: the bounds of their logits, in the row's precision. last_tie: the last token kept of
    those equal to `low`. total, moment, support: Σ w, Σ w · gap and how many there are, where
    gap = (z − largest) / T with the largest logit of the whole row, and w = exp(gap); total and
    moment are NaN where they are not known.
    """

    low: Any
    high: Any
    last_tie: Any
    total: Any
    moment: Any
    support: Any


@compiled
def everything(vocab: Any) -> Any:
    """The window of a row of which all is kept."""
    return Window(-np.inf, np.inf, np.int64(vocab), np.nan, np.nan, np.int64(0))


@compiled
def interval(row: Any, low: Any, high: Any) -> Any:
    """The window of the logits in [low, high]."""
    return Window(low, high, np.int64(row.width), np.nan, np.nan, np.int64(0))


@compiled
def largest_of_blocks(row: Any, block_max: Any) -> Any:
    """The largest logit of a row whose block maxima are known."""
    blocks = blocks_of(row)
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
    return rate, np.float32(max(np.float32(-125.0) / rate, np.float32(-3e38)))


@compiled
def scan(row: Any, block_max: Any) -> Any:
    """The largest logit; NaN or +inf where any logit is NaN or +inf."""
    largest = -np.inf
    for block in range(blocks_of(row)):
        top = largest_value(row, block * BLOCK, block * BLOCK + BLOCK)
        block_max[block] = top
        if not top <= largest:
            if not top < np.inf:
                return top
            largest = top
    return largest


@compiled
def run_from(row: Any, start: Any) -> Any:
    """How many logits from a block's start on are summed at once: `RUN`, or what is left."""
    return min(RUN, row.whole - start) if start < row.whole else BLOCK


@compiled
def largest_of_run(block_max: Any, start: Any, stop: Any) -> Any:
    """The largest of some blocks, given where the first starts and the last stops."""
    largest = -np.inf
    for block in range(start // BLOCK, stop // BLOCK):
        largest = max(largest, block_max[block])
    return largest


@compiled
def weigh(row: Any, reference: Any, scale: Any) -> Any:
    """Σ w and Σ w · gap, where gap = (z − reference) · scale and w = exp(gap)."""
    rate, lowest = rates_of(scale)
    zero = as_real(row, reference)
    total, moment, start = 0.0, 0.0, 0
    while start < row.width:
        stop = start + run_from(row, start)
        weight, first = weigh_block(row, start, stop, zero, rate, lowest)
        total += np.float64(weight)
        moment += np.float64(first)
        start = stop
    return total, moment * scale


@compiled
def _spread(row: Any, centre: Any) -> Any:
    """How many logits are finite, and Σ d and Σ d² of them, d = z − centre."""
    real = as_real(row, centre)
    count, total, square = 0.0, 0.0, 0.0
    for block in range(blocks_of(row)):
        n, first, second = spread_block(row, block * BLOCK, block * BLOCK + BLOCK, real)
        count += np.float64(n)
        total += np.float64(first)
        square += np.float64(second)
    return count, total, square


@compiled
def deviation(row: Any, largest: Any) -> Any:
    """The population standard deviation of the finite logits; NaN where float32 cannot say."""
    count, total, _ = _spread(row, largest)
    if total == 0.0:
        return 0.0
    # About the mean, so that little cancels however far off a few logits are.
    _, total, square = _spread(row, largest + total / count)
    variance = square / count - (total / count) ** 2
    return math.sqrt(variance) if 1e-30 < variance < 1e30 else np.nan


@compiled
def find_fault(row: Any) -> Any:
    """The first NaN or +inf of a row, and how many there are."""
    first, count = -1, 0
    for token_id in range(row.width):
        if not value_at(row, token_id) < np.inf:
            if first < 0:
                first = token_id
            count += 1
    return first, count


@compiled
def count_above(row: Any, block_max: Any, bound: Any) -> Any:
    """How many logits are larger than a number of the row's precision."""
    count, least = 0, above_of(row, bound)
    for block in range(blocks_of(row)):
        if block_max[block] > bound:
            count += count_in_block(row, block * BLOCK, least, np.inf)
    return count


@compiled
def lowest_finite(row: Any) -> Any:
    """The lowest number of the row's precision."""
    lowest = -_LARGEST
    if np.float64(as_real(row, lowest)) == -np.inf:
        lowest = -3.4028234663852886e38
    return lowest


@compiled
def is_wide(row: Any) -> Any:
    """Whether the row's precision is float64."""
    return row.format == FLOAT64


@compiled
def can_divide(row: Any, temperature: Any) -> Any:
    """Whether z / T is plain division, without the care that is taken where it overflows."""
    if not 1e-18 < temperature < 1e18:
        return False
    if not is_wide(row) or temperature >= 1.0:
        return True
    least, largest = extremes(row, -np.inf, np.inf)
    return max(-least, largest) <= _LARGEST * temperature


@compiled
def smallest_at_least(row: Any, bound: Any, temperature: Any, bias: Any) -> Any:
    """The least finite number z of the row's precision with (z + bias) / T ≥ bound, in float64.

    +inf where there is none. By bisection, as near 0 many z make the same sum.
    """
    lowest = lowest_finite(row)
    if bound == -np.inf or (lowest + bias) / temperature >= bound:
        return lowest
    real = min(max(bound * temperature, -_LARGEST), _LARGEST)
    margin = _DOUBLE_SLACK * (abs(real) + abs(bias)) + _TINY
    # The first does not reach the bound; the second does, if any number does.
    low = max(below_of(row, as_real(row, max(real - bias - margin, lowest))), lowest)
    high = min(above_of(row, as_real(row, max(real - bias + margin, lowest))), -lowest)
    middle = as_real(row, low + 0.5 * (high - low))
    while low < middle < high:
        if (middle + bias) / temperature >= bound:
            high = middle
        else:
            low = middle
        middle = as_real(row, low + 0.5 * (high - low))
    return high if (high + bias) / temperature >= bound else np.inf


@compiled
def stored_bounds(row: Any, low: Any, high: Any, temperature: Any) -> Any:
    """The least and the largest finite number z of the row's precision with low ≤ z / T ≤ high."""
    least, most = smallest_at_least(row, low, temperature, 0.0), -lowest_finite(row)
    if high < np.inf:
        beyond = smallest_at_least(row, np.nextafter(high, np.inf), temperature, 0.0)
        most = below_of(row, beyond)
    return least, most


@compiled
def is_hopeless(found: Any, looked_at: Any, row: Any, limit: Any) -> Any:
    """Whether so many of the first tokens qualify that all that do would be far above a limit."""
    if looked_at < 512:
        return False
    # The more are looked at, the less the others may differ from them.
    doubt = 4.0 if looked_at < 4096 else 1.5
    if found * row.width > doubt * looked_at * limit:
        return True
    return 4 * found > 3 * looked_at and 3 * row.width > 4 * limit


@compiled
def extremes(row: Any, low: Any, high: Any) -> Any:
    """The least and the largest finite logit in [low, high]; +inf, −inf if there is none."""
    bottom, top = as_real(row, max(low, lowest_finite(row))), as_real(row, high)
    least, largest = np.inf, -np.inf
    for block in range(blocks_of(row)):
        start = block * BLOCK
        one, other = extremes_between(row, start, start + BLOCK, bottom, top)
        least, largest = min(least, one), max(largest, other)
    return least, largest


@compiled
def largest_within(row: Any, block_max: Any, window: Any, found: Any) -> Any:
    """The largest logit of a window; `found` receives those of its blocks, or bounds of them."""
    largest = -np.inf
    for block in range(blocks_of(row)):
        top, start = block_max[block], block * BLOCK
        if top < window.low:
            top = -np.inf
        elif top > window.high:
            bottom = max(window.low, lowest_finite(row))
            _, top = extremes_between(row, start, start + BLOCK, bottom, window.high)
        found[block] = top
        largest = max(largest, top)
    return largest


@compiled
def weigh_within(row: Any, block_max: Any, window: Any, reference: Any, scale: Any) -> Any:
    """Σ w and Σ w · gap of a window's tokens as in `weigh`, and how many these are."""
    rate, lowest = rates_of(scale)
    zero, low = as_real(row, reference), as_real(row, max(window.low, lowest_finite(row)))
    total, moment, support, stop = 0.0, 0.0, 0, 0
    while stop < row.width:
        start = stop
        stop = start + run_from(row, start)
        if largest_of_run(block_max, start, stop) < low:
            continue
        weight, first, count = weigh_block_between(
            row, start, stop, zero, rate, lowest, low, window.high
        )
        total += np.float64(weight)
        moment += np.float64(first)
        support += count
    moment *= scale
    if window.last_tie < row.width:
        beyond = support - window.support
        weight = math.exp(max((window.low - reference) * scale, -700.0)) * beyond
        total -= weight
        moment -= weight * (window.low - reference) * scale
        support -= beyond
    return total, moment, support


@compiled
def nth_equal(row: Any, value: Any, n: Any) -> Any:
    """The id of the n-th token, from 1, whose logit is `value`; there are as many."""
    for block in range(blocks_of(row)):
        here = count_in_block(row, block * BLOCK, value, value)
        if here < n:
            n -= here
            continue
        for token_id in range(block * BLOCK, row.width):
            n -= value_at(row, token_id) == value
            if n == 0:
                return np.int64(token_id)
    return np.int64(row.width - 1)


@compiled
def count_in_block(row: Any, start: Any, low: Any, high: Any) -> Any:
    """`count_between` of the block that begins at `start`."""
    least, most = as_real(row, low), as_real(row, high)
    return np.int64(count_block_between(row, start, start + BLOCK, least, most))


@compiled
def count_between(row: Any, low: Any, high: Any) -> Any:
    """How many logits lie in [low, high], bounds that are the row's own values."""
    count = 0
    for block in range(blocks_of(row)):
        count += count_in_block(row, block * BLOCK, low, high)
    return count


@compiled
def copy_block(row: Any, block: Any, low: Any, high: Any, temperature: Any, out: Any) -> Any:
    """One block of a row by a temperature into `out`, −inf outside [low, high]; its largest.

    low: finite, as −inf is not divided.
    """
    start = block * BLOCK
    if temperature == 1.0:
        return copy_block_between(row, start, start + BLOCK, low, high, out)
    return divide_block_between(
        row, start, start + BLOCK, low, high, temperature, 1.0 / temperature, out
    )
