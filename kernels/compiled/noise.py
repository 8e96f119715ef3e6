"""Random words for many tokens at once, as Numba intrinsics over `vectors`.

The words are those of `decoding.kernels.randomness`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from decoding.kernels.compiled.blocks import (
    LANES,
    MASK_LANES,
    WIDE,
    gap_of,
    loop,
    sum_of,
    zeros,
)
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

_CONTEST_LANES = 128 if WIDE else 32
"""Of Philox at once: its rounds wait for one another, so four registers of them are under way."""
_ROUNDING = 1024.0
"""More than what float32 rounds of a word and of the number it is compared with."""


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
    """Which tokens of a block may win a Gumbel-max, `weigh_block`'s sums, and the least w.

    Of the first, bit i says it of some of the tokens i, i + 32, i + 64 ... of the block.

    With the high words h of the tokens, the first of which is token `first` (a multiple of 4):
    some (2³² − 1 − h) / 2 < w · limit. Leaves the weights w in `weights`, from 0 on.
    """
    real = float_type(row.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, stop, reference, rate, lowest, first, position, draw, domain = arguments[:10]
        key, limit, out = arguments[10:12], arguments[12], arguments[13]
        kind, out_kind = signature.args[0], signature.args[-1]
        rates, bounds = (splat(builder, item, LANES) for item in (rate, lowest))

        tokens, blocks = _CONTEST_LANES, _CONTEST_LANES // 4
        twice = builder.fmul(limit, ir.Constant(FLOAT, -2.0))
        limits = splat(builder, twice, tokens)
        lanes = Vector(builder, ir.Constant(ir.VectorType(INT64, blocks), _order(blocks)))
        flags = ir.IntType(MASK_LANES)

        def contest(index: Any, totals: list[Any]) -> list[Any]:
            at = builder.sub(index, start)
            hits = totals[0]
            total, moment, least = (Vector(builder, item) for item in totals[1:])
            for part in range(0, tokens, LANES):
                offset = ir.Constant(INT64, part)
                place = builder.add(index, offset)
                values = widen(load(context, builder, kind, array, place, LANES), row.dtype)
                found, gap = exp2_of_product(gap_of(values, reference), rates, bounds)
                store(context, builder, out_kind, out, builder.add(at, offset), found)
                least = found.compare("<", least).choose(found, least)
                total, moment = total + found, found.multiply_add(gap, moment)
            block = builder.lshr(builder.add(first, at), ir.Constant(INT64, 2))
            counter = (splat(builder, block, blocks) + lanes, position, draw, domain)
            words = _by_token(philox4x32(counter, key))
            # h − 2³¹, which is a signed word, against 2³¹ − 2 · w · limit.
            signed = (words ^ 0x80000000).convert("sitofp", FLOAT)
            found = load(context, builder, out_kind, out, at, tokens)
            may_win = signed.compare(">", found.multiply_add(limits, 2.0**31 - _ROUNDING))
            for part in range(0, tokens, MASK_LANES):
                wins = may_win.part(part, MASK_LANES)
                hits = builder.or_(hits, builder.bitcast(wins.value, flags))
            return [hits, total.value, moment.value, least.value]

        ones = ir.Constant(ir.VectorType(FLOAT, LANES), [1.0] * LANES)
        nothing, none = zeros(FLOAT, LANES), ir.Constant(flags, 0)
        begin = [none, nothing, nothing, ones]
        hits, *sums, least = loop(builder, start, stop, tokens, begin, contest)
        smallest = Vector(builder, least).reduce(lambda a, b: a.compare("<", b).choose(a, b))
        results = [hits, *(sum_of(Vector(builder, total)) for total in sums), smallest]
        return context.make_tuple(builder, signature.return_type, results)

    result = types.Tuple((types.uint32, types.float32, types.float32, types.float32))
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


def _order(blocks: int) -> list[int]:
    """Which Philox block is in which lane: such that `_by_token` moves no word across 128 bits."""
    return [lane // 2 + lane % 2 * (blocks // 2) for lane in range(blocks)]


def _by_token(words: list[Vector]) -> Vector:
    """Four vectors of words, one a lane of a Philox block, as 32-bit words in order of token."""
    builder, count = words[0].builder, words[0].count
    narrow, wide = ir.VectorType(INT32, 2 * count), ir.VectorType(INT64, count)
    halves = [Vector(builder, builder.bitcast(word.value, narrow)) for word in words]
    low_halves = [2 * lane + side for lane in range(count) for side in (0, 2 * count)]
    pairs = []
    for one, other in (halves[:2], halves[2:]):
        pair = one.shuffle(other, low_halves)
        pairs.append(Vector(builder, builder.bitcast(pair.value, wide)))
    evens, odds = (
        pairs[0].shuffle(pairs[1], [lane + side for lane in lanes for side in (0, count)])
        for lanes in (range(0, count, 2), range(1, count, 2))
    )
    tokens = evens.shuffle(odds, range(2 * count))
    return Vector(builder, builder.bitcast(tokens.value, ir.VectorType(INT32, 4 * count)))


@intrinsic
def mask_below(
    _context: Any,
    first: Any,
    position: Any,
    draw: Any,
    domain: Any,
    key0: Any,
    key1: Any,
    bound: Any,
) -> Any:
    """Bit i says whether the word of token first + i, a multiple of 32 plus i, is below `bound`.

    bound: a word in 64 bits.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first, position, draw, domain, key0, key1, bound = arguments
        blocks = MASK_LANES // 4
        lanes = Vector(builder, ir.Constant(ir.VectorType(INT64, blocks), _order(blocks)))
        block = builder.lshr(first, ir.Constant(INT64, 2))
        counter = (splat(builder, block, blocks) + lanes, position, draw, domain)
        words = _by_token(philox4x32(counter, (key0, key1)))
        narrow = splat(builder, builder.trunc(bound, INT32), MASK_LANES)
        return builder.bitcast(words.compare("<", narrow).value, INT32)

    word = types.uint64
    return types.uint32(types.int64, word, word, word, word, word, word), generate


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
