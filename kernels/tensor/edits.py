"""PyTorch: edits of logits; float64 logits of candidates `(rows, n)` in, new logits out.

Parameters are `(rows, 1)`.
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor

from decoding.kernels.tensor.candidates import NOTHING, Entries
from decoding.kernels.tensor.cutoffs import entropy

_LIMIT = sys.float_info.max


def temperature(logits: Tensor, value: Tensor, *, may_overflow: bool) -> Tensor:
    """z / T; where that leaves float64, the same distribution as (z − max) / T.

    Finite entries stay finite: dividing must not make a token impossible.
    """
    if not may_overflow:
        return logits / value
    alive = logits > NOTHING
    largest = torch.where(alive, logits.abs(), 0.0).amax(1, keepdim=True)
    overflows = largest > value * _LIMIT
    shift = torch.where(overflows, logits.amax(1, keepdim=True), 0.0)
    return torch.where(alive, ((logits - shift) / value).clamp(min=-_LIMIT), logits)


def dynamic_temperature(
    logits: Tensor, lowest: Tensor, highest: Tensor, exponent: Tensor, *, may_overflow: bool
) -> Tensor:
    """z / T, T = lowest + (highest − lowest) · (H / ln n)^exponent, of n possible tokens."""
    support = (logits > NOTHING).sum(1, keepdim=True)
    greatest = support.clamp(min=2).to(torch.float64).log()
    share = (entropy(logits) / greatest).clamp(max=1.0)
    value = (lowest + (highest - lowest) * share**exponent).clamp(min=sys.float_info.min)
    value = torch.where(support > 1, value, 1.0)
    return temperature(logits, value, may_overflow=may_overflow)


def logit_scale(logits: Tensor, chosen: Entries, factor: Tensor, divisor: Tensor) -> Tensor:
    """z · factor if z < 0 else z / divisor; what is finite stays finite."""
    old = logits.gather(1, chosen.places)
    safe = torch.where(old > NOTHING, old, 0.0)
    new = torch.where(safe < 0.0, safe * factor, safe / divisor).clamp(-_LIMIT, _LIMIT)
    return chosen.replaced(logits, torch.where(old > NOTHING, new, old))


def repetition_penalty(logits: Tensor, seen: Entries, penalty: Tensor) -> Tensor:
    """z · r if z < 0 else z / r, once for each distinct token in `seen`."""
    old = logits.gather(1, seen.places)
    return seen.replaced(logits, torch.where(old < 0, old * penalty, old / penalty))


def frequency_penalty(logits: Tensor, generated: Entries, penalty: Tensor) -> Tensor:
    """z − α · count."""
    counts = generated.counts(logits.shape[1])
    return generated.replaced(logits, logits.gather(1, generated.places) - penalty * counts)


def presence_penalty(logits: Tensor, generated: Entries, penalty: Tensor) -> Tensor:
    """z − α, once for each distinct token in `generated`."""
    return generated.replaced(logits, logits.gather(1, generated.places) - penalty)


def logit_bias(logits: Tensor, biased: Entries, values: Tensor) -> Tensor:
    """z + b; −inf bans. The token ids of a row are distinct."""
    values = values.gather(1, biased.sources)
    return biased.replaced(logits, logits.gather(1, biased.places) + values)


def bitmask_bias(logits: Tensor, members: Tensor, bias: Tensor) -> Tensor:
    """z + b where the bit is set."""
    return logits + torch.where(members, bias, 0.0)
