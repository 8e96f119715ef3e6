"""Numba intrinsics (SIMD) that mask, count, copy or edit one block of a row's logits.

`start` and `stop` bound a block of a whole number of `KEY_LANES`; that it ends at `stop` is only
known at run time keeps LLVM from unrolling a loop beyond its registers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from decoding.kernels.compiled.formats import LANES, PAIR, Stored, over_row
from decoding.kernels.compiled.intrinsics import GIVEN, Array, straight_line
from decoding.kernels.compiled.vectors import (
    DOUBLE,
    FLOAT,
    INT16,
    INT32,
    INT64,
    Vector,
    divide,
    exp,
    filled,
    ordered_key,
    splat,
    value_of_key,
    widen,
)
from decoding.kernels.randomness import BLOCK_SIZE

SCAN_LANES = 32
MASK_LANES = 32
KEY_LANES = 64
_INF = float("inf")
_INDEX, _REAL, _SINGLE = types.int64, types.float64, types.float32


def loop(
    builder: Any,
    start: Any,
    stop: Any,
    lanes: int,
    totals: list[Vector],
    body: Callable[[Any, list[Vector]], list[Vector]],
) -> list[Vector]:
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
    running = [builder.phi(total.value.type) for total in totals]
    results = body(index, [Vector(builder, phi) for phi in running])
    last = builder.block
    following = builder.add(index, ir.Constant(INT64, lanes))
    again = builder.icmp_signed("<", following, stop)
    jump = builder.cbranch(again, inside, after)
    jump.set_metadata("llvm.loop", _not_unrolled(builder.module))
    index.add_incoming(following, last)
    for phi, total, result in zip(running, totals, results, strict=True):
        phi.add_incoming(total.value, before)
        phi.add_incoming(result.value, last)
    builder.position_at_end(after)
    return results


def _not_unrolled(module: Any) -> Any:
    """A loop's identity, which begins with itself, and the request not to unroll it."""
    request = module.add_metadata(["llvm.loop.unroll.disable"])
    identity = module.add_metadata([request, request])
    identity.operands = (identity, request)
    return identity


def plus(one: Vector, other: Vector) -> Vector:
    """The sum of two vectors, by which `fold` joins totals."""
    return one + other


def larger(one: Vector, other: Vector) -> Vector:
    """The larger of two vectors, lane by lane, by which `fold` joins totals."""
    return one.larger(other)


def smaller(one: Vector, other: Vector) -> Vector:
    """The smaller of two vectors, lane by lane, by which `fold` joins totals."""
    return one.compare("<", other).choose(one, other)


def gap_of(values: Vector, reference: Any) -> Vector:
    """values − reference, as float32."""
    gap = values - splat(values.builder, reference, values.count)
    return gap if gap.element == FLOAT else gap.convert("fptrunc", FLOAT)


def fold(
    stored: Stored,
    start: Any,
    stop: Any,
    totals: list[tuple[Vector, Any]],
    add: Callable[[Vector, list[Vector]], list[Vector]],
) -> list[Any]:
    """The totals of a block as scalars, where `add(values, totals)` returns those with a vector.

    totals: each of `PAIR` lanes, with how two of them are joined.
    """

    def body(index: Any, running: list[Vector]) -> list[Vector]:
        return add(stored.unordered(index, PAIR), running)

    found = loop(stored.builder, start, stop, PAIR, [first for first, _ in totals], body)
    return [total.reduce(join) for total, (_, join) in zip(found, totals, strict=True)]


