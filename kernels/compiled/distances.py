"""Operations on one block by the distance of logits from a centre, as Numba intrinsics.

A distance is |z − centre| in float32, rounded as every other one, so that what is in order in the
row is in order here; −∞ for a logit above the ceiling. Everything else is as in `blocks`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from decoding.kernels.compiled.blocks import MASK_LANES, gap_of, loop, sum_of, zeros
from decoding.kernels.compiled.formats import LANES, Stored, each_format, real_type
from decoding.kernels.compiled.vectors import (
    FLOAT,
    INT32,
    Vector,
    exp2_of_product,
    splat,
    store,
)


def distance_of(stored: Stored, values: Vector, centre: Any, ceiling: Any) -> Vector:
    """|values − centre|, as float32; −∞ above the ceiling."""
    away = gap_of(values, stored.real(centre)).bits_as(INT32) & 0x7FFFFFFF
    above = values.compare(">", stored.reals(ceiling, values.count))
    return above.choose(away.bits_as(FLOAT).constant(float("-inf")), away.bits_as(FLOAT))


@intrinsic
def bin_block(
    _context: Any,
    row: Any,
    start: Any,
    stop: Any,
    centre: Any,
    ceiling: Any,
    nearest: Any,
    boost: Any,
    factor: Any,
    limit: Any,
    reference: Any,
    rate: Any,
    lowest: Any,
    bins: Any,
    weights: Any,
) -> Any:
    """For a histogram over |z − centre|: each logit's bin, and its weight as in `weigh_block`.

    bin = 1 + (|z − centre| − nearest) · boost · factor, within [0, limit], rounded down. Both are
    written from 0 on.
    """
    real = real_type(row)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, start, stop, centre, ceiling, nearest, boost, factor, limit = arguments[:9]
        reference, rate, lowest, bins, out = arguments[9:]
        bins_kind, out_kind = signature.args[-2:]
        rates, bounds, boosts, factors, nears, limits = (
            splat(builder, scalar, LANES)
            for scalar in (rate, lowest, boost, factor, nearest, limit)
        )

        def generate_for(stored: Stored) -> list[Any]:
            def body(index: Any, _totals: list[Any]) -> list[Any]:
                values = stored.values(index, LANES)
                distance = distance_of(stored, values, centre, ceiling)
                place = ((distance - nears) * boosts).multiply_add(factors, 1.0).larger(0.0)
                place = place.compare("<", limits).choose(place, limits)
                offset = builder.sub(index, start)
                whole = place.convert("fptosi", INT32)
                store(context, builder, bins_kind, bins, offset, whole)
                gap = gap_of(values, stored.real(reference))
                weight, _ = exp2_of_product(gap, rates, bounds)
                store(context, builder, out_kind, out, offset, weight)
                return []

            return loop(builder, start, stop, LANES, [], body)

        each_format(context, builder, signature.args[0], arguments[0], generate_for, start)
        return context.get_dummy_value()

    single = types.float32
    scalars = (real, real, single, single, single, single, real, single, single)
    return types.void(row, start, stop, *scalars, bins, weights), generate


@intrinsic
def weigh_within(
    _context: Any,
    row: Any,
    start: Any,
    stop: Any,
    centre: Any,
    ceiling: Any,
    inner: Any,
    outer: Any,
    reference: Any,
    rate: Any,
    lowest: Any,
) -> Any:
    """Σ of `weigh_block`'s weights nearer than `inner`, and from `inner` to `outer`."""
    real, single = real_type(row), types.float32

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, start, stop, centre, ceiling, inner, outer = arguments[:7]
        reference, rate, lowest = arguments[7:]
        rates, bounds, inners, outers = (
            splat(builder, scalar, LANES) for scalar in (rate, lowest, inner, outer)
        )

        def generate_for(stored: Stored) -> list[Any]:
            def body(index: Any, totals: list[Any]) -> list[Any]:
                values = stored.values(index, LANES)
                distance = distance_of(stored, values, centre, ceiling)
                gap = gap_of(values, stored.real(reference))
                weight, _ = exp2_of_product(gap, rates, bounds)
                nearer = distance.compare("<", inners)
                between = distance.compare(">=", inners) & distance.compare("<=", outers)
                inside, beside = (Vector(builder, total) for total in totals)
                inside = inside + nearer.choose(weight, 0.0)
                return [inside.value, (beside + between.choose(weight, 0.0)).value]

            sums = loop(builder, start, stop, LANES, [zeros(FLOAT, LANES)] * 2, body)
            return [sum_of(Vector(builder, total)) for total in sums]

        results = each_format(
            context, builder, signature.args[0], arguments[0], generate_for, start
        )
        return context.make_tuple(builder, signature.return_type, results)

    result = types.UniTuple(single, 2)
    return result(row, start, stop, real, real, single, single, real, single, single), generate


@intrinsic
def mask_within(
    _context: Any, row: Any, start: Any, centre: Any, ceiling: Any, inner: Any, outer: Any
) -> Any:
    """Bit i says whether inner ≤ |row[start + i] − centre| ≤ outer, for 32 logits."""
    real, single = real_type(row), types.float32

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, start, centre, ceiling, inner, outer = arguments

        def generate_for(stored: Stored) -> list[Any]:
            values = stored.values(start, MASK_LANES)
            distance = distance_of(stored, values, centre, ceiling)
            above = distance.compare(">=", splat(builder, inner, MASK_LANES))
            below = distance.compare("<=", splat(builder, outer, MASK_LANES))
            return [builder.bitcast((above & below).value, ir.IntType(MASK_LANES))]

        [mask] = each_format(context, builder, signature.args[0], arguments[0], generate_for, start)
        return mask

    return types.uint32(row, start, real, real, single, single), generate
