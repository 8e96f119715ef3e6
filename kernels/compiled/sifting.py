"""Numba intrinsics that sort the logits of one block by their distance from a centre.

They serve a truncation's search for its boundary: `bin_block` fills a histogram, and `sift_block`
sums what is nearer than a bracket of distances and copies out what lies in it. Everything else is
as in `blocks`.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from decoding.kernels.compiled.blocks import gap_of, loop, sum_of, zeros
from decoding.kernels.compiled.formats import LANES, Stored, each_format, real_type
from decoding.kernels.compiled.vectors import (
    DOUBLE,
    FLOAT,
    INT32,
    INT64,
    Vector,
    exp2_of_product,
    splat,
    store,
)

_COMPRESSES = llvm.get_host_cpu_features().get("avx512f", False)
"""Whether the machine moves the chosen lanes of a register to its front in one instruction."""
_REGISTER = 64


@intrinsic
def bin_block(
    _context: Any,
    row: Any,
    start: Any,
    stop: Any,
    centre: Any,
    near: Any,
    boost: Any,
    factor: Any,
    beyond: Any,
    bins: Any,
) -> Any:
    """The bin of each logit of a block, written into `bins` from 0 on.

    bin = (|z − centre| − near) · boost · factor, within [0, beyond], rounded down; for logits above
    the centre beyond + 1 is added. Distances are float32.
    """
    real = real_type(row)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, start, stop, centre, near, boost, factor, beyond, bins = arguments
        nears, boosts, factors = (splat(builder, item, LANES) for item in (near, boost, factor))
        most = splat(builder, builder.sitofp(beyond, FLOAT), LANES)
        further = splat(builder, builder.add(beyond, ir.Constant(INT32, 1)), LANES)

        def generate_for(stored: Stored) -> list[Any]:
            zero = stored.real(centre)

            def body(index: Any, _totals: list[Any]) -> list[Any]:
                gap = gap_of(stored.values(index, LANES), zero)
                distance = (gap.bits_as(INT32) & 0x7FFFFFFF).bits_as(FLOAT)
                place = ((distance - nears) * boosts * factors).larger(0.0)
                place = place.compare("<", most).choose(place, most)
                whole = place.convert("fptosi", INT32)
                above = gap.compare(">", 0.0).choose(further, 0)
                offset = builder.sub(index, start)
                store(context, builder, signature.args[-1], bins, offset, whole + above)
                return []

            return loop(builder, start, stop, LANES, [], body)

        each_format(context, builder, signature.args[0], arguments[0], generate_for, start)
        return context.get_dummy_value()

    single = types.float32
    return types.void(row, start, stop, real, single, single, single, types.int32, bins), generate


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


def _count_of(chosen: Vector) -> Any:
    """How many lanes are chosen."""
    builder, flags = chosen.builder, ir.IntType(chosen.count)
    return builder.zext(builder.ctpop(builder.bitcast(chosen.value, flags)), INT64)


@intrinsic
def sift_block(
    _context: Any,
    row: Any,
    start: Any,
    stop: Any,
    outer_low: Any,
    inner_low: Any,
    inner_high: Any,
    outer_high: Any,
    reference: Any,
    rate: Any,
    lowest: Any,
    address: Any,
    count: Any,
) -> Any:
    """Sums of `weigh_block`'s weights w, and copies of the logits in a bracket.

    Inside is inner_low < z < inner_high; the bracket is what else has outer_low ≤ z ≤ outer_high.

    Σ w; Σ w and Σ w · (z − reference) inside; Σ w inside and in the bracket; how many are inside.
    The logits in the bracket are written to `address`, behind `count` others, as float64 where the
    row is, else as float32, in any order; the last number is their new count. Some lanes behind
    them are written too.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, stop = arguments[1:3]
        reference, rate, lowest, address, count = arguments[7:]
        rates, bounds = (splat(builder, scalar, LANES) for scalar in (rate, lowest))

        def generate_for(stored: Stored) -> list[Any]:
            zero = stored.real(reference)
            edges = [stored.reals(edge, LANES) for edge in arguments[3:7]]

            def parts(values: Vector) -> tuple[Vector, Vector, Vector]:
                """The logits nearer than the bracket, those in it, and both."""
                reached = values.compare(">=", edges[0]) & values.compare("<=", edges[3])
                inside = values.compare(">", edges[1]) & values.compare("<", edges[2])
                return inside, reached & (inside ^ 1), reached

            def body(index: Any, totals: list[Any]) -> list[Any]:
                sums, (number, found) = totals[:8], totals[8:]
                results = []
                for place, values in enumerate(stored.pair(index)):
                    total, nearer, moment, within = (
                        Vector(builder, item) for item in sums[4 * place : 4 * place + 4]
                    )
                    weights, gap = exp2_of_product(gap_of(values, zero), rates, bounds)
                    inside, between, reached = parts(values)
                    own = inside.choose(weights, 0.0)
                    results += [
                        (total + weights).value,
                        (nearer + own).value,
                        own.multiply_add(gap, moment).value,
                        (within + reached.choose(weights, 0.0)).value,
                    ]
                    number = builder.add(number, _count_of(inside))
                    found = _append(values, between, address, found)
                return [*results, number, found]

            nothing = [*[zeros(FLOAT, LANES)] * 8, ir.Constant(INT64, 0), count]
            *sums, number, found = loop(builder, start, stop, 2 * LANES, nothing, body)
            joined = [
                sum_of(Vector(builder, one) + Vector(builder, other))
                for one, other in zip(sums[:4], sums[4:], strict=True)
            ]
            return [*joined, number, found]

        results = each_format(
            context, builder, signature.args[0], arguments[0], generate_for, start
        )
        return context.make_tuple(builder, signature.return_type, results)

    real, single = real_type(row), types.float32
    result = types.Tuple((single, single, single, single, types.int64, types.int64))
    return result(
        row, start, stop, real, real, real, real, real, single, single, address, count
    ), generate
