"""Triton: finds the threshold of top-k, top-p or typical-p by pivots, without sorting.

Tokens stand in the order of a value, largest first, ties by the lowest id. A token stays iff the
weight before it is below a target: weights 1 and target k are top-k, probabilities and p are top-p,
and nearness to the entropy in place of the logit is typical-p. Tensors are `(rows, n)`, rows of a
program side by side; what a row has one of is `(rows, 1)`.

float64 values are compared as int64 keys in the same order, which costs the device half as much.
"""

import triton
import triton.language as tl

from decoding.kernels.gpu.operations import NOTHING

INFINITY = tl.constexpr(float("inf"))
EVEN_TURNS = tl.constexpr(8)
MOST_TURNS = tl.constexpr(128)
"""Turns whose pivots divide the distance between values evenly; what is then still open is settled
by dividing the distance between their keys, 64 bits at most, so that no spread of the values takes
long, and no number that is none takes for ever."""


@triton.jit
def cut_key(keys, weights, eligible, target, PIVOTS: tl.constexpr):
    """The least eligible key with Σ weights[keys > it] < target > 0; that of −inf if none is.

    It lies in (low, high], both shrunk every turn to what is eligible between them and then to the
    distance of two of `PIVOTS` pivots.
    """
    step = tl.arange(0, PIVOTS)[None, :].to(tl.int64)
    low = key(tl.full(target.shape, NOTHING, tl.float64))
    high = key(tl.full(target.shape, INFINITY, tl.float64))
    least, high = ends(keys, eligible, low, high)
    turn = 0
    while (tl.max((least < high).to(tl.int32)) > 0) & (turn < MOST_TURNS):
        # From `least`, which is tried itself, to just below `high`, which is known to do.
        pivot = least + (high // PIVOTS - least // PIVOTS) * step
        if turn < EVEN_TURNS:
            first, last = value(least), value(high)
            pivot = key(first + (last / PIVOTS - first / PIVOTS) * step.to(tl.float64))
        pivot = tl.minimum(tl.maximum(pivot, least), high)
        above = weights_above(keys, weights, eligible, pivot)
        low = tl.max(tl.where(above >= target, pivot, low), axis=1, keep_dims=True)
        high = tl.min(tl.where(above < target, pivot, high), axis=1, keep_dims=True)
        least, high = ends(keys, eligible, low, high)
        turn += 1
    return high


@triton.jit
def ends(keys, eligible, low, high):
    """The least and the largest eligible key in (low, high]."""
    between = eligible & (keys > low) & (keys <= high)
    least = tl.min(tl.where(between, keys, high), axis=1, keep_dims=True)
    largest = tl.max(tl.where(between, keys, low), axis=1, keep_dims=True)
    return least, largest


@triton.jit
def weights_above(keys, weights, eligible, pivots):
    """Σ of the weights of what is eligible and larger than each pivot, `(rows, pivots)`."""
    larger = eligible[:, :, None] & (keys[:, :, None] > pivots[:, None, :])
    return tl.sum(tl.where(larger, weights[:, :, None], 0.0), axis=1)


@triton.jit
def foremost(tied, allowed):
    """Keep the first `allowed` of the tied candidates of each row."""
    return tied & (tl.cumsum(tied.to(tl.int32), axis=1) <= allowed)


@triton.jit
def key(values):
    """Map float64 to int64 keys of the same order; −0 and 0 have one key."""
    bits = (values + 0.0).to(tl.int64, bitcast=True)
    return bits ^ ((bits >> 63) & 0x7FFFFFFFFFFFFFFF)


@triton.jit
def value(keys):
    """Map an int64 key back to its float64."""
    bits = keys ^ ((keys >> 63) & 0x7FFFFFFFFFFFFFFF)
    return bits.to(tl.float64, bitcast=True)
