"""Random words for many tokens at once, as Numba intrinsics over `vectors`.

The words are those of `decoding.kernels.randomness`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from decoding.kernels.compiled.blocks import LANES, gap_of, loop, sum_of, zeros
from decoding.kernels.compiled.scalars import float_type
from decoding.kernels.compiled.vectors import (
    FLOAT,
    INT32,
    INT64,
    Vector,
    exp2_of_product,
    load,
    philox4x32,
    splat,
    store,
    widen,
)

CONTEST_LANES = 32


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
            found, gap = exp2_of_product(gap_of(values, reference), rates, bounds)
            store(context, builder, out_kind, out, builder.sub(index, start), found)
            total, moment, least = (Vector(builder, item) for item in totals)
            smaller = found.compare("<", least).choose(found, least)
            return [(total + found).value, found.multiply_add(gap, moment).value, smaller.value]

        ones = ir.Constant(ir.VectorType(FLOAT, LANES), [1.0] * LANES)
        nothing = zeros(FLOAT, LANES)
        *sums, least = loop(builder, start, stop, LANES, [nothing, nothing, ones], weigh)
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
        [hits] = loop(builder, zero, builder.sub(stop, start), tokens, [none], contest)
        hit = builder.icmp_unsigned("!=", hits, none)
        smallest = Vector(builder, least).reduce(lambda a, b: a.compare("<", b).choose(a, b))
        results = [hit, *(sum_of(Vector(builder, total)) for total in sums), smallest]
        return context.make_tuple(builder, signature.return_type, results)

    result = types.Tuple((types.boolean, types.float32, types.float32, types.float32))
    word, single = types.uint64, types.float32
    return result(
        row,
        start,
        stop,
        real,
        single,
        single,
        types.int64,
        word,
        word,
        word,
        word,
        word,
        single,
        weights,
    ), generate


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
        store(context, builder, signature.args[-1], out, start, chosen.convert("trunc", INT32))
        return context.get_dummy_value()

    word = types.uint64
    return types.void(token_ids, start, word, word, word, word, word, words), generate
