"""What a row must reach to stay, where that depends on the whole of it.

Rows and parameters are as in `filters`; `whole` are the logits that the row's mass is counted over.
"""

from __future__ import annotations

import torch
from torch import Tensor

from decoding.kernels.tensor.candidates import NOTHING, Entries
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


def top_h(logits: Tensor, share: Tensor, whole: Tensor) -> Tensor:
    """Likeliest first, while the partial sum of −p ln p is ≤ share · H; the first stays.

    Columns are in ascending order of token id.
    """
    # Adding zero makes −0 and 0 one number for sorts that compare bits.
    ordered, order = torch.sort(logits + 0.0, dim=1, descending=True, stable=True)
    logprobs = _logprobs(ordered, whole)
    probs = logprobs.exp()
    terms = torch.where(probs > 0.0, -probs * logprobs, 0.0)
    kept = (terms.cumsum(1) <= share * entropy(whole)) & (probs > 0.0)
    kept[:, :1] = ordered[:, :1] > NOTHING
    return torch.zeros_like(kept).scatter(1, order, kept)


def xtc(logits: Tensor, log_threshold: Tensor, exempt: Entries, minimum: Tensor) -> Tensor:
    """Of the tokens with p_i ≥ threshold only the least likely stay, and those in `exempt`."""
    alive = logits > NOTHING
    choices = alive & (_logprobs(logits, logits) >= log_threshold)
    least = torch.where(choices, logits, torch.inf).amin(1, keepdim=True)
    removed = choices & (logits > least)
    if exempt.places.shape[1]:
        named = exempt.here.any(1, keepdim=True).expand_as(exempt.places)
        spared = torch.zeros_like(alive).scatter(1, exempt.places, named)
        removed = removed & ~spared
    left = alive & ~removed
    return torch.where(left.sum(1, keepdim=True) >= minimum, left, alive)


def entropy(logits: Tensor) -> Tensor:
    """ln Σ w + Σ w · gap / Σ w; 0 in a row without any finite entry.

    The entropy of a row that is all but certain keeps its digits: Σ w is 1 + the rest.
    """
    largest = logits.amax(1, keepdim=True)
    gaps = torch.where(logits > NOTHING, largest - logits, 0.0)
    rest = _rest(logits)
    return rest.log1p() + (weights(logits) * gaps).sum(1, keepdim=True) / (1.0 + rest)


def _logprobs(logits: Tensor, whole: Tensor) -> Tensor:
    """(z − max) − ln Σ exp(z − max), in this order: beside 10³⁸ the logarithm would vanish."""
    largest = whole.amax(1, keepdim=True)
    return (logits - torch.where(largest > NOTHING, largest, 0.0)) - _rest(whole).log1p()


def _rest(logits: Tensor) -> Tensor:
    """Σ exp(z − max) over all tokens but one of the likeliest."""
    others = weights(logits).scatter(1, logits.argmax(1, keepdim=True), 0.0)
    return others.sum(1, keepdim=True)
