"""Numba intrinsics (SIMD) that sum the weights exp((z − reference) · scale) of a block's logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from decoding.kernels.compiled.blocks import (
    bounds_of,
    fold,
    gap_of,
    larger,
    loop,
    plus,
    smaller,
)
from decoding.kernels.compiled.formats import LANES, Stored, over_row
from decoding.kernels.compiled.intrinsics import GIVEN, Array
from decoding.kernels.compiled.vectors import (
    DOUBLE,
    FLOAT,
    INT32,
    INT64,
    Vector,
    exp2_of_product,
    filled,
    splat,
)
from decoding.kernels.randomness import BLOCK_SIZE

_INF = float("inf")
_INDEX, _REAL, _SINGLE = types.int64, types.float64, types.float32


def factors(stored: Stored, reference: Any, rate: Any, lowest: Any) -> Any:
    """A function of a vector of logits: two factors of 2^(gap · rate), and gaps z − reference.

    Gaps below `lowest` count as that.
    """
    zero = stored.real(reference)
    rates, bounds = (splat(stored.builder, item, LANES) for item in (rate, lowest))

    def factors_of(values: Vector) -> tuple[Vector, Vector, Vector]:
        gap = gap_of(values, zero).at_least(bounds)
        return *exp2_of_product(gap, rates), gap

    return factors_of


def _weights_of(stored: Stored, reference: Any, rate: Any, lowest: Any) -> Any:
    """A function of a vector of logits: weights 2^((z − reference) · rate), gaps z − reference."""
    factors_of = factors(stored, reference, rate, lowest)

    def weigh(values: Vector) -> tuple[Vector, Vector]:
        near, power, gap = factors_of(values)
        return near * power, gap

    return weigh


def _survey(
    stored: Stored,
    start: Any,
    stop: Any,
    totals: list[tuple[Vector, Any]],
    add: Callable[[Vector, list[Vector]], list[Vector]],
    block_max: Array,
) -> list[Any]:
    """Write each block's largest logit; the totals as of `fold`."""
    builder, size = stored.builder, len(totals)
    firsts, joins = [first for first, _ in totals], [join for _, join in totals]
    low = filled(builder, stored.element, LANES, -_INF)

    def body(index: Any, running: list[Vector]) -> list[Vector]:
        found: list[Vector] = []
        halves = running[: size + 1], running[size + 1 :]
        for values, (top, *sums) in zip(stored.pair(index), halves, strict=True):
            found += [values.larger(top), *add(values, sums)]
        return found

    def each_block(first: Any, running: list[Vector]) -> list[Vector]:
        end = builder.add(first, ir.Constant(INT64, BLOCK_SIZE))
        before = [low, *running[:size], low, *running[size:]]
        found = loop(builder, first, end, 2 * LANES, before, body)
        largest = found[0].larger(found[size + 1]).reduce(larger)
        if largest.type != DOUBLE:
            largest = builder.fpext(largest, DOUBLE)
        place = builder.lshr(first, ir.Constant(INT64, BLOCK_SIZE.bit_length() - 1))
        block_max.store(place, splat(builder, largest, 1))
        return [*found[1 : size + 1], *found[size + 2 :]]

    found = loop(builder, start, stop, BLOCK_SIZE, firsts * 2, each_block)
    return [
        join(one, other).reduce(join)
        for join, one, other in zip(joins, found[:size], found[size:], strict=True)
    ]


@over_row(_SINGLE, _INDEX, _REAL, _SINGLE, _SINGLE, GIVEN)
def survey_total(
    stored: Stored, start: Any, stop: Any, reference: Any, rate: Any, lowest: Any, block_max: Array
) -> list[Any]:
    """Σ weight of a block as of `weigh_block`, NaN if any logit is; writes each block's largest.

    That goes into `block_max`, at the place of the block; a NaN is not looked at.
    """
    factors_of, zero = (
        factors(stored, reference, rate, lowest),
        filled(stored.builder, FLOAT, LANES),
    )

    def add(values: Vector, sums: list[Vector]) -> list[Vector]:
        near, power, _ = factors_of(values)
        return [near.multiply_add(power, sums[0])]

    return _survey(stored, start, stop, [(zero, plus)], add, block_max)


@over_row((_SINGLE, _SINGLE), _INDEX, _REAL, _SINGLE, _SINGLE, GIVEN)
def survey_sums(
    stored: Stored, start: Any, stop: Any, reference: Any, rate: Any, lowest: Any, block_max: Array
) -> list[Any]:
    """Σ weight, the same bits as of `survey_total`, and Σ weight · gap; writes the maxima too."""
    factors_of, zero = (
        factors(stored, reference, rate, lowest),
        filled(stored.builder, FLOAT, LANES),
    )

    def add(values: Vector, sums: list[Vector]) -> list[Vector]:
        near, power, gap = factors_of(values)
        weight = near * power
        return [near.multiply_add(power, sums[0]), weight.multiply_add(gap, sums[1])]

    return _survey(stored, start, stop, [(zero, plus)] * 2, add, block_max)


