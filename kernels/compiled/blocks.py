"""Operations on one block of a row, as Numba intrinsics over `vectors`.

A row is a `Row`, or an array of stored logits. `start` and `stop` bound a block of a whole number
of `KEY_LANES`; that it ends at `stop` is only known at run time keeps LLVM from unrolling a loop
beyond its registers. Bounds given as floats are of the row's own precision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from decoding.kernels.compiled.formats import LANES, Stored, each_format, real_type
from decoding.kernels.compiled.vectors import (
    DOUBLE,
    FLOAT,
    INT32,
    INT64,
    Vector,
    divide,
    exp,
    exp2_of_product,
    load,
    ordered_key,
    splat,
    store,
    value_of_key,
    widen,
)
from decoding.kernels.randomness import BLOCK_SIZE

WIDE = LANES == 16
SCAN_LANES = 32
MASK_LANES = 32
KEY_LANES = 64
_FLOATS = (types.float32, types.float64)


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
    last = builder.block
    following = builder.add(index, ir.Constant(INT64, lanes))
    again = builder.icmp_signed("<", following, stop)
    jump = builder.cbranch(again, inside, after)
    jump.set_metadata("llvm.loop", _not_unrolled(builder.module))
    index.add_incoming(following, last)
    for phi, total, result in zip(running, totals, results, strict=True):
        phi.add_incoming(total, before)
        phi.add_incoming(result, last)
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


def _each_part(stored: Stored, index: Any, totals: list[Any], body: Any) -> list[Any]:
    """Run `body(values, totals)` on both vectors of `Stored.pair`, each with half of the totals."""
    half = len(totals) // 2
    results = []
    for values, own in zip(stored.pair(index), (totals[:half], totals[half:]), strict=True):
        results += body(values, [Vector(stored.builder, total) for total in own])
    return results


def _joined(builder: Any, totals: list[Any], combine: list[Any]) -> list[Any]:
    """One scalar of each pair of totals that `_each_part` returned."""
    half = len(totals) // 2
    return [
        join(Vector(builder, one), Vector(builder, other)).reduce(join)
        for one, other, join in zip(totals[:half], totals[half:], combine, strict=True)
    ]


def _plus(one: Vector, other: Vector) -> Vector:
    return one + other


def _larger(one: Vector, other: Vector) -> Vector:
    return one.larger(other)


def _smaller(one: Vector, other: Vector) -> Vector:
    return one.compare("<", other).choose(one, other)


def _same(total: Any) -> Any:
    return total


def _filled(element: Any, value: float) -> Any:
    """A vector of `LANES` times the number."""
    return ir.Constant(ir.VectorType(element, LANES), [value] * LANES)


@intrinsic
def largest_value(_context: Any, row: Any, start: Any, stop: Any) -> Any:
    """The largest logit of a block, as float64; NaN where there is one.

    Half precision is compared by integer keys, whose order has every NaN above +inf.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, start, stop = arguments

        def by_key(stored: Stored) -> Any:
            def body(index: Any, totals: list[Any]) -> list[Any]:
                keys = ordered_key(stored.bits(index, KEY_LANES), stored.dtype)
                return [keys.larger(Vector(builder, totals[0])).value]

            lowest = ir.Constant(ir.VectorType(ir.IntType(16), KEY_LANES), [0] * KEY_LANES)
            [top] = loop(builder, start, stop, KEY_LANES, [lowest], body)
            keys = Vector(builder, top)
            while keys.count > LANES:
                half = keys.count // 2
                keys = keys.part(0, half).larger(keys.part(half, half))
            largest = keys.convert("zext", INT32).reduce(_larger)
            key = splat(builder, builder.trunc(largest, ir.IntType(16)), 1)
            value = widen(value_of_key(key, stored.dtype), stored.dtype)
            return builder.extract_element(value.value, ir.Constant(INT32, 0))

        def by_value(stored: Stored) -> Any:
            element = FLOAT if stored.dtype == types.float32 else DOUBLE

            def body(index: Any, totals: list[Any]) -> list[Any]:
                values = stored.bits(index, SCAN_LANES)
                # One comparison says whether either of two logits is none.
                halves = [
                    values.part(first, SCAN_LANES // 2).value for first in (0, SCAN_LANES // 2)
                ]
                nans = builder.fcmp_unordered("uno", *halves)
                found = builder.or_(totals[1], nans)
                return [values.larger(Vector(builder, totals[0])).value, found]

            kind = ir.VectorType(element, SCAN_LANES)
            lowest = ir.Constant(kind, [float("-inf")] * SCAN_LANES)
            half = SCAN_LANES // 2
            none = ir.Constant(ir.VectorType(ir.IntType(1), half), [0] * half)
            top, nans = loop(builder, start, stop, SCAN_LANES, [lowest, none], body)
            flags = ir.IntType(half)
            is_nan = builder.icmp_unsigned(
                "!=", builder.bitcast(nans, flags), ir.Constant(flags, 0)
            )
            largest = Vector(builder, top).reduce(_larger)
            return builder.select(is_nan, ir.Constant(element, float("nan")), largest)

        def generate_for(stored: Stored) -> list[Any]:
            found = by_value(stored) if stored.dtype in _FLOATS else by_key(stored)
            return [found if found.type == DOUBLE else builder.fpext(found, DOUBLE)]

        [largest] = each_format(
            context, builder, signature.args[0], arguments[0], generate_for, start
        )
        return largest

    return types.float64(row, start, stop), generate


def _sums_of_weights(
    context: Any, builder: Any, signature: Any, arguments: Any, further: Any = None
) -> Any:
    """Code for Σ w and Σ w · (z − reference) of a block, and for what `further` adds to them.

    further: of a format, the first totals beside the two sums; how two of each are joined;
    `add(values, weights, totals)`, which returns the weights that count and the new totals; and
    what becomes of a total in the end.
    """
    _, start, stop, reference, rate, lowest = arguments[:6]
    rates, bounds = (splat(builder, scalar, LANES) for scalar in (rate, lowest))

    def generate_for(stored: Stored) -> list[Any]:
        zero = stored.real(reference)
        own, joins, add_own, finish_own = further(stored) if further else ([], [], None, None)

        def add(values: Vector, totals: list[Vector]) -> list[Any]:
            weights, gap = exp2_of_product(gap_of(values, zero), rates, bounds)
            rest: list[Vector] = []
            if add_own:
                weights, rest = add_own(values, weights, totals[2:])
            sums = [totals[0] + weights, weights.multiply_add(gap, totals[1])]
            return [total.value for total in (*sums, *rest)]

        def body(index: Any, totals: list[Any]) -> list[Any]:
            return _each_part(stored, index, totals, add)

        nothing = [*[zeros(FLOAT, LANES)] * 2, *own]
        totals = loop(builder, start, stop, 2 * LANES, nothing * 2, body)
        sums = _joined(builder, totals, [_plus, _plus, *joins])
        return [*sums[:2], *(finish_own(item) for item in sums[2:])]

    results = each_format(context, builder, signature.args[0], arguments[0], generate_for, start)
    return context.make_tuple(builder, signature.return_type, results)


@intrinsic
def survey_run(
    _context: Any,
    row: Any,
    start: Any,
    stop: Any,
    reference: Any,
    rate: Any,
    lowest: Any,
    block_max: Any,
) -> Any:
    """The sums of `weigh_block`, NaN if any logit is; writes each block's largest.

    That goes into `block_max`, at the place of the block; a NaN is not looked at.
    """
    real = real_type(row)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, start, stop, reference, rate, lowest, block_max = arguments
        rates, bounds = (splat(builder, scalar, LANES) for scalar in (rate, lowest))

        def generate_for(stored: Stored) -> list[Any]:
            zero = stored.real(reference)
            low = _filled(DOUBLE if stored.dtype == types.float64 else FLOAT, float("-inf"))

            def add(values: Vector, totals: list[Vector]) -> list[Any]:
                weights, gap = exp2_of_product(gap_of(values, zero), rates, bounds)
                top, total, moment = totals
                moment = weights.multiply_add(gap, moment)
                return [values.larger(top).value, (total + weights).value, moment.value]

            def body(index: Any, totals: list[Any]) -> list[Any]:
                return _each_part(stored, index, totals, add)

            def each_block(first: Any, totals: list[Any]) -> list[Any]:
                end = builder.add(first, ir.Constant(INT64, BLOCK_SIZE))
                before = [low, *totals[:2], low, *totals[2:]]
                found = loop(builder, first, end, 2 * LANES, before, body)
                top, other = Vector(builder, found[0]), Vector(builder, found[3])
                largest = top.larger(other).reduce(_larger)
                if largest.type != DOUBLE:
                    largest = builder.fpext(largest, DOUBLE)
                place = builder.lshr(first, ir.Constant(INT64, BLOCK_SIZE.bit_length() - 1))
                kind = signature.args[-1]
                store(context, builder, kind, block_max, place, splat(builder, largest, 1))
                return [*found[1:3], *found[4:]]

            nothing = [zeros(FLOAT, LANES)] * 4
            totals = loop(builder, start, stop, BLOCK_SIZE, nothing, each_block)
            return _joined(builder, totals, [_plus] * 2)

        results = each_format(
            context, builder, signature.args[0], arguments[0], generate_for, start
        )
        return context.make_tuple(builder, signature.return_type, results)

    result, single = types.UniTuple(types.float32, 2), types.float32
    return result(row, start, stop, real, single, single, block_max), generate


@intrinsic
def weigh_block(
    _context: Any, row: Any, start: Any, stop: Any, reference: Any, rate: Any, lowest: Any
) -> Any:
    """Σ w and Σ w · (z − reference), with w = 2^((z − reference) · rate), in float32."""
    result = types.UniTuple(types.float32, 2)
    single = types.float32
    return result(row, start, stop, real_type(row), single, single), _sums_of_weights


@intrinsic
def weigh_alive_block(
    _context: Any, row: Any, start: Any, stop: Any, reference: Any, rate: Any, lowest: Any
) -> Any:
    """The sums of `weigh_block`, and the least weight."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def least(_stored: Stored) -> Any:
            def add(_values: Vector, weights: Vector, totals: list[Vector]) -> Any:
                return weights, [_smaller(weights, totals[0])]

            return [_filled(FLOAT, float("inf"))], [_smaller], add, _same

        return _sums_of_weights(context, builder, signature, arguments, least)

    result = types.UniTuple(types.float32, 3)
    single = types.float32
    return result(row, start, stop, real_type(row), single, single), generate


@intrinsic
def weigh_block_between(
    _context: Any,
    row: Any,
    start: Any,
    stop: Any,
    reference: Any,
    rate: Any,
    lowest: Any,
    low: Any,
    high: Any,
) -> Any:
    """The sums of `weigh_block` over the logits in [low, high], how many these are, and Σ w of all.

    Those sums are the first two.
    """
    real = real_type(row)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def between(stored: Stored) -> Any:
            low, high = (stored.reals(bound, LANES) for bound in arguments[6:])

            def add(values: Vector, weights: Vector, totals: list[Vector]) -> Any:
                inside = values.compare(">=", low) & values.compare("<=", high)
                count = totals[0] - inside.convert("sext", INT32)
                return inside.choose(weights, 0.0), [count, totals[1] + weights]

            return [zeros(INT32, LANES), zeros(FLOAT, LANES)], [_plus, _plus], add, _same

        return _sums_of_weights(context, builder, signature, arguments, between)

    single = types.float32
    result = types.Tuple((single, single, types.int32, single))
    return result(row, start, stop, real, single, single, real, real), generate


@intrinsic
def spread_block(_context: Any, row: Any, start: Any, stop: Any, centre: Any) -> Any:
    """How many logits are finite, and Σ d and Σ d² of them, d = z − centre, all in float32."""
    real = real_type(row)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, start, stop, centre = arguments

        def generate_for(stored: Stored) -> list[Any]:
            zero = stored.real(centre)

            def add(values: Vector, totals: list[Vector]) -> list[Any]:
                alive = values.compare(">", float("-inf"))
                away = alive.choose(gap_of(values, zero), 0.0)
                count, total, square = totals
                ones = alive.choose(away.constant(1.0), 0.0)
                square = away.multiply_add(away, square)
                return [(count + ones).value, (total + away).value, square.value]

            def body(index: Any, totals: list[Any]) -> list[Any]:
                return _each_part(stored, index, totals, add)

            totals = loop(builder, start, stop, 2 * LANES, [zeros(FLOAT, LANES)] * 6, body)
            return _joined(builder, totals, [_plus] * 3)

        results = each_format(
            context, builder, signature.args[0], arguments[0], generate_for, start
        )
        return context.make_tuple(builder, signature.return_type, results)

    return types.UniTuple(types.float32, 3)(row, start, stop, real), generate


@intrinsic
def mask_between(_context: Any, row: Any, start: Any, low: Any, high: Any) -> Any:
    """Bit i says whether low ≤ row[start + i] ≤ high, for 32 logits."""
    real = real_type(row)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, start, low, high = arguments

        def generate_for(stored: Stored) -> list[Any]:
            values = stored.values(start, MASK_LANES)
            above = values.compare(">=", stored.reals(low, MASK_LANES))
            below = values.compare("<=", stored.reals(high, MASK_LANES))
            return [builder.bitcast((above & below).value, INT32)]

        [mask] = each_format(context, builder, signature.args[0], arguments[0], generate_for, start)
        return mask

    return types.uint32(row, start, real, real), generate


@intrinsic
def mask_from(_context: Any, row: Any, start: Any, low: Any) -> Any:
    """Bit i says whether low ≤ row[start + i], for 32 logits."""
    real = real_type(row)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, start, low = arguments

        def generate_for(stored: Stored) -> list[Any]:
            values = stored.values(start, MASK_LANES)
            reaching = values.compare(">=", stored.reals(low, MASK_LANES))
            return [builder.bitcast(reaching.value, INT32)]

        [mask] = each_format(context, builder, signature.args[0], arguments[0], generate_for, start)
        return mask

    return types.uint32(row, start, real), generate


@intrinsic
def masks_from(_context: Any, row: Any, start: Any, stop: Any, low: Any, out: Any) -> Any:
    """`mask_from` of every 32 logits of a block, into the words of `out` from 0 on."""
    real = real_type(row)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, start, stop, low, out = arguments

        def generate_for(stored: Stored) -> list[Any]:
            lows = stored.reals(low, MASK_LANES)

            def body(index: Any, _totals: list[Any]) -> list[Any]:
                reaching = stored.values(index, MASK_LANES).compare(">=", lows)
                word = builder.bitcast(reaching.value, INT32)
                place = builder.lshr(builder.sub(index, start), ir.Constant(INT64, 5))
                store(context, builder, signature.args[-1], out, place, splat(builder, word, 1))
                return []

            return loop(builder, start, stop, MASK_LANES, [], body)

        each_format(context, builder, signature.args[0], arguments[0], generate_for, start)
        return context.get_dummy_value()

    return types.void(row, start, stop, real, out), generate


@intrinsic
def count_above_block(_context: Any, row: Any, start: Any, stop: Any, bound: Any) -> Any:
    """How many logits of a block are larger than `bound`."""
    real = real_type(row)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, start, stop, bound = arguments

        def generate_for(stored: Stored) -> list[Any]:
            bounds = stored.reals(bound, LANES)

            def add(values: Vector, totals: list[Vector]) -> list[Any]:
                larger = values.compare(">", bounds).convert("sext", INT32)
                return [(totals[0] - larger).value]

            def body(index: Any, totals: list[Any]) -> list[Any]:
                return _each_part(stored, index, totals, add)

            totals = loop(builder, start, stop, 2 * LANES, [zeros(INT32, LANES)] * 2, body)
            return _joined(builder, totals, [_plus])

        [count] = each_format(
            context, builder, signature.args[0], arguments[0], generate_for, start
        )
        return count

    return types.int32(row, start, stop, real), generate


@intrinsic
def extremes_between(_context: Any, row: Any, start: Any, stop: Any, low: Any, high: Any) -> Any:
    """The least and the largest of a block's logits in [low, high]; +inf, −inf if none is."""
    real = real_type(row)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, start, stop, low, high = arguments

        def generate_for(stored: Stored) -> list[Any]:
            lows, highs = stored.reals(low, LANES), stored.reals(high, LANES)

            def add(values: Vector, totals: list[Vector]) -> list[Any]:
                inside = values.compare(">=", lows) & values.compare("<=", highs)
                least, largest = totals
                smaller = inside & values.compare("<", least)
                greater = inside & values.compare(">", largest)
                return [smaller.choose(values, least).value, greater.choose(values, largest).value]

            def body(index: Any, totals: list[Any]) -> list[Any]:
                return _each_part(stored, index, totals, add)

            element = DOUBLE if stored.dtype == types.float64 else FLOAT
            nothing = [_filled(element, float(sign + "inf")) for sign in ("+", "-")]
            totals = loop(builder, start, stop, 2 * LANES, nothing * 2, body)
            return [stored.result(item) for item in _joined(builder, totals, [_smaller, _larger])]

        results = each_format(
            context, builder, signature.args[0], arguments[0], generate_for, start
        )
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


def _copy(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Code of both ways to copy a block; the divisor and its reciprocal may be missing."""
    _, start, stop, low, high, *division, out = arguments

    def generate_for(stored: Stored) -> list[Any]:
        lows, highs = stored.reals(low, MASK_LANES), stored.reals(high, MASK_LANES)
        numbers = [splat(builder, number, MASK_LANES) for number in division]

        def body(index: Any, totals: list[Any]) -> list[Any]:
            values = stored.values(index, MASK_LANES)
            inside = values.compare(">=", lows) & values.compare("<=", highs)
            kept = exact(inside.choose(values, float("-inf")))
            if division and stored.dtype == types.float64:
                kept = kept / numbers[0]
            elif division:
                kept = inside.choose(divide(exact(values), *numbers), float("-inf"))
            store(context, builder, signature.args[-1], out, builder.sub(index, start), kept)
            return [kept.larger(Vector(builder, totals[0])).value]

        lowest = ir.Constant(ir.VectorType(DOUBLE, MASK_LANES), [float("-inf")] * MASK_LANES)
        [top] = loop(builder, start, stop, MASK_LANES, [lowest], body)
        return [Vector(builder, top).reduce(_larger)]

    [top] = each_format(context, builder, signature.args[0], arguments[0], generate_for, start)
    return top


@intrinsic
def copy_block_between(
    _context: Any, row: Any, start: Any, stop: Any, low: Any, high: Any, out: Any
) -> Any:
    """A block into `out` from 0 on, float64, −inf outside [low, high]; its largest."""
    real = real_type(row)
    return types.float64(row, start, stop, real, real, out), _copy


@intrinsic
def divide_block_between(
    _context: Any,
    row: Any,
    start: Any,
    stop: Any,
    low: Any,
    high: Any,
    divisor: Any,
    reciprocal: Any,
    out: Any,
) -> Any:
    """`copy_block_between`, and divided. The divisor lies in [1e-18, 1e18]."""
    real, number = real_type(row), types.float64
    return types.float64(row, start, stop, real, real, number, number, out), _copy


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


def _edited(values: Vector, words: Any, amounts: Any) -> Vector:
    """`MASK_LANES` logits plus, for each word, one number where its bit is set, else another."""
    builder = values.builder
    for word, (inside, outside) in zip(words, amounts, strict=True):
        bits = Vector(builder, builder.bitcast(word, ir.VectorType(ir.IntType(1), MASK_LANES)))
        values = values + bits.choose(inside, outside)
    return values


def _amounts(builder: Any, numbers: Any, element: Any) -> list[tuple[Vector, Vector]]:
    """The two numbers of each mask, in every lane."""
    if element == FLOAT:
        numbers = [builder.fptrunc(number, FLOAT) for number in numbers]
    splats = [splat(builder, number, MASK_LANES) for number in numbers]
    return [(splats[0], splats[1]), (splats[2], splats[3])]


def _words(context: Any, builder: Any, kinds: Any, bitmasks: Any, token: Any) -> list[Any]:
    """The word of each bitmask that holds the bits of a token."""
    place = builder.lshr(token, ir.Constant(INT64, 5))
    loaded = [
        load(context, builder, kind, item, place, 1)
        for kind, item in zip(kinds, bitmasks, strict=True)
    ]
    return [builder.extract_element(word.value, ir.Constant(INT32, 0)) for word in loaded]


@intrinsic
def largest_edited_block(
    _context: Any,
    row: Any,
    start: Any,
    stop: Any,
    one: Any,
    other: Any,
    inside: Any,
    outside: Any,
    inside_other: Any,
    outside_other: Any,
) -> Any:
    """The largest logit of a block after the masks `one` and `other`, in the row's precision."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, start, stop, one, other = arguments[:5]

        def generate_for(stored: Stored) -> list[Any]:
            element = DOUBLE if stored.dtype == types.float64 else FLOAT
            amounts = _amounts(builder, arguments[5:], element)

            def body(index: Any, totals: list[Any]) -> list[Any]:
                words = _words(context, builder, signature.args[3:5], (one, other), index)
                values = _edited(stored.values(index, MASK_LANES), words, amounts)
                return [values.larger(Vector(builder, totals[0])).value]

            lowest = ir.Constant(ir.VectorType(element, MASK_LANES), [float("-inf")] * MASK_LANES)
            [top] = loop(builder, start, stop, MASK_LANES, [lowest], body)
            largest = Vector(builder, top).reduce(_larger)
            return [largest if element == DOUBLE else builder.fpext(largest, DOUBLE)]

        [top] = each_format(context, builder, signature.args[0], arguments[0], generate_for, start)
        return top

    real = types.float64
    return real(row, start, stop, one, other, real, real, real, real), generate


@intrinsic
def masks_edited(
    _context: Any,
    row: Any,
    start: Any,
    one: Any,
    other: Any,
    inside: Any,
    outside: Any,
    inside_other: Any,
    outside_other: Any,
    low: Any,
    high: Any,
) -> Any:
    """Bit i says whether row[start + i] after two masks is `low` or more, or `high`, of 32 logits.

    one, other: the masks' words for these logits.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, words, bounds = arguments[1], arguments[2:4], arguments[8:]

        def generate_for(stored: Stored) -> list[Any]:
            amounts = _amounts(builder, arguments[4:8], DOUBLE)
            values = _edited(exact(stored.values(start, MASK_LANES)), words, amounts)
            reaching = (values.compare(">=", splat(builder, bound, MASK_LANES)) for bound in bounds)
            return [builder.bitcast(bits.value, INT32) for bits in reaching]

        masks = each_format(context, builder, signature.args[0], arguments[0], generate_for, start)
        return context.make_tuple(builder, signature.return_type, masks)

    word, real = types.int32, types.float64
    result = types.UniTuple(types.uint32, 2)
    return result(row, start, word, word, real, real, real, real, real, real), generate


@intrinsic
def copy_edited_block(
    _context: Any,
    row: Any,
    start: Any,
    stop: Any,
    one: Any,
    other: Any,
    inside: Any,
    outside: Any,
    inside_other: Any,
    outside_other: Any,
    out: Any,
) -> Any:
    """A block into `out` from 0 on, float64, after two masks; its largest logit."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, start, stop, one, other = arguments[:5]
        out, kind = arguments[9], signature.args[9]

        def generate_for(stored: Stored) -> list[Any]:
            amounts = _amounts(builder, arguments[5:9], DOUBLE)

            def body(index: Any, totals: list[Any]) -> list[Any]:
                words = _words(context, builder, signature.args[3:5], (one, other), index)
                edited = _edited(exact(stored.values(index, MASK_LANES)), words, amounts)
                store(context, builder, kind, out, builder.sub(index, start), edited)
                return [edited.larger(Vector(builder, totals[0])).value]

            lowest = ir.Constant(ir.VectorType(DOUBLE, MASK_LANES), [float("-inf")] * MASK_LANES)
            [top] = loop(builder, start, stop, MASK_LANES, [lowest], body)
            return [Vector(builder, top).reduce(_larger)]

        [top] = each_format(context, builder, signature.args[0], arguments[0], generate_for, start)
        return top

    real = types.float64
    return real(row, start, stop, one, other, real, real, real, real, out), generate


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
