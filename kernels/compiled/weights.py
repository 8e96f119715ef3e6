"""Numba intrinsics (SIMD) that sum the weights exp((z − reference) · scale) of a block's logits."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
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
from decoding.kernels.compiled.formats import LANES, PAIR, Stored, over_row
from decoding.kernels.compiled.intrinsics import GIVEN, Array, straight_line
from decoding.kernels.compiled.vectors import (
    DOUBLE,
    EXPONENT_ROUNDER,
    FLOAT,
    INT32,
    INT64,
    SHIFTS,
    Vector,
    exp2_of_sum,
    filled,
    splat,
)
from decoding.kernels.randomness import BLOCK_SIZE

_INF = float("inf")
_INDEX, _REAL, _SINGLE = types.int64, types.float64, types.float32


def factors(
    stored: Stored, reference: Any, rate: Any, lowest: Any
) -> Callable[[Vector], tuple[Vector, Vector, Vector]]:
    """Make a function of logits: weights 2^(gap · rate) as two factors, and gaps z − reference.

    Gaps below `lowest` count as that.
    """
    zero = stored.real(reference)
    rates, bounds = (splat(stored.builder, item, PAIR) for item in (rate, lowest))

    def factors_of(values: Vector) -> tuple[Vector, Vector, Vector]:
        gap = gap_of(values, zero).at_least(bounds)
        return *exp2_of_sum(gap, rates, gap.constant(EXPONENT_ROUNDER)), gap

    return factors_of


def shifted_factors(
    stored: Stored, reference: Any, lowest: Any, *exponents: Any
) -> Callable[[Vector], tuple[list[tuple[Vector, Vector]], Vector]]:
    """Make a function as of `factors`, which subtracts in the exponent, not from each logit.

    exponents: a rate and a rounder of `survey.exponent_of`, maybe more of them; the function
    returns a pair of factors for each. Weights are relative to what a rounder makes of the
    reference, gaps to the reference.
    """
    builder, apart = stored.builder, stored.element == DOUBLE or not SHIFTS
    zero = stored.real(reference)
    least = lowest if apart else stored.real(builder.fadd(reference, builder.fpext(lowest, DOUBLE)))
    bound, *vectors = (splat(builder, item, PAIR) for item in (least, *exponents))

    def factors_of(values: Vector) -> tuple[list[tuple[Vector, Vector]], Vector]:
        values = (gap_of(values, zero) if apart else values).at_least(bound)
        gap = values if apart else gap_of(values, zero)
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        return [exp2_of_sum(values, rate, rounder) for rate, rounder in pairs], gap

    return factors_of


@straight_line(types.float32, _REAL, _SINGLE, _SINGLE)
def weight_of(builder: Any, logit: Any, rate: Any, rounder: Any) -> list[Any]:
    """The weight of one float32 logit, computed as by `shifted_factors`."""
    value = builder.fptrunc(logit, FLOAT)
    near, power = exp2_of_sum(*(splat(builder, item, LANES) for item in (value, rate, rounder)))
    return [(near * power).lane(0)]


def _weights_of(
    stored: Stored, reference: Any, rate: Any, lowest: Any
) -> Callable[[Vector], tuple[Vector, Vector]]:
    """Make a function of logits: weights 2^(gap · rate), and gaps z − reference."""
    factors_of = factors(stored, reference, rate, lowest)

    def weigh(values: Vector) -> tuple[Vector, Vector]:
        near, power, gap = factors_of(values)
        return near * power, gap

    return weigh


_SUM, _LEAST_GAP, _LEAST_LOGIT = (plus, _SINGLE), (smaller, _SINGLE), (smaller, _REAL)
"""Totals of a survey: how two of them are joined, and of which type they are."""


def _surveying(exponents: int, *totals: tuple[Any, Any]) -> Callable[[Any], Any]:
    """The decorator that makes an intrinsic of `add(values, pairs, gap, running)`.

    f(row, start, stop, reference, lowest, block_max, rate, rounder ...) reads a run of blocks once
    and returns its totals. It writes each block's largest logit into `block_max`, at the place of
    the block; a NaN is not looked at.

    exponents: how many pairs of a rate and a rounder there are. add: what the totals become with
    some logits more, given their factors and gaps as of `shifted_factors`.
    """
    results = tuple(kind for _, kind in totals)

    def decorate(add: Any) -> Any:
        @over_row(
            results if len(results) > 1 else results[0],
            _INDEX, _REAL, _SINGLE, GIVEN, *[_SINGLE] * (2 * exponents),
        )  # fmt: skip
        @wraps(add)
        def survey(
            stored: Stored, start: Any, stop: Any, reference: Any, lowest: Any, block_max: Array,
            *numbers: Any,
        ) -> list[Any]:  # fmt: skip
            builder, factors_of = (
                stored.builder,
                shifted_factors(stored, reference, lowest, *numbers),
            )
            low = filled(builder, stored.element, PAIR, -_INF)

            def body(index: Any, running: list[Vector]) -> list[Vector]:
                values = stored.unordered(index, PAIR)
                return [values.larger(running[0]), *add(values, *factors_of(values), running[1:])]

            def each_block(first: Any, running: list[Vector]) -> list[Vector]:
                end = builder.add(first, ir.Constant(INT64, BLOCK_SIZE))
                top, *sums = loop(builder, first, end, PAIR, [low, *running], body)
                largest = top.reduce(larger)
                if largest.type != DOUBLE:
                    largest = builder.fpext(largest, DOUBLE)
                place = builder.lshr(first, ir.Constant(INT64, BLOCK_SIZE.bit_length() - 1))
                block_max.store(place, splat(builder, largest, 1))
                return sums

            before = [
                filled(
                    builder, stored.element if kind == _REAL else FLOAT, PAIR,
                    0.0 if join is plus else _INF,
                )
                for join, kind in totals
            ]  # fmt: skip
            found = loop(builder, start, stop, BLOCK_SIZE, before, each_block)
            return [total.reduce(join) for total, (join, _) in zip(found, totals, strict=True)]

        return survey

    return decorate


@_surveying(1, _SUM)
def survey_total(_values: Vector, pairs: Any, _gap: Vector, running: list[Vector]) -> list[Vector]:
    """Sum the weights of a run of blocks, NaN if any logit is."""
    [(near, power)] = pairs
    return [near.multiply_add(power, running[0])]


@_surveying(1, _SUM, _LEAST_LOGIT)
def survey_least(values: Vector, pairs: Any, _gap: Vector, running: list[Vector]) -> list[Vector]:
    """Sum the weights of a run, and find its least logit, which takes no subtraction a lane."""
    [(near, power)] = pairs
    return [near.multiply_add(power, running[0]), smaller(values, running[1])]


@_surveying(1, _SUM, _SUM, _LEAST_GAP)
def survey_sums(_values: Vector, pairs: Any, gap: Vector, running: list[Vector]) -> list[Vector]:
    """Sum weights and weight · gap of a run, and find its least gap."""
    [(near, power)] = pairs
    moment = (near * power).multiply_add(gap, running[1])
    return [near.multiply_add(power, running[0]), moment, smaller(gap, running[2])]


@_surveying(2, _SUM, _SUM, _SUM, _LEAST_GAP)
def survey_twice(_values: Vector, pairs: Any, gap: Vector, running: list[Vector]) -> list[Vector]:
    """Sum weights of a run at a rate, and take the sums of `survey_sums` at another, at once."""
    [(near, power), (other_near, other_power)] = pairs
    weight = other_near * other_power
    other = [running[1] + weight, weight.multiply_add(gap, running[2])]
    return [near.multiply_add(power, running[0]), *other, smaller(gap, running[3])]


@over_row((_SINGLE, _SINGLE), _INDEX, _REAL, _SINGLE, _SINGLE)
def weigh_block(
    stored: Stored, start: Any, stop: Any, reference: Any, rate: Any, lowest: Any
) -> list[Any]:
    """Sum the weights w = 2^((z − reference) · rate) of a block, and w · (z − reference)."""
    weigh, zero = _weights_of(stored, reference, rate, lowest), filled(stored.builder, FLOAT, PAIR)

    def add(values: Vector, totals: list[Vector]) -> list[Vector]:
        weight, gap = weigh(values)
        return [totals[0] + weight, weight.multiply_add(gap, totals[1])]

    return fold(stored, start, stop, [(zero, plus)] * 2, add)


@over_row((_SINGLE, _SINGLE, _SINGLE), _INDEX, _REAL, _SINGLE, _SINGLE)
def weigh_alive_block(
    stored: Stored, start: Any, stop: Any, reference: Any, rate: Any, lowest: Any
) -> list[Any]:
    """Sum a block as `weigh_block` does, and find its least weight."""
    weigh, zero = _weights_of(stored, reference, rate, lowest), filled(stored.builder, FLOAT, PAIR)
    most = filled(stored.builder, FLOAT, PAIR, _INF)

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
    """Sum as `weigh_block` does, of a block's logits in [low, high] alone, and count these."""
    weigh, zero = _weights_of(stored, reference, rate, lowest), filled(stored.builder, FLOAT, PAIR)
    none, lows, highs = filled(stored.builder, INT32, PAIR), *bounds_of(stored, low, high, PAIR)

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