@over_row((_SINGLE,) * 4, _INDEX, _REAL, *[_SINGLE] * 3, GIVEN)
def survey_twice(
    stored: Stored,
    start: Any,
    stop: Any,
    reference: Any,
    rate: Any,
    other_rate: Any,
    lowest: Any,
    block_max: Array,
) -> list[Any]:
    """`survey_total` at a rate, and `weigh_block` at another, in one pass; then the least gap."""
    factors_of = factors(stored, reference, rate, lowest)
    others = splat(stored.builder, other_rate, LANES)
    zero, most = (filled(stored.builder, FLOAT, LANES, value) for value in (0.0, _INF))

    def add(values: Vector, sums: list[Vector]) -> list[Vector]:
        near, power, gap = factors_of(values)
        other_near, other_power = exp2_of_product(gap, others)
        weight = other_near * other_power
        other = [sums[1] + weight, weight.multiply_add(gap, sums[2])]
        return [near.multiply_add(power, sums[0]), *other, smaller(gap, sums[3])]

    totals = [*[(zero, plus)] * 3, (most, smaller)]
    return _survey(stored, start, stop, totals, add, block_max)


@over_row((_SINGLE, _SINGLE), _INDEX, _REAL, _SINGLE, _SINGLE)
def weigh_block(
    stored: Stored, start: Any, stop: Any, reference: Any, rate: Any, lowest: Any
) -> list[Any]:
    """Σ w and Σ w · (z − reference), with w = 2^((z − reference) · rate), in float32."""
    weigh, zero = _weights_of(stored, reference, rate, lowest), filled(stored.builder, FLOAT, LANES)

    def add(values: Vector, totals: list[Vector]) -> list[Vector]:
        weight, gap = weigh(values)
        return [totals[0] + weight, weight.multiply_add(gap, totals[1])]

    return fold(stored, start, stop, [(zero, plus)] * 2, add)


@over_row((_SINGLE, _SINGLE, _SINGLE), _INDEX, _REAL, _SINGLE, _SINGLE)
def weigh_alive_block(
    stored: Stored, start: Any, stop: Any, reference: Any, rate: Any, lowest: Any
) -> list[Any]:
    """Σ weight and Σ weight · gap of a block as of `weigh_block`, and its least weight."""
    weigh, zero = _weights_of(stored, reference, rate, lowest), filled(stored.builder, FLOAT, LANES)
    most = filled(stored.builder, FLOAT, LANES, _INF)

    def add(values: Vector, totals: list[Vector]) -> list[Vector]:
        weight, gap = weigh(values)
        sums = [totals[0] + weight, weight.multiply_add(gap, totals[1])]
        return [*sums, smaller(weight, totals[2])]

    return fold(stored, start, stop, [(zero, plus), (zero, plus), (most, smaller)], add)


@over_row((_SINGLE, _SINGLE, types.int32), _INDEX, _REAL, _SINGLE, _SINGLE, _REAL, _REAL)
def weigh_block_between(
    stored: Stored,
    start: Any,
    stop: Any,
    reference: Any,
    rate: Any,
    lowest: Any,
    low: Any,
    high: Any,
) -> list[Any]:
    """Σ weight, Σ weight · gap and the count of a block's logits in [low, high]."""
    weigh, zero = _weights_of(stored, reference, rate, lowest), filled(stored.builder, FLOAT, LANES)
    none, lows, highs = filled(stored.builder, INT32, LANES), *bounds_of(stored, low, high, LANES)

    def add(values: Vector, totals: list[Vector]) -> list[Vector]:
        inside = values.compare(">=", lows) & values.compare("<=", highs)
        weight, gap = weigh(values)
        return add_chosen(inside, weight, gap, totals)

    return fold(stored, start, stop, [(zero, plus), (zero, plus), (none, plus)], add)


def add_chosen(inside: Vector, weight: Vector, gap: Vector, totals: list[Vector]) -> list[Vector]:
    """Add the lanes whose flag is set to three totals: Σ weight, Σ weight · gap, and how many."""
    chosen = inside.choose(weight, 0.0)
    total, moment, count = totals
    return [
        total + chosen,
        chosen.multiply_add(gap, moment),
        count - inside.convert("sext", INT32),
    ]
