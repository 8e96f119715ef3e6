"""Operations on one block of a row, as Numba intrinsics over `vectors`.

A row is a one-dimensional array of stored logits: float32, float64, or the bits of bfloat16
(uint16) or float16 (int16). `start` and `stop` bound a block of a whole number of `LANES`; that it
ends at `stop` is only known at run time keeps LLVM from unrolling a loop beyond its registers.
Bounds given as floats are of the row's own precision: float64 for float64 rows, else float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from decoding.kernels.compiled.scalars import KEYS, float_type
from decoding.kernels.compiled.vectors import (
    DOUBLE,
    FLOAT,
    INT32,
    INT64,
    Vector,
    exp,
    exp2_of_product,
    load,
    ordered_key,
    splat,
    store,
    widen,
)

WIDE = llvm.get_host_cpu_features().get("avx512f", False)
LANES = 16 if WIDE else 8
"""As many lanes as leave enough registers for the constants of a loop."""
SCAN_LANES = 32
MASK_LANES = 32
KEY_LANES = 64


def loop(
    builder: Any,
    start: Any,
    stop: Any,
    lanes: int,
    totals: list[Any],
    body: Callable[[Any, list[Any]], list[Any]],
) -> list[Any]:
    """Run `body(index, totals)`, which returns the new totals, every `lanes` from start to stop.

    There is at least one step. The loop is not unrolled: a body has as many chains of operations
    as registers allow.
    """
    function = builder.function
    before, inside = builder.block, function.append_basic_block("block.loop")
    after = function.append_basic_block("block.end")
    builder.branch(inside)
    builder.position_at_end(inside)
    index = builder.phi(INT64)
    index.add_incoming(start, before)
    running = [builder.phi(total.type) for total in totals]
    results = body(index, running)
    following = builder.add(index, ir.Constant(INT64, lanes))
    again = builder.icmp_signed("<", following, stop)
    jump = builder.cbranch(again, inside, after)
    jump.set_metadata("llvm.loop", _not_unrolled(builder.module))
    index.add_incoming(following, inside)
    for phi, total, result in zip(running, totals, results, strict=True):
        phi.add_incoming(total, before)
        phi.add_incoming(result, inside)
    builder.position_at_end(after)
    return results


def _not_unrolled(module: Any) -> Any:
    """A loop's identity, which begins with itself, and the request not to unroll it."""
    request = module.add_metadata(["llvm.loop.unroll.disable"])
    identity = module.add_metadata([request, request])
    identity.operands = (identity, request)
    return identity


def zeros(element: Any, count: int) -> Any:
    """A vector of zeros."""
    kind = ir.VectorType(element, count)
    zero = 0.0 if element != INT32 and isinstance(element, ir.FloatType | ir.DoubleType) else 0
    return ir.Constant(kind, [zero] * count)


def sum_of(vector: Vector) -> Any:
    """The sum of the lanes."""
    return vector.reduce(lambda one, other: one + other)


def gap_of(values: Vector, reference: Any) -> Vector:
    """values − reference, as float32."""
    gap = values - splat(values.builder, reference, values.count)
    return gap if gap.element == FLOAT else gap.convert("fptrunc", FLOAT)


@intrinsic
def largest_key(_context: Any, row: Any, start: Any, stop: Any) -> Any:
    """The largest key of a block; the type of keys is unsigned, as wide as the stored logits."""
    dtype = row.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, stop = arguments
        kind = signature.args[0]
        lanes = KEY_LANES if dtype in (types.uint16, types.int16) else LANES
        element = context.get_data_type(KEYS[dtype])

        def body(index: Any, totals: list[Any]) -> list[Any]:
            bits = load(context, builder, kind, array, index, lanes)
            return [ordered_key(bits, dtype).larger(Vector(builder, totals[0])).value]

        lowest = ir.Constant(ir.VectorType(element, lanes), [0] * lanes)
        [top] = loop(builder, start, stop, lanes, [lowest], body)
        return Vector(builder, top).reduce(lambda one, other: one.larger(other))

    return KEYS[dtype](row, start, stop), generate


