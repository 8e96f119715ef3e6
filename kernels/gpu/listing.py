"""Triton: lists a row's candidates from a bitmask, and finds which are its top-n tokens."""

import triton
import triton.language as tl

from decoding.kernels.gpu.cuts import cut_key, foremost, key
from decoding.kernels.gpu.operations import bits_set
from decoding.kernels.result import TIES_BEYOND_TOP_N

MORE_TIES = tl.constexpr(TIES_BEYOND_TOP_N)


@triton.jit
def list_bits(bitmask, words, here, listing, WORDS: tl.constexpr):
    """Write the token ids of a row's set bits to its candidate list, ascending.

    Every turn writes the lowest of each word, so there are as many as bits in the fullest word.
    """
    place = tl.arange(0, WORDS)[None, :]
    word = tl.load(bitmask + place, mask=here & (place < words), other=0)
    count = bits_set(word)
    spot = tl.cumsum(count, axis=1) - count
    while tl.max((word != 0).to(tl.int32)) > 0:
        # A power of two is a float32, and that is an exponent alone.
        lowest = (word & -word).to(tl.uint32).to(tl.float32).to(tl.int32, bitcast=True)
        number = (lowest >> 23) - 127
        tl.store(listing + spot, place * 32 + number, mask=word != 0)
        spot += 1
        word = word & (word - 1)
    tl.debug_barrier()


@triton.jit
def list_top(v, alive, wanted, bound, complete, PIVOTS: tl.constexpr):
    """Find each row's `wanted` largest candidates, their number, and whether others may belong.

    Ties with the last are listed too, at most `MORE_TIES` beyond `wanted`, the lowest ids first. A
    row is unsure where a token that is no candidate may belong to its list.
    """
    one = tl.full(v.shape, 1.0, tl.float64)
    keys = key(v)
    nth = cut_key(keys, one, alive, tl.maximum(wanted, 1).to(tl.float64), PIVOTS)
    listed = alive & (keys >= nth) & (wanted > 0)
    count = tl.sum(listed.to(tl.int64), axis=1, keep_dims=True)
    unsure = ~complete & (wanted > 0) & ~((nth > key(bound)) & (count >= wanted))
    if tl.max(count - wanted) > MORE_TIES:
        most = wanted + MORE_TIES
        last = cut_key(keys, one, listed, most.to(tl.float64), PIVOTS)
        before = listed & (keys > last)
        left = most - tl.sum(before.to(tl.int64), axis=1, keep_dims=True)
        listed = before | foremost(listed & (keys == last), left)
        count = tl.sum(listed.to(tl.int64), axis=1, keep_dims=True)
    return listed, count, unsure
