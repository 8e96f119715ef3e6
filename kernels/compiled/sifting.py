"""Numba intrinsics that sort the logits of one block by their distance from a centre.

They serve a truncation's search for its boundary: `bin_block` fills a histogram, and `gather_block`
copies out what lies near. Everything else is as in `blocks`.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types

from decoding.kernels.compiled.blocks import gap_of, loop, plus
from decoding.kernels.compiled.formats import LANES, PAIR, Stored, over_row
from decoding.kernels.compiled.intrinsics import GIVEN, Array
from decoding.kernels.compiled.selection import BINS_BEYOND
from decoding.kernels.compiled.vectors import DOUBLE, FLOAT, INT32, INT64, Vector, filled, splat
from decoding.kernels.compiled.weights import add_chosen, factors, shifted_factors

_COMPRESSES = llvm.get_host_cpu_features().get("avx512f", False)
"""Whether the machine moves the chosen lanes of a register to its front in one instruction."""
_REGISTER = 64


@over_row(types.void, types.int64, types.float64, *[types.float32] * 3, types.int32, GIVEN)
def bin_block(
    stored: Stored,
    start: Any,
    stop: Any,
    centre: Any,
    near: Any,
    boost: Any,
    factor: Any,
    beyond: Any,
    bins: Array,
) -> list[Any]:
    """The bin of each logit of a block, written into `bins` from 0 on.

    bin = (|z − centre| − near) · boost · factor, at least 0, rounded down; for logits above the
    centre beyond + `BINS_BEYOND` is added. Distances are float32.

    What would be `beyond` or more is spread over as many bins from there on: as a rule most logits
    are, and counts of one bin wait for each other.
    """
    builder, zero = stored.builder, stored.real(centre)
    nears, boosts, factors = (splat(builder, item, LANES) for item in (near, boost, factor))
    least = splat(builder, builder.sitofp(beyond, FLOAT), LANES)
    most = least + Vector(builder, ir.Constant(least.value.type, list(range(LANES))))
    further = splat(builder, builder.add(beyond, ir.Constant(INT32, BINS_BEYOND)), LANES)

    def body(index: Any, _totals: list[Vector]) -> list[Vector]:
        gap = gap_of(stored.values(index, LANES), zero)
        distance = (gap.bits_as(INT32) & 0x7FFFFFFF).bits_as(FLOAT)
        place = ((distance - nears) * boosts * factors).larger(0.0)
        place = place.compare("<", least).choose(place, most)
        above = gap.compare(">", 0.0).choose(further, 0)
        bins.store(builder.sub(index, start), place.convert("fptosi", INT32) + above)
        return []

    return loop(builder, start, stop, LANES, [], body)


def _append(values: Vector, chosen: Vector, address: Any, count: Any) -> Any:
    """Write the chosen lanes behind `count` others, and some more lanes behind them; the count."""
    builder = values.builder
    size = 8 if values.element == DOUBLE else 4
    lanes = min(_REGISTER // size, values.count)
    for first in range(0, values.count, lanes):
        part, bits = values.part(first, lanes), chosen.part(first, lanes)
        place = builder.add(address, builder.mul(count, ir.Constant(INT64, size)))
        if _COMPRESSES and lanes * size == _REGISTER:
            kind = part.value.type
            name = f"llvm.x86.avx512.mask.compress.v{lanes}f{8 * size}"
            module = builder.module
            compress = module.globals.get(name) or ir.Function(
                module, ir.FunctionType(kind, [kind, kind, bits.value.type]), name
            )
            packed = builder.call(compress, [part.value, part.value, bits.value])
            builder.store(packed, builder.inttoptr(place, kind.as_pointer()), align=1)
            flags = ir.IntType(lanes)
            found = builder.ctpop(builder.bitcast(bits.value, flags))
            count = builder.add(count, builder.zext(found, INT64))
            continue
        target = builder.inttoptr(place, part.element.as_pointer())
        before = count
        for lane in range(lanes):
            number = ir.Constant(INT32, lane)
            at = builder.gep(target, [builder.sub(count, before)])
            builder.store(builder.extract_element(part.value, number), at)
            bit = builder.extract_element(bits.value, number)
            count = builder.add(count, builder.zext(bit, INT64))
    return count


@over_row(types.int64, types.int64, types.float64, types.float64, types.int64, types.int64)
def gather_block(
    stored: Stored, start: Any, stop: Any, low: Any, high: Any, address: Any, count: Any
) -> list[Any]:
    """Copy the logits in [low, high] to `address`, behind `count` others; their new count.

    As float64 where the row is, else as float32, in any order. Some lanes behind them are written
    too.
    """
    builder = stored.builder
    lows, highs = stored.reals(low, PAIR), stored.reals(high, PAIR)

    def body(index: Any, totals: list[Vector]) -> list[Vector]:
        values = stored.unordered(index, PAIR)
        chosen = values.compare(">=", lows) & values.compare("<=", highs)
        return [splat(builder, _append(values, chosen, address, totals[0].lane(0)), 1)]

    [found] = loop(builder, start, stop, PAIR, [splat(builder, count, 1)], body)
    return [found.lane(0)]


@over_row(
    (types.int64, types.float32), types.int64, types.float64, types.int64, types.int64,
    types.float64, *[types.float32] * 3,
)  # fmt: skip
def gather_and_weigh(
    stored: Stored, start: Any, stop: Any, low: Any, address: Any, count: Any,
    reference: Any, lowest: Any, rate: Any, rounder: Any,
) -> list[Any]:  # fmt: skip
    """`gather_block` of the logits that are `low` or more, and Σ w of all as of `survey_total`."""
    builder, lows = stored.builder, stored.reals(low, PAIR)
    factors_of = shifted_factors(stored, reference, lowest, rate, rounder)

    def body(index: Any, totals: list[Vector]) -> list[Vector]:
        values = stored.unordered(index, PAIR)
        [(near, power)], _ = factors_of(values)
        found = _append(values, values.compare(">=", lows), address, totals[0].lane(0))
        return [splat(builder, found, 1), near.multiply_add(power, totals[1])]

    before = [splat(builder, count, 1), filled(builder, FLOAT, PAIR)]
    found, total = loop(builder, start, stop, PAIR, before, body)
    return [found.lane(0), total.reduce(plus)]


@over_row(
    (types.float32, types.float32, types.int32, types.float32, types.int64),
    types.int64, types.float64, types.float32, types.float32, *[types.float64] * 4,
    types.int64, types.int64,
)  # fmt: skip
def sift_block(
    stored: Stored, start: Any, stop: Any, reference: Any, rate: Any, lowest: Any,
    low: Any, high: Any, outer_low: Any, outer_high: Any, address: Any, count: Any,
) -> list[Any]:  # fmt: skip
    """The results of `weigh_block_between` of [low, high], Σ w of all, the count of `gather_block`.

    That copies the logits in [outer_low, outer_high] which are not in [low, high].
    """
    builder = stored.builder
    factors_of = factors(stored, reference, rate, lowest)
    lows, highs, outer_lows, outer_highs = (
        stored.reals(bound, PAIR) for bound in (low, high, outer_low, outer_high)
    )

    def body(index: Any, totals: list[Vector]) -> list[Vector]:
        values = stored.unordered(index, PAIR)
        near, power, gap = factors_of(values)
        inside = values.compare(">=", lows) & values.compare("<=", highs)
        around = values.compare(">=", outer_lows) & values.compare("<=", outer_highs)
        found = _append(values, around & (inside ^ 1), address, totals[4].lane(0))
        weight = near * power
        sums = add_chosen(inside, weight, gap, totals[:3])
        return [*sums, totals[3] + weight, splat(builder, found, 1)]

    zero, none = filled(builder, FLOAT, PAIR), filled(builder, INT32, PAIR)
    before = [zero, zero, none, zero, splat(builder, count, 1)]
    *sums, found = loop(builder, start, stop, PAIR, before, body)
    return [*(item.reduce(plus) for item in sums), found.lane(0)]
