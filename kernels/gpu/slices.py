"""Triton: reduces what `survey` computed for each slice of a row to one number a row.

Slices are joined in their order by one reduction, so that a row's sums are the same in every step.
`numbers` and `counts` are the planes that `decoding.kernels.gpu.survey` names, each with one entry
a slice; `split` is the number of the slice, and `here` says which slices there are. Results are
`(rows, 1)`.
"""

import triton
import triton.language as tl

from decoding.kernels.gpu.operations import LARGEST, NO_TOKEN, NOTHING

INFINITY = tl.constexpr(float("inf"))


@triton.jit
def joined_bounds(numbers, counts, plane, split, here, found):
    """The largest logit, an upper bound on all non-candidates' logits, and how many those are."""
    top = tl.max(tl.load(numbers + split, mask=here, other=NOTHING), axis=1, keep_dims=True)
    bound = tl.load(numbers + plane + split, mask=here, other=NOTHING)
    bound = tl.max(bound, axis=1, keep_dims=True)
    # Rounded to float32, the largest of the others may have been a little more, or much more.
    slack = (tl.abs(bound) + tl.abs(top)) * 2.4e-7 + 1e-44
    bound = tl.where(bound > NOTHING, bound + slack, NOTHING)
    bound = tl.where(bound >= LARGEST, INFINITY, bound)
    others = tl.load(counts + plane + split, mask=here, other=0)
    others = (tl.sum(others, axis=1, keep_dims=True) - found).to(tl.int64)
    return top, bound, others


@triton.jit
def faults_of(counts, plane, split, here):
    """How many logits of a row are invalid, and the first of these."""
    faults = tl.load(counts + 2 * plane + split, mask=here, other=0)
    faults = tl.sum(faults.to(tl.int64), axis=1, keep_dims=True)
    fault = tl.load(counts + 3 * plane + split, mask=here, other=NO_TOKEN)
    return faults, tl.min(fault, axis=1, keep_dims=True).to(tl.int64)


@triton.jit
def joined_rest(numbers, plane, split, here, sound, top, temperature):
    """Σ exp((z − top)/T) and Σ exp((z − top)/T) · (z − top)/T over all but the candidates."""
    tops = tl.load(numbers + split, mask=here, other=NOTHING)
    shift = tl.where((tops > NOTHING) & (top < INFINITY), tops - top, 0.0) / temperature
    factor = tl.exp(shift)
    weight = tl.load(numbers + 2 * plane + split, mask=here & sound, other=0.0)
    product = tl.load(numbers + 3 * plane + split, mask=here & sound, other=0.0)
    rest = tl.sum(factor * weight, axis=1, keep_dims=True)
    return rest, tl.sum(factor * (product + shift * weight), axis=1, keep_dims=True)


@triton.jit
def joined_raw(numbers, plane, split, here):
    """The largest raw (unprocessed) logit, and ln Σ exp(raw − largest)."""
    tops = tl.load(numbers + 4 * plane + split, mask=here, other=NOTHING)
    weights = tl.load(numbers + 5 * plane + split, mask=here, other=0.0)
    top = tl.max(tops, axis=1, keep_dims=True)
    shift = tl.where(tops > NOTHING, tops - top, NOTHING)
    total = tl.sum(tl.exp(shift) * weights, axis=1, keep_dims=True)
    return top, tl.log(tl.where(total > 0.0, total, 1.0))
