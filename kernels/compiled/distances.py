"""Operations on one block by the distance of logits from a centre, as Numba intrinsics.

A distance is |z − centre| in float32, rounded as every other one, so that what is in order in the
row is in order here; −∞ for a logit above the ceiling. Everything else is as in `blocks`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from decoding.kernels.compiled.blocks import LANES, MASK_LANES, gap_of, loop, sum_of, zeros
from decoding.kernels.compiled.scalars import float_type
from decoding.kernels.compiled.vectors import (
    FLOAT,
    INT32,
    Vector,
    exp2_of_product,
    load,
    splat,
    store,
    widen,
)


def distance_of(values: Vector, centre: Any, ceiling: Any) -> Vector:
    """|values − centre|, as float32; −∞ above the ceiling."""
    away = (gap_of(values, centre).bits_as(INT32) & 0x7FFFFFFF).bits_as(FLOAT)
    above = values.compare(">", splat(values.builder, ceiling, values.count))
    return above.choose(away.constant(float("-inf")), away)


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
    real = float_type(row.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, stop, centre, ceiling, nearest, boost, factor, limit = arguments[:9]
        reference, rate, lowest, bins, out = arguments[9:]
        kind, bins_kind, out_kind = signature.args[0], signature.args[-2], signature.args[-1]
        rates, bounds, boosts, factors, nears, limits = (
            splat(builder, scalar, LANES)
            for scalar in (rate, lowest, boost, factor, nearest, limit)
        )

        def body(index: Any, _totals: list[Any]) -> list[Any]:
            values = widen(load(context, builder, kind, array, index, LANES), row.dtype)
            distance = distance_of(values, centre, ceiling)
            place = ((distance - nears) * boosts).multiply_add(factors, 1.0).larger(0.0)
            place = place.compare("<", limits).choose(place, limits)
            offset = builder.sub(index, start)
            whole = place.convert("fptosi", INT32)
            store(context, builder, bins_kind, bins, offset, whole)
            weight, _ = exp2_of_product(gap_of(values, reference), rates, bounds)
            store(context, builder, out_kind, out, offset, weight)
            return []

        loop(builder, start, stop, LANES, [], body)
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
    real, single = float_type(row.dtype), types.float32

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, stop, centre, ceiling, inner, outer = arguments[:7]
        reference, rate, lowest = arguments[7:]
        kind = signature.args[0]
        rates, bounds, inners, outers = (
            splat(builder, scalar, LANES) for scalar in (rate, lowest, inner, outer)
        )

        def body(index: Any, totals: list[Any]) -> list[Any]:
            values = widen(load(context, builder, kind, array, index, LANES), row.dtype)
            distance = distance_of(values, centre, ceiling)
            weight, _ = exp2_of_product(gap_of(values, reference), rates, bounds)
            nearer = distance.compare("<", inners)
            between = distance.compare(">=", inners) & distance.compare("<=", outers)
            inside, beside = (Vector(builder, total) for total in totals)
            inside = inside + nearer.choose(weight, 0.0)
            return [inside.value, (beside + between.choose(weight, 0.0)).value]

        sums = loop(builder, start, stop, LANES, [zeros(FLOAT, LANES)] * 2, body)
        results = [sum_of(Vector(builder, total)) for total in sums]
        return context.make_tuple(builder, signature.return_type, results)

    result = types.UniTuple(single, 2)
    return result(row, start, stop, real, real, single, single, real, single, single), generate


@intrinsic
def mask_within(
    _context: Any, row: Any, start: Any, centre: Any, ceiling: Any, inner: Any, outer: Any
) -> Any:
    """Bit i says whether inner ≤ |row[start + i] − centre| ≤ outer, for 32 logits."""
    real, single = float_type(row.dtype), types.float32

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, centre, ceiling, inner, outer = arguments
        bits = load(context, builder, signature.args[0], array, start, MASK_LANES)
        distance = distance_of(widen(bits, row.dtype), centre, ceiling)
        above = distance.compare(">=", splat(builder, inner, MASK_LANES))
        below = distance.compare("<=", splat(builder, outer, MASK_LANES))
        return builder.bitcast((above & below).value, ir.IntType(MASK_LANES))

    return types.uint32(row, start, real, real, single, single), generate
