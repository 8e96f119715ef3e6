"""Triton: applies each row's temperatures and truncations to its candidates; softmax.

A row is complete where all of its tokens alive are candidates, which the first truncation sees to.
Until then the others count as two sums: `rest`, Σ exp(v − top), and `rest_product`,
Σ exp(v − top) · (v − top), of logits of at most `bound`.
"""

import triton
import triton.language as tl

from decoding.kernels.gpu.cuts import INFINITY, cut_key, foremost, key, weights_above
from decoding.kernels.gpu.operations import (
    CUT,
    LARGEST,
    NOTHING,
    TEMPERATURE,
    TOP_K,
    TOP_P,
    TYPICAL_P,
)


@triton.jit
def truncated(
    v, alive, top, bound, complete, rest, rest_product,
    opcodes, operands, middle, stop, most, PIVOTS: tl.constexpr,
):  # fmt: skip
    """The candidates after each temperature and truncation of their row in turn.

    Returns logits, who is alive, the largest logit, the bound, and which rows are complete or
    uncertain: a token that is no candidate may have a say in what they keep.
    """
    # Cut off at the end of float32, logits in the rest say nothing of their weights.
    uncertain = ~complete & (top >= LARGEST)
    for step in range(most):
        active = middle + step < stop
        opcode = tl.load(opcodes + middle + step, mask=active, other=-1)
        first = tl.load(operands + 2 * (middle + step), mask=active, other=1.0)
        second = tl.load(operands + 2 * (middle + step) + 1, mask=active, other=0.0)
        if tl.max((opcode == TEMPERATURE).to(tl.int32)) > 0:
            divisor = tl.where(opcode == TEMPERATURE, first, 1.0)
            v = v / divisor
            bound = bound / divisor
            top = top / divisor
        if tl.max((opcode == CUT).to(tl.int32)) > 0:
            fall = first
            if tl.max(((opcode == CUT) & (second != 0.0)).to(tl.int32)) > 0:
                _, _, total, _ = softmax(v, alive, top, complete, rest, rest_product)
                fall = first + second * tl.log(total)
            least = tl.max(v, axis=1, keep_dims=True) + tl.minimum(fall, 0.0)
            uncertain = uncertain | ((opcode == CUT) & ~complete & ~(least > bound))
            alive = alive & ((opcode != CUT) | (v >= least))
        prefix = (opcode == TOP_K) | (opcode == TOP_P) | (opcode == TYPICAL_P)
        if tl.max(prefix.to(tl.int32)) > 0:
            kept, certain = prefix_kept(
                v, alive, bound, top, complete, rest, rest_product, opcode, first, second,
                PIVOTS,
            )  # fmt: skip
            uncertain = uncertain | (prefix & ~complete & ~certain)
            alive = alive & (kept | ~prefix)
        complete = complete | prefix | (opcode == CUT)
        v = tl.where(alive, v, NOTHING)
    return v, alive, top, bound, complete, uncertain


@triton.jit
def softmax(v, alive, top, complete, rest, rest_product):
    """Parts of each row's softmax: v − max, exp(v − max), Σ exp, and Σ of their product."""
    largest = tl.max(v, axis=1, keep_dims=True)
    largest = tl.where(complete, largest, tl.maximum(largest, top))
    largest = tl.where(largest > NOTHING, largest, 0.0)
    relative = tl.where(alive, v - largest, 0.0)
    weight = tl.where(alive, tl.exp(relative), 0.0)
    shift = tl.where(complete, 0.0, top - largest)
    factor = tl.where(complete, 0.0, tl.exp(shift))
    total = tl.sum(weight, axis=1, keep_dims=True) + factor * rest
    product = tl.sum(weight * relative, axis=1, keep_dims=True)
    product += factor * (rest_product + shift * rest)
    return relative, weight, tl.where(total > 0.0, total, 1.0), product


@triton.jit
def prefix_kept(
    v, alive, bound, top, complete, rest, rest_product, opcode, first, second,
    PIVOTS: tl.constexpr,
):  # fmt: skip
    """The candidates that top-k, top-p or typical-p keeps in each row, and whether that is certain.

    It is where the last token kept is above every token that is not here, and the weight of what is
    kept reaches the target.
    """
    relative, weight, total, product = softmax(v, alive, top, complete, rest, rest_product)
    typical = opcode == TYPICAL_P
    values, least = v, bound
    if tl.max(typical.to(tl.int32)) > 0:
        mean = product / total
        values = tl.where(typical, -tl.abs(relative - mean), v)
        # Nothing below the bound is nearer the mean than it, if it lies on that side.
        largest = tl.max(v, axis=1, keep_dims=True)
        largest = tl.where(complete, largest, tl.maximum(largest, top))
        side = (bound - largest) - mean
        least = tl.where(typical, tl.where(side <= 0.0, side, INFINITY), bound)
    by_count = opcode == TOP_K
    weight = tl.where(by_count, 1.0, weight)
    target = tl.where(by_count, first, first * total)
    eligible = alive & (weight > 0.0)
    keys = key(values)
    cut = cut_key(keys, weight, eligible, target, PIVOTS)
    above = weights_above(keys, weight, eligible, cut)
    tied = eligible & (keys == cut)
    ties = tl.sum(tied.to(tl.int64), axis=1, keep_dims=True)
    each = tl.max(tl.where(tied, weight, 0.0), axis=1, keep_dims=True)
    each = tl.where(each > 0.0, each, 1.0)
    certain = (cut > key(least)) & (above + ties.to(tl.float64) * each >= target)
    # How many of the ties stay until the weight before the next is the target.
    allowed = tl.ceil((target - above) / each)
    allowed = tl.where(typical | (by_count & (second == 1.0)), ties.to(tl.float64), allowed)
    allowed = tl.minimum(allowed, ties.to(tl.float64)).to(tl.int64)
    if tl.max(ties - allowed) > 0:
        tied = foremost(tied, allowed)
    return (eligible & (keys > cut)) | tied, certain
