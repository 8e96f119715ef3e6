"""What is done to one block of a row, as Numba intrinsics over `vectors`.

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

from decoding.kernels.compiled.vectors import (
    FLOAT,
    INT32,
    INT64,
    Vector,
    exp,
    exp2_of_product,
    load,
    ordered_key,
    philox4x32,
    splat,
    store,
    widen,
)

_WIDE = llvm.get_host_cpu_features().get("avx512f", False)
LANES = 16 if _WIDE else 8
"""As many lanes as leave enough registers for the constants of a loop."""
CONTEST_LANES = 32
MASK_LANES = 32
KEY_LANES = 64
_KEYS = {
    types.float32: types.uint32,
    types.float64: types.uint64,
    types.uint16: types.uint16,
    types.int16: types.uint16,
}


def float_type(dtype: Any) -> Any:
    """The type a stored logit widens to."""
    return types.float64 if dtype == types.float64 else types.float32


def _loop(
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


def _zeros(element: Any, count: int) -> Any:
    kind = ir.VectorType(element, count)
    zero = 0.0 if element != INT32 and isinstance(element, ir.FloatType | ir.DoubleType) else 0
    return ir.Constant(kind, [zero] * count)


def _sum(vector: Vector) -> Any:
    return vector.reduce(lambda one, other: one + other)


def _gap(values: Vector, reference: Any) -> Vector:
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
        element = context.get_data_type(_KEYS[dtype])

        def body(index: Any, totals: list[Any]) -> list[Any]:
            bits = load(context, builder, kind, array, index, lanes)
            return [ordered_key(bits, dtype).larger(Vector(builder, totals[0])).value]

        zeros = ir.Constant(ir.VectorType(element, lanes), [0] * lanes)
        [top] = _loop(builder, start, stop, lanes, [zeros], body)
        return Vector(builder, top).reduce(lambda one, other: one.larger(other))

    return _KEYS[dtype](row, start, stop), generate


@intrinsic
def value_of_key(_context: Any, row: Any, key: Any) -> Any:
    """The logit that has a key, as float64."""
    dtype = row.dtype

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        element = context.get_data_type(_KEYS[dtype])
        lone = Vector(builder, ir.Constant(ir.VectorType(element, 1), [0]))
        key = splat(builder, arguments[1], 1)
        # The key of zero bits is minus the lowest, and turning the low bits is its own inverse.
        plain = key - ordered_key(lone, dtype)
        top, low = {8: (63, (1 << 63) - 1), 4: (31, (1 << 31) - 1), 2: (15, (1 << 15) - 1)}[
            element.width // 8
        ]
        bits = plain ^ (plain.signed_shift(top) & low)
        stored = bits.bits_as(context.get_data_type(dtype))
        wide = widen(stored, dtype)
        if wide.element == FLOAT:
            wide = wide.convert("fpext", ir.DoubleType())
        return builder.extract_element(wide.value, ir.Constant(INT32, 0))

    return types.float64(row, key), generate


@intrinsic
def value_at(_context: Any, row: Any, index: Any) -> Any:
    """One logit, as float64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = load(context, builder, signature.args[0], arguments[0], arguments[1], 1)
        wide = widen(bits, row.dtype)
        if wide.element == FLOAT:
            wide = wide.convert("fpext", ir.DoubleType())
        return builder.extract_element(wide.value, ir.Constant(INT32, 0))

    return types.float64(row, index), generate


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
            weights, gap = exp2_of_product(_gap(values, reference), rates, bounds)
            total, moment, top = (Vector(builder, item) for item in totals)
            moment = weights.multiply_add(gap, moment)
            return [(total + weights).value, moment.value, values.larger(top).value]

        start_values = [
            *[_zeros(FLOAT, LANES)] * 2,
            ir.Constant(ir.VectorType(element, LANES), [float("-inf")] * LANES),
        ]
        *sums, top = _loop(builder, start, stop, LANES, start_values, body)
        results = [
            *(_sum(Vector(builder, total)) for total in sums),
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
            weights, gap = exp2_of_product(_gap(values, reference), rates, bounds)
            moment = weights.multiply_add(gap, Vector(builder, totals[1]))
            return [(Vector(builder, totals[0]) + weights).value, moment.value]

        zeros = [_zeros(FLOAT, LANES)] * 2
        sums = _loop(builder, start, stop, LANES, zeros, body)
        results = [_sum(Vector(builder, total)) for total in sums]
        return context.make_tuple(builder, signature.return_type, results)

    result = types.UniTuple(types.float32, 2)
    return result(row, start, stop, real, types.float32, types.float32), generate


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
def count_above_block(_context: Any, row: Any, start: Any, stop: Any, bound: Any) -> Any:
    """How many logits of a block are larger than `bound`."""
    real = float_type(row.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, stop, bound = arguments
        bounds = splat(builder, bound, LANES)

        def body(index: Any, totals: list[Any]) -> list[Any]:
            bits = load(context, builder, signature.args[0], array, index, LANES)
            larger = widen(bits, row.dtype).compare(">", bounds).convert("sext", INT32)
            return [(Vector(builder, totals[0]) - larger).value]

        [count] = _loop(builder, start, stop, LANES, [_zeros(INT32, LANES)], body)
        return _sum(Vector(builder, count))

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
        least, largest = _loop(builder, start, stop, LANES, bounds, body)
        results = [
            Vector(builder, least).reduce(lambda a, b: a.compare("<", b).choose(a, b)),
            Vector(builder, largest).reduce(lambda a, b: a.larger(b)),
        ]
        return context.make_tuple(builder, signature.return_type, results)

    return types.UniTuple(real, 2)(row, start, stop, real, real), generate


@intrinsic
def bin_block(
    _context: Any,
    row: Any,
    start: Any,
    stop: Any,
    centre: Any,
    nearest: Any,
    factor: Any,
    limit: Any,
    reference: Any,
    rate: Any,
    lowest: Any,
    bins: Any,
    weights: Any,
) -> Any:
    """For a histogram over |z − centre|: each logit's bin, and its weight as in `weigh_block`.

    bin = 1 + (|z − centre| − nearest) · factor, within [0, limit], rounded down. Both are written
    from 0 on.
    """
    real = float_type(row.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, stop, centre, nearest, factor, limit = arguments[:7]
        reference, rate, lowest, bins, out = arguments[7:]
        kind, bins_kind, out_kind = signature.args[0], signature.args[-2], signature.args[-1]
        rates, bounds, factors, nears, limits = (
            splat(builder, scalar, LANES) for scalar in (rate, lowest, factor, nearest, limit)
        )

        def body(index: Any, _totals: list[Any]) -> list[Any]:
            values = widen(load(context, builder, kind, array, index, LANES), row.dtype)
            away = _gap(values, centre)
            distance = (away.bits_as(INT32) & 0x7FFFFFFF).bits_as(FLOAT)
            place = (distance - nears).multiply_add(factors, 1.0).larger(0.0)
            place = place.compare("<", limits).choose(place, limits)
            offset = builder.sub(index, start)
            whole = place.convert("fptosi", INT32)
            store(context, builder, bins_kind, bins, offset, whole)
            weight, _ = exp2_of_product(_gap(values, reference), rates, bounds)
            store(context, builder, out_kind, out, offset, weight)
            return []

        _loop(builder, start, stop, LANES, [], body)
        return context.get_dummy_value()

    single = types.float32
    scalars = (real, single, single, single, real, single, single)
    return types.void(row, start, stop, *scalars, bins, weights), generate


@intrinsic
def contest_block(
    _context: Any,
    row: Any,
    start: Any,
    stop: Any,
    reference: Any,
    rate: Any,
    lowest: Any,
    first: Any,
    position: Any,
    draw: Any,
    domain: Any,
    key0: Any,
    key1: Any,
    limit: Any,
    weights: Any,
) -> Any:
    """Whether a token of a block may win a Gumbel-max, `weigh_block`'s sums, and the least w.

    With the high words h of the tokens, the first of which is token `first` (a multiple of 4):
    some (2³² − 1 − h) / 2³¹ < w · limit. Leaves the weights w in `weights`, from 0 on.
    """
    real = float_type(row.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, stop, reference, rate, lowest, first, position, draw, domain = arguments[:10]
        key, limit, out = arguments[10:12], arguments[12], arguments[13]
        kind, out_kind = signature.args[0], signature.args[-1]
        rates, bounds = (splat(builder, item, LANES) for item in (rate, lowest))

        def weigh(index: Any, totals: list[Any]) -> list[Any]:
            values = widen(load(context, builder, kind, array, index, LANES), row.dtype)
            found, gap = exp2_of_product(_gap(values, reference), rates, bounds)
            store(context, builder, out_kind, out, builder.sub(index, start), found)
            total, moment, least = (Vector(builder, item) for item in totals)
            smaller = found.compare("<", least).choose(found, least)
            return [(total + found).value, found.multiply_add(gap, moment).value, smaller.value]

        ones = ir.Constant(ir.VectorType(FLOAT, LANES), [1.0] * LANES)
        zeros = _zeros(FLOAT, LANES)
        *sums, least = _loop(builder, start, stop, LANES, [zeros, zeros, ones], weigh)
        tokens, blocks = CONTEST_LANES, CONTEST_LANES // 4
        limits = splat(builder, limit, tokens)
        lanes = Vector(builder, ir.Constant(ir.VectorType(INT64, blocks), list(range(blocks))))
        flags = ir.IntType(tokens)

        def contest(index: Any, totals: list[Any]) -> list[Any]:
            block = builder.lshr(builder.add(first, index), ir.Constant(INT64, 2))
            counter = (splat(builder, block, blocks) + lanes, position, draw, domain)
            words = _by_token(philox4x32(counter, key))
            left = ((words ^ 0xFFFFFFFF) >> 1).convert("sitofp", FLOAT)
            found = load(context, builder, out_kind, out, index, tokens)
            may_win = left.compare("<", found * limits)
            return [builder.or_(totals[0], builder.bitcast(may_win.value, flags))]

        zero = ir.Constant(INT64, 0)
        none = ir.Constant(flags, 0)
        [hits] = _loop(builder, zero, builder.sub(stop, start), tokens, [none], contest)
        hit = builder.icmp_unsigned("!=", hits, none)
        smallest = Vector(builder, least).reduce(lambda a, b: a.compare("<", b).choose(a, b))
        results = [hit, *(_sum(Vector(builder, total)) for total in sums), smallest]
        return context.make_tuple(builder, signature.return_type, results)

    result = types.Tuple((types.boolean, types.float32, types.float32, types.float32))
    word, single = types.uint64, types.float32
    return result(
        row, start, stop, real, single, single, types.int64, word, word, word, word, word, single,
        weights,
    ), generate  # fmt: skip


def _by_token(words: list[Vector]) -> Vector:
    """Four vectors of words, one a lane of a Philox block, as 32-bit words in order of token."""
    count = words[0].count
    narrow = [word.convert("trunc", INT32) for word in words]
    low = narrow[0].shuffle(narrow[1], range(2 * count))
    high = narrow[2].shuffle(narrow[3], range(2 * count))
    return low.shuffle(high, [token % 4 * count + token // 4 for token in range(4 * count)])


@intrinsic
def words_of_eight(
    _context: Any,
    token_ids: Any,
    start: Any,
    position: Any,
    draw: Any,
    domain: Any,
    key0: Any,
    key1: Any,
    words: Any,
) -> Any:
    """The words of the tokens token_ids[start:start + 8], into `words` from `start` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, position, draw, domain, key0, key1, out = arguments
        tokens = load(context, builder, signature.args[0], array, start, 8)
        blocks = (tokens >> 2).convert("zext", INT64)
        drawn = philox4x32((blocks, position, draw, domain), (key0, key1))
        lane = (tokens & 3).convert("zext", INT64)
        chosen = drawn[3]
        for index in (2, 1, 0):
            chosen = lane.compare("==", index).choose(drawn[index], chosen)
        store(
            context, builder, signature.args[-1], out, start, chosen.convert("trunc", INT32)
        )
        return context.get_dummy_value()

    word = types.uint64
    return types.void(token_ids, start, word, word, word, word, word, words), generate


@intrinsic
def weigh_eight(_context: Any, logits: Any, start: Any, reference: Any, weights: Any) -> Any:
    """Of eight float64: w = exp(logit − reference) into `weights`, and Σ w, Σ w · gap.

    Gaps below −700 count as −700.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, reference, out = arguments
        values = load(context, builder, signature.args[0], array, start, 8)
        gap = (values - splat(builder, reference, 8)).at_least(-700.0)
        found = exp(gap)
        store(context, builder, signature.args[-1], out, start, found)
        return context.make_tuple(
            builder, signature.return_type, [_sum(found), _sum(found * gap)]
        )

    result = types.UniTuple(types.float64, 2)
    return result(logits, start, types.float64, weights), generate


@intrinsic
def copy_32(_context: Any, row: Any, start: Any, low: Any, high: Any, shadow: Any, at: Any) -> Any:
    """32 logits into `shadow` from `at` on, −inf for those outside [low, high]."""
    real = float_type(row.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, low, high, shadow, at = arguments
        bits = load(context, builder, signature.args[0], array, start, MASK_LANES)
        values = widen(bits, row.dtype)
        inside = values.compare(">=", splat(builder, low, MASK_LANES))
        inside &= values.compare("<=", splat(builder, high, MASK_LANES))
        kept = inside.choose(values, float("-inf"))
        store(context, builder, signature.args[4], shadow, at, kept)
        return context.get_dummy_value()

    return types.void(row, start, real, real, shadow, at), generate


@intrinsic
def edit_32(_context: Any, shadow: Any, start: Any, word: Any, inside: Any, outside: Any) -> Any:
    """Add `inside` to the logits of `shadow` whose bit of `word` is set, `outside` to the others."""
    real = float_type(shadow.dtype)

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


@intrinsic
def trailing_zeros(_context: Any, word: Any) -> Any:
    """The place of the lowest bit that is set."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.zext(builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1)), INT64)

    return types.int64(types.uint32), generate


@intrinsic
def bit_count(_context: Any, word: Any) -> Any:
    """How many bits are set."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.zext(builder.ctpop(arguments[0]), INT64)

    return types.int64(types.uint32), generate


@intrinsic
def as_real(_context: Any, row: Any, value: Any) -> Any:
    """A float64 in the precision of the row's logits, rounded to the nearest."""
    real = float_type(row.dtype)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return context.cast(builder, arguments[1], types.float64, real)

    return real(row, types.float64), generate


@intrinsic
def minus_infinity(_context: Any, row: Any) -> Any:
    """−inf as the row stores it."""
    bits = {types.uint16: 0xFF80, types.int16: 0xFC00 - (1 << 16)}

    def generate(context: Any, _builder: Any, _signature: Any, _arguments: Any) -> Any:
        return ir.Constant(
            context.get_data_type(row.dtype), bits.get(row.dtype, float("-inf"))
        )

    return row.dtype(row), generate


@intrinsic
def as_pointer(_context: Any, address: Any) -> Any:
    """An integer as the address that it is."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), generate
