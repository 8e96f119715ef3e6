"""PyTorch: truncations; float64 logits `(rows, n)` in, the mask of the kept ones out.

Parameters are `(rows, 1)`. −inf entries never stay; a row without any finite entry keeps nothing.
Columns are in ascending order of token id.
"""

from __future__ import annotations

import torch
from torch import Tensor

from decoding.kernels.tensor.candidates import NOTHING


def top_k(logits: Tensor, k: Tensor, keep_ties: Tensor, most: int, *, cuts_ties: bool) -> Tensor:
    """The k largest; ties with the k-th stay, or only the lowest ids of them up to exactly k.

    most: the largest k. cuts_ties: whether `keep_ties` is 0 anywhere.
    """
    width = logits.shape[1]
    values = torch.topk(logits, min(most, width), dim=1).values
    kth = values.gather(1, k.clamp(max=width).to(torch.int64) - 1)
    keep = logits >= kth
    if cuts_ties:
        above, tied = logits > kth, logits == kth
        room = k - above.sum(1, keepdim=True)
        exactly = above | (tied & (tied.cumsum(1) <= room))
        keep = torch.where(keep_ties == 1.0, keep, exactly)
    return keep & (logits > NOTHING)


def top_p(logits: Tensor, p: Tensor, total: Tensor) -> Tensor:
    """The weight before token i is < p · total, most likely first, then in order of token id."""
    # Adding zero makes −0 and 0 one number for sorts that compare bits.
    ordered, order = torch.sort(logits + 0.0, dim=1, descending=True, stable=True)
    return _covering_prefix(weights(ordered), order, p * total)


def typical_p(logits: Tensor, mass: Tensor) -> Tensor:
    """|−ln p_i − H| smallest first until `mass` is reached; ties at the cut stay."""
    weight = weights(logits)
    alive = weight > 0.0
    total = weight.sum(1, keepdim=True)
    surprise = (total.log() + logits.amax(1, keepdim=True)) - logits
    surprise = torch.where(alive, surprise, torch.inf)
    products = torch.where(alive, weight * surprise, 0.0)
    distance = (surprise - products.sum(1, keepdim=True) / total).abs()
    order = torch.sort(distance, dim=1, stable=True).indices
    kept = _covering_prefix(weight.gather(1, order), order, mass * total)
    cut = torch.where(kept, distance, NOTHING).amax(1, keepdim=True)
    return alive & (distance <= cut)


def weights(logits: Tensor) -> Tensor:
    """exp(z_i − max); 0 in a row without any finite entry."""
    largest = logits.amax(1, keepdim=True)
    return (logits - torch.where(largest > NOTHING, largest, 0.0)).exp()


def _covering_prefix(ordered: Tensor, order: Tensor, target: Tensor) -> Tensor:
    """Which columns come, in the given order, before their weights sum to the target."""
    before = ordered.cumsum(1) - ordered
    kept = (before < target) & (ordered > 0.0)
    return torch.zeros_like(kept).scatter(1, order, kept)