@over_row(_REAL, _INDEX)
def largest_value(stored: Stored, start: Any, stop: Any) -> list[Any]:
    """The largest logit of a block, as float64; NaN where there is one.

    Half precision is compared by integer keys, whose order has every NaN above +inf.
    """
    builder, half = stored.builder, SCAN_LANES // 2
    if stored.dtype in (types.uint16, types.int16):

        def larger_keys(index: Any, totals: list[Vector]) -> list[Vector]:
            return [ordered_key(stored.bits(index, KEY_LANES), stored.dtype).larger(totals[0])]

        lowest_key = filled(builder, INT16, KEY_LANES, 0)
        [keys] = loop(builder, start, stop, KEY_LANES, [lowest_key], larger_keys)
        while keys.count > LANES:
            keys = keys.part(0, keys.count // 2).larger(keys.part(keys.count // 2, keys.count // 2))
        largest_key = keys.convert("zext", INT32).reduce(larger)
        key = splat(builder, builder.trunc(largest_key, INT16), 1)
        return [widen(value_of_key(key, stored.dtype), stored.dtype).lane(0)]

    def larger_values(index: Any, totals: list[Vector]) -> list[Vector]:
        values = stored.bits(index, SCAN_LANES)
        # One comparison says whether either of two logits is none.
        halves = [values.part(first, half).value for first in (0, half)]
        nans = Vector(builder, builder.fcmp_unordered("uno", *halves))
        return [values.larger(totals[0]), totals[1] | nans]

    lowest = filled(builder, stored.element, SCAN_LANES, -_INF)
    none = filled(builder, ir.IntType(1), half, 0)
    top, nans = loop(builder, start, stop, SCAN_LANES, [lowest, none], larger_values)
    flags = ir.IntType(half)
    is_nan = builder.icmp_unsigned("!=", builder.bitcast(nans.value, flags), ir.Constant(flags, 0))
    nan = ir.Constant(stored.element, float("nan"))
    return [builder.select(is_nan, nan, top.reduce(larger))]


def bounds_of(stored: Stored, low: Any, high: Any, count: int) -> tuple[Vector, Vector]:
    """Two numbers of the row's precision, each in every lane."""
    return stored.reals(low, count), stored.reals(high, count)


@over_row((_SINGLE, _SINGLE, _SINGLE), _INDEX, _REAL)
def spread_block(stored: Stored, start: Any, stop: Any, centre: Any) -> list[Any]:
    """How many logits are finite, and Σ d and Σ d² of them, d = z − centre, all in float32."""
    zero, middle = filled(stored.builder, FLOAT, PAIR), stored.real(centre)

    def add(values: Vector, totals: list[Vector]) -> list[Vector]:
        alive = values.compare(">", -_INF)
        away = alive.choose(gap_of(values, middle), 0.0)
        ones = alive.choose(away.constant(1.0), 0.0)
        return [totals[0] + ones, totals[1] + away, away.multiply_add(away, totals[2])]

    return fold(stored, start, stop, [(zero, plus)] * 3, add)


@over_row(types.int32, _INDEX, _REAL, _REAL)
def count_block_between(stored: Stored, start: Any, stop: Any, low: Any, high: Any) -> list[Any]:
    """How many logits of a block lie in [low, high]."""
    lows, highs = bounds_of(stored, low, high, PAIR)

    def add(values: Vector, totals: list[Vector]) -> list[Vector]:
        inside = values.compare(">=", lows) & values.compare("<=", highs)
        return [totals[0] - inside.convert("sext", INT32)]

    return fold(stored, start, stop, [(filled(stored.builder, INT32, PAIR), plus)], add)


@over_row(types.void, _INDEX, _REAL, GIVEN)
def masks_reaching(stored: Stored, start: Any, stop: Any, low: Any, out: Array) -> list[Any]:
    """Whether low ≤ row[i] for every logit of a block: words of 32 bits, from out[0] on."""
    builder, lows = stored.builder, stored.reals(low, MASK_LANES)

    def body(index: Any, _totals: list[Vector]) -> list[Vector]:
        flags = stored.values(index, MASK_LANES).compare(">=", lows)
        _store_word(flags, builder.sub(index, start), out)
        return []

    return loop(builder, start, stop, MASK_LANES, [], body)


def _store_word(flags: Vector, token: Any, out: Array) -> None:
    """Write 32 flags as the word that holds the bits of a token."""
    word = flags.builder.bitcast(flags.value, INT32)
    place = flags.builder.lshr(token, ir.Constant(INT64, 5))
    out.store(place, splat(flags.builder, word, 1))


@over_row((_REAL, _REAL), _INDEX, _REAL, _REAL)
def extremes_between(stored: Stored, start: Any, stop: Any, low: Any, high: Any) -> list[Any]:
    """The least and the largest of a block's logits in [low, high]; +inf, −inf if none is."""
    lows, highs = bounds_of(stored, low, high, PAIR)

    def add(values: Vector, totals: list[Vector]) -> list[Vector]:
        inside = values.compare(">=", lows) & values.compare("<=", highs)
        smaller = inside & values.compare("<", totals[0])
        greater = inside & values.compare(">", totals[1])
        return [smaller.choose(values, totals[0]), greater.choose(values, totals[1])]

    most, least = (filled(stored.builder, stored.element, PAIR, end) for end in (_INF, -_INF))
    return fold(stored, start, stop, [(most, smaller), (least, larger)], add)


@straight_line((_REAL, _REAL), GIVEN, _INDEX, _REAL, GIVEN)
def weigh_eight(
    builder: Any, logits: Array, start: Any, reference: Any, weights: Array
) -> list[Any]:
    """Of eight float64: w = exp(logit − reference) into `weights`, and Σ w, Σ w · gap.

    Where a gap is −700 or less, w is 0.
    """
    gap = (logits.load(start, 8) - splat(builder, reference, 8)).at_least(-700.0)
    found = gap.compare(">", -700.0).choose(exp(gap), 0.0)
    weights.store(start, found)
    return [found.reduce(plus), (found * gap).reduce(plus)]


def exact(values: Vector) -> Vector:
    """Logits as float64."""
    return values if values.element == DOUBLE else values.convert("fpext", DOUBLE)


def _write(
    builder: Any, start: Any, stop: Any, out: Array, make: Callable[[Any], Vector]
) -> list[Any]:
    """Write what `make(index)` returns for 32 logits of a block, from 0 on; the largest of all."""

    def body(index: Any, totals: list[Vector]) -> list[Vector]:
        values = make(index)
        out.store(builder.sub(index, start), values)
        return [values.larger(totals[0])]

    lowest = filled(builder, DOUBLE, MASK_LANES, -_INF)
    [top] = loop(builder, start, stop, MASK_LANES, [lowest], body)
    return [top.reduce(larger)]


@over_row(_REAL, _INDEX, _REAL, _REAL, GIVEN)
def copy_block_between(
    stored: Stored, start: Any, stop: Any, low: Any, high: Any, out: Array
) -> list[Any]:
    """A block into `out` from 0 on, float64, −inf outside [low, high]; its largest."""
    lows, highs = bounds_of(stored, low, high, MASK_LANES)

    def make(index: Any) -> Vector:
        values = stored.values(index, MASK_LANES)
        inside = values.compare(">=", lows) & values.compare("<=", highs)
        return exact(inside.choose(values, -_INF))

    return _write(stored.builder, start, stop, out, make)


@over_row(_REAL, _INDEX, _REAL, _REAL, _REAL, _REAL, GIVEN)
def divide_block_between(
    stored: Stored,
    start: Any,
    stop: Any,
    low: Any,
    high: Any,
    divisor: Any,
    reciprocal: Any,
    out: Array,
) -> list[Any]:
    """`copy_block_between` with each logit divided by a divisor in [1e-18, 1e18]."""
    lows, highs = bounds_of(stored, low, high, MASK_LANES)
    numbers = [splat(stored.builder, number, MASK_LANES) for number in (divisor, reciprocal)]

    def make(index: Any) -> Vector:
        values = stored.values(index, MASK_LANES)
        inside = values.compare(">=", lows) & values.compare("<=", highs)
        if stored.element == DOUBLE:
            return inside.choose(values, -_INF) / numbers[0]
        return inside.choose(divide(exact(values), *numbers), -_INF)

    return _write(stored.builder, start, stop, out, make)


def _biased(values: Vector, inside: Vector, bias: Any) -> Vector:
    """Add a bias to the logits whose flag is set."""
    if values.element == FLOAT:
        bias = values.builder.fptrunc(bias, FLOAT)
    return inside.choose(values + splat(values.builder, bias, values.count), values)


def _flags(builder: Any, bitmasks: tuple[Array, Array], token: Any) -> list[Vector]:
    """The bits of 32 tokens, of which one is the first, in each of two bitmasks, as flags."""
    place, flags = builder.lshr(token, ir.Constant(INT64, 5)), ir.VectorType(ir.IntType(1), 32)
    words = [item.load(place, 1).lane(0) for item in bitmasks]
    return [Vector(builder, builder.bitcast(word, flags)) for word in words]


@over_row(_REAL, _INDEX, GIVEN, GIVEN, _REAL)
def largest_edited_block(
    stored: Stored, start: Any, stop: Any, biased: Array, allowed: Array, bias: Any
) -> list[Any]:
    """The largest logit of a block after a bias by one bitmask and a ban by another.

    The bias is added to those whose bit in `biased` is set, in the row's precision, and those whose
    bit in `allowed` is not set are left out.
    """

    def body(index: Any, totals: list[Vector]) -> list[Vector]:
        inside, kept = _flags(stored.builder, (biased, allowed), index)
        values = _biased(stored.values(index, MASK_LANES), inside, bias)
        return [kept.choose(values, -_INF).larger(totals[0])]

    lowest = filled(stored.builder, stored.element, MASK_LANES, -_INF)
    [top] = loop(stored.builder, start, stop, MASK_LANES, [lowest], body)
    return [top.reduce(larger)]


@over_row(types.void, _INDEX, GIVEN, GIVEN, _REAL, _REAL, GIVEN)
def masks_edited(
    stored: Stored,
    start: Any,
    stop: Any,
    biased: Array,
    allowed: Array,
    inside: Any,
    outside: Any,
    out: Array,
) -> list[Any]:
    """Which logits of a block reach a bound: words as of `masks_reaching`.

    The bound is `inside` for those whose bit in `biased` is set, else `outside`. Those whose bit in
    `allowed` is not set reach none.
    """
    builder = stored.builder
    bounds = [stored.reals(bound, MASK_LANES) for bound in (inside, outside)]

    def body(index: Any, _totals: list[Vector]) -> list[Vector]:
        is_inside, kept = _flags(builder, (biased, allowed), index)
        values = stored.values(index, MASK_LANES)
        flags = values.compare(">=", is_inside.choose(*bounds)) & kept
        _store_word(flags, builder.sub(index, start), out)
        return []

    return loop(builder, start, stop, MASK_LANES, [], body)


def _words_of_equal(builder: Any, start: Any, biased: Array, allowed: Array) -> list[Vector]:
    """The words of a block's tokens that are not banned: those with a bias, and the others."""
    place, count = builder.lshr(start, ir.Constant(INT64, 5)), BLOCK_SIZE // MASK_LANES
    chosen, kept = (words.load(place, count) for words in (biased, allowed))
    return [chosen & kept, (chosen ^ -1) & kept]


@straight_line(_REAL, _INDEX, GIVEN, GIVEN, _REAL, _REAL)
def largest_of_equal(
    builder: Any, start: Any, biased: Array, allowed: Array, inside: Any, outside: Any
) -> list[Any]:
    """`largest_edited_block` of a block of equal logits, given these with the bias and without."""
    lowest = ir.Constant(DOUBLE, -_INF)
    tops = []
    for words, logit in zip(
        _words_of_equal(builder, start, biased, allowed), (inside, outside), strict=True
    ):
        is_any = builder.icmp_unsigned("!=", words.reduce(Vector.__or__), ir.Constant(INT32, 0))
        tops.append(splat(builder, builder.select(is_any, logit, lowest), 1))
    return [tops[0].larger(tops[1]).lane(0)]


@straight_line(types.void, _INDEX, GIVEN, GIVEN, types.boolean, types.boolean, GIVEN)
def masks_of_equal(
    builder: Any, start: Any, biased: Array, allowed: Array, inside: Any, outside: Any, out: Array
) -> list[Any]:
    """`masks_edited` of a block of equal logits, given whether they reach each bound."""
    found = _words_of_equal(builder, start, biased, allowed)
    reached = [
        splat(builder, builder.sext(end, INT32), words.count) & words
        for end, words in zip((inside, outside), found, strict=True)
    ]
    out.store(ir.Constant(INT64, 0), reached[0] | reached[1])
    return []


@over_row(_REAL, _INDEX, GIVEN, GIVEN, _REAL, GIVEN)
def copy_edited_block(
    stored: Stored,
    start: Any,
    stop: Any,
    biased: Array,
    allowed: Array,
    bias: Any,
    out: Array,
) -> list[Any]:
    """A block into `out` from 0 on, float64, edited as by `largest_edited_block`; its largest."""

    def make(index: Any) -> Vector:
        inside, kept = _flags(stored.builder, (biased, allowed), index)
        return kept.choose(_biased(exact(stored.values(index, MASK_LANES)), inside, bias), -_INF)

    return _write(stored.builder, start, stop, out, make)
