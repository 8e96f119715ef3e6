"""What a row must reach to stay, where that depends on the whole of it.

Rows and parameters are as in `filters`; `whole` are the logits that the row's mass is counted over.
"""

from __future__ import annotations

import torch
from torch import Tensor

from decoding.kernels.tensor.candidates import NOTHING
from decoding.kernels.tensor.filters import weights


def epsilon_bound(whole: Tensor, log_epsilon: Tensor) -> Tensor:
    """The logit of probability ε, or the largest logit."""
    largest = whole.amax(1, keepdim=True)
    total = weights(whole).sum(1, keepdim=True)
    return torch.minimum(largest, largest + (total.log() + log_epsilon))


def eta_bound(whole: Tensor, log_epsilon: Tensor) -> Tensor:
    """The logit of probability min(ε, √ε · exp(−H)), or the largest logit."""
    largest = whole.amax(1, keepdim=True)
    weight = weights(whole)
    total = weight.sum(1, keepdim=True)
    gaps = torch.where(weight > 0.0, whole - largest, 0.0)
    entropy = total.log() - (weight * gaps).sum(1, keepdim=True) / total
    log_eta = torch.minimum(log_epsilon, log_epsilon / 2.0 - entropy)
    return torch.minimum(largest, largest + (total.log() + log_eta))


def top_n_sigma(logits: Tensor, n: Tensor, whole: Tensor) -> Tensor:
    """max − z_i ≤ n · σ, σ the population standard deviation of the finite logits of `whole`."""
    largest = whole.amax(1, keepdim=True)
    alive = whole > NOTHING
    count = alive.sum(1, keepdim=True)
    # Halved, so that the widest float64 range is finite; scaled, so that its square is.
    below = torch.where(alive, largest / 2.0 - whole / 2.0, 0.0)
    widest = below.amax(1, keepdim=True)
    unit = torch.where(widest > 0.0, widest, 1.0)
    below = below / unit
    mean = below.sum(1, keepdim=True) / count
    square = torch.where(alive, (below - mean) ** 2, 0.0).sum(1, keepdim=True)
    return ((largest / 2.0 - logits / 2.0) / unit <= n * (square / count).sqrt()) & (
        logits > NOTHING
    )