@intrinsic
def largest_of_block(_context: Any, row: Any, start: Any, stop: Any) -> Any:
    """The largest logit of a block of float32 or float64 that is no NaN, and whether one is."""
    real = float_type(row.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, stop = arguments
        element = context.get_data_type(real)
        flags = ir.IntType(SCAN_LANES)

        def body(index: Any, totals: list[Any]) -> list[Any]:
            values = load(context, builder, signature.args[0], array, index, SCAN_LANES)
            nans = builder.fcmp_unordered("uno", values.value, values.value)
            found = builder.or_(totals[1], nans)
            return [values.larger(Vector(builder, totals[0])).value, found]

        lowest = ir.Constant(ir.VectorType(element, SCAN_LANES), [float("-inf")] * SCAN_LANES)
        none = ir.Constant(ir.VectorType(ir.IntType(1), SCAN_LANES), [0] * SCAN_LANES)
        top, nans = loop(builder, start, stop, SCAN_LANES, [lowest, none], body)
        results = [
            Vector(builder, top).reduce(lambda one, other: one.larger(other)),
            builder.icmp_unsigned("!=", builder.bitcast(nans, flags), ir.Constant(flags, 0)),
        ]
        return context.make_tuple(builder, signature.return_type, results)

    return types.Tuple((real, types.boolean))(row, start, stop), generate


@intrinsic
def survey_block(
    _context: Any, row: Any, start: Any, stop: Any, reference: Any, rate: Any, lowest: Any
) -> Any:
    """The sums of `weigh_block`, NaN if any logit is, and the largest logit that is none."""
    real = float_type(row.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, stop, reference, rate, lowest = arguments
        kind = signature.args[0]
        element = context.get_data_type(real)
        rates, bounds = (splat(builder, scalar, LANES) for scalar in (rate, lowest))

        def body(index: Any, totals: list[Any]) -> list[Any]:
            values = widen(load(context, builder, kind, array, index, LANES), row.dtype)
            weights, gap = exp2_of_product(gap_of(values, reference), rates, bounds)
            total, moment, top = (Vector(builder, item) for item in totals)
            moment = weights.multiply_add(gap, moment)
            return [(total + weights).value, moment.value, values.larger(top).value]

        start_values = [
            *[zeros(FLOAT, LANES)] * 2,
            ir.Constant(ir.VectorType(element, LANES), [float("-inf")] * LANES),
        ]
        *sums, top = loop(builder, start, stop, LANES, start_values, body)
        results = [
            *(sum_of(Vector(builder, total)) for total in sums),
            Vector(builder, top).reduce(lambda one, other: one.larger(other)),
        ]
        return context.make_tuple(builder, signature.return_type, results)

    result = types.Tuple((types.float32, types.float32, real))
    return result(row, start, stop, real, types.float32, types.float32), generate


@intrinsic
def weigh_block(
    _context: Any, row: Any, start: Any, stop: Any, reference: Any, rate: Any, lowest: Any
) -> Any:
    """Σ w and Σ w · (z − reference), with w = 2^((z − reference) · rate), in float32."""
    real = float_type(row.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, stop, reference, rate, lowest = arguments
        kind = signature.args[0]
        rates, bounds = (splat(builder, scalar, LANES) for scalar in (rate, lowest))

        def body(index: Any, totals: list[Any]) -> list[Any]:
            values = widen(load(context, builder, kind, array, index, LANES), row.dtype)
            weights, gap = exp2_of_product(gap_of(values, reference), rates, bounds)
            moment = weights.multiply_add(gap, Vector(builder, totals[1]))
            return [(Vector(builder, totals[0]) + weights).value, moment.value]

        sums = loop(builder, start, stop, LANES, [zeros(FLOAT, LANES)] * 2, body)
        results = [sum_of(Vector(builder, total)) for total in sums]
        return context.make_tuple(builder, signature.return_type, results)

    result = types.UniTuple(types.float32, 2)
    return result(row, start, stop, real, types.float32, types.float32), generate


@intrinsic
def weigh_alive_block(
    _context: Any, row: Any, start: Any, stop: Any, reference: Any, rate: Any, lowest: Any
) -> Any:
    """The sums of `weigh_block`, and the least weight."""
    real = float_type(row.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, stop, reference, rate, lowest = arguments
        kind = signature.args[0]
        rates, bounds = (splat(builder, scalar, LANES) for scalar in (rate, lowest))

        def body(index: Any, totals: list[Any]) -> list[Any]:
            values = widen(load(context, builder, kind, array, index, LANES), row.dtype)
            weights, gap = exp2_of_product(gap_of(values, reference), rates, bounds)
            total, moment, least = (Vector(builder, item) for item in totals)
            least = weights.compare("<", least).choose(weights, least)
            moment = weights.multiply_add(gap, moment)
            return [(total + weights).value, moment.value, least.value]

        most = ir.Constant(ir.VectorType(FLOAT, LANES), [float("inf")] * LANES)
        begin = [*[zeros(FLOAT, LANES)] * 2, most]
        *sums, least = loop(builder, start, stop, LANES, begin, body)
        smallest = Vector(builder, least).reduce(lambda a, b: a.compare("<", b).choose(a, b))
        results = [*(sum_of(Vector(builder, total)) for total in sums), smallest]
        return context.make_tuple(builder, signature.return_type, results)

    result = types.UniTuple(types.float32, 3)
    return result(row, start, stop, real, types.float32, types.float32), generate


@intrinsic
def spread_block(_context: Any, row: Any, start: Any, stop: Any, centre: Any) -> Any:
    """How many logits are finite, and Σ d and Σ d² of them, d = z − centre, all in float32."""
    real = float_type(row.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, stop, centre = arguments

        def body(index: Any, totals: list[Any]) -> list[Any]:
            bits = load(context, builder, signature.args[0], array, index, LANES)
            values = widen(bits, row.dtype)
            alive = values.compare(">", float("-inf"))
            away = alive.choose(gap_of(values, centre), 0.0)
            count, total, square = (Vector(builder, item) for item in totals)
            ones = alive.choose(away.constant(1.0), 0.0)
            square = away.multiply_add(away, square)
            return [(count + ones).value, (total + away).value, square.value]

        sums = loop(builder, start, stop, LANES, [zeros(FLOAT, LANES)] * 3, body)
        results = [sum_of(Vector(builder, total)) for total in sums]
        return context.make_tuple(builder, signature.return_type, results)

    return types.UniTuple(types.float32, 3)(row, start, stop, real), generate


@intrinsic
def mask_between(_context: Any, row: Any, start: Any, low: Any, high: Any) -> Any:
    """Bit i says whether low ≤ row[start + i] ≤ high, for 32 logits."""
    real = float_type(row.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, low, high = arguments
        bits = load(context, builder, signature.args[0], array, start, MASK_LANES)
        values = widen(bits, row.dtype)
        above = values.compare(">=", splat(builder, low, MASK_LANES))
        below = values.compare("<=", splat(builder, high, MASK_LANES))
        return builder.bitcast((above & below).value, INT32)

    return types.uint32(row, start, real, real), generate


@intrinsic
def mask_equal(_context: Any, numbers: Any, start: Any, number: Any) -> Any:
    """Bit i says whether numbers[start + i] is `number`, for 32 int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, number = arguments
        found = load(context, builder, signature.args[0], array, start, MASK_LANES)
        same = found.compare("==", splat(builder, number, MASK_LANES))
        return builder.bitcast(same.value, INT32)

    return types.uint32(numbers, start, types.int32), generate


@intrinsic
def count_above_block(_context: Any, row: Any, start: Any, stop: Any, bound: Any) -> Any:
    """How many logits of a block are larger than `bound`."""
    real = float_type(row.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, stop, bound = arguments
        bounds = splat(builder, bound, SCAN_LANES)

        def body(index: Any, totals: list[Any]) -> list[Any]:
            bits = load(context, builder, signature.args[0], array, index, SCAN_LANES)
            larger = widen(bits, row.dtype).compare(">", bounds).convert("sext", INT32)
            return [(Vector(builder, totals[0]) - larger).value]

        [count] = loop(builder, start, stop, SCAN_LANES, [zeros(INT32, SCAN_LANES)], body)
        return sum_of(Vector(builder, count))

    return types.int32(row, start, stop, real), generate


@intrinsic
def extremes_between(_context: Any, row: Any, start: Any, stop: Any, low: Any, high: Any) -> Any:
    """The least and the largest of a block's logits in [low, high]; +inf, −inf if none is."""
    real = float_type(row.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, stop, low, high = arguments
        kind = signature.args[0]
        element = context.get_data_type(real)
        lows, highs = (splat(builder, bound, LANES) for bound in (low, high))

        def body(index: Any, totals: list[Any]) -> list[Any]:
            values = widen(load(context, builder, kind, array, index, LANES), row.dtype)
            inside = values.compare(">=", lows) & values.compare("<=", highs)
            least, largest = (Vector(builder, total) for total in totals)
            smaller = inside & values.compare("<", least)
            greater = inside & values.compare(">", largest)
            return [smaller.choose(values, least).value, greater.choose(values, largest).value]

        bounds = [
            ir.Constant(ir.VectorType(element, LANES), [float(sign + "inf")] * LANES)
            for sign in ("+", "-")
        ]
        least, largest = loop(builder, start, stop, LANES, bounds, body)
        results = [
            Vector(builder, least).reduce(lambda a, b: a.compare("<", b).choose(a, b)),
            Vector(builder, largest).reduce(lambda a, b: a.larger(b)),
        ]
        return context.make_tuple(builder, signature.return_type, results)

    return types.UniTuple(real, 2)(row, start, stop, real, real), generate


@intrinsic
def weigh_eight(_context: Any, logits: Any, start: Any, reference: Any, weights: Any) -> Any:
    """Of eight float64: w = exp(logit − reference) into `weights`, and Σ w, Σ w · gap.

    Where a gap is −700 or less, w is 0.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, reference, out = arguments
        values = load(context, builder, signature.args[0], array, start, 8)
        gap = (values - splat(builder, reference, 8)).at_least(-700.0)
        found = gap.compare(">", -700.0).choose(exp(gap), 0.0)
        store(context, builder, signature.args[-1], out, start, found)
        return context.make_tuple(
            builder, signature.return_type, [sum_of(found), sum_of(found * gap)]
        )

    result = types.UniTuple(types.float64, 2)
    return result(logits, start, types.float64, weights), generate


def exact(values: Vector) -> Vector:
    """Logits as float64."""
    return values if values.element == DOUBLE else values.convert("fpext", DOUBLE)


@intrinsic
def copy_32(_context: Any, row: Any, start: Any, low: Any, high: Any, shadow: Any, at: Any) -> Any:
    """32 logits into `shadow`, float64, from `at` on, −inf for those outside [low, high]."""
    real = float_type(row.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, low, high, shadow, at = arguments
        bits = load(context, builder, signature.args[0], array, start, MASK_LANES)
        values = widen(bits, row.dtype)
        inside = values.compare(">=", splat(builder, low, MASK_LANES))
        inside &= values.compare("<=", splat(builder, high, MASK_LANES))
        kept = inside.choose(values, float("-inf"))
        store(context, builder, signature.args[4], shadow, at, exact(kept))
        return context.get_dummy_value()

    return types.void(row, start, real, real, shadow, at), generate


@intrinsic
def divide_block(_context: Any, shadow: Any, start: Any, stop: Any, divisor: Any) -> Any:
    """Divide a block of `shadow`, float64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, stop, divisor = arguments
        kind = signature.args[0]
        divisors = splat(builder, divisor, LANES)

        def body(index: Any, _totals: list[Any]) -> list[Any]:
            values = load(context, builder, kind, array, index, LANES)
            store(context, builder, kind, array, index, values / divisors)
            return []

        loop(builder, start, stop, LANES, [], body)
        return context.get_dummy_value()

    return types.void(shadow, start, stop, types.float64), generate


@intrinsic
def copy_edited_block(
    _context: Any,
    row: Any,
    start: Any,
    stop: Any,
    bitmask: Any,
    inside: Any,
    outside: Any,
    shadow: Any,
    at: Any,
) -> Any:
    """A block into `shadow` from token `at` on, edited as `edit_32` does; its largest logit."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, stop, bitmask, inside, outside, shadow, at = arguments
        kinds = signature.args
        one, other = splat(builder, inside, MASK_LANES), splat(builder, outside, MASK_LANES)

        def body(index: Any, totals: list[Any]) -> list[Any]:
            token = builder.add(at, builder.sub(index, start))
            place = builder.lshr(token, ir.Constant(INT64, 5))
            word = load(context, builder, kinds[3], bitmask, place, 1)
            bits = builder.bitcast(word.value, ir.VectorType(ir.IntType(1), MASK_LANES))
            values = widen(load(context, builder, kinds[0], array, index, MASK_LANES), row.dtype)
            edited = exact(values) + Vector(builder, bits).choose(one, other)
            store(context, builder, kinds[6], shadow, token, edited)
            return [edited.larger(Vector(builder, totals[0])).value]

        lowest = ir.Constant(ir.VectorType(DOUBLE, MASK_LANES), [float("-inf")] * MASK_LANES)
        [top] = loop(builder, start, stop, MASK_LANES, [lowest], body)
        return Vector(builder, top).reduce(lambda one, other: one.larger(other))

    real = types.float64
    return real(row, start, stop, bitmask, real, real, shadow, at), generate


@intrinsic
def edit_32(_context: Any, shadow: Any, start: Any, word: Any, inside: Any, outside: Any) -> Any:
    """Add `inside` to 32 logits of `shadow` where a bit of `word` is set, else `outside`."""
    real = types.float64

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, word, inside, outside = arguments
        kind = signature.args[0]
        values = load(context, builder, kind, array, start, MASK_LANES)
        bits = builder.bitcast(word, ir.VectorType(ir.IntType(1), MASK_LANES))
        added = Vector(builder, bits).choose(
            splat(builder, inside, MASK_LANES), splat(builder, outside, MASK_LANES)
        )
        store(context, builder, kind, array, start, values + added)
        return context.get_dummy_value()

    return types.void(shadow, start, types.int32, real, real), generate
