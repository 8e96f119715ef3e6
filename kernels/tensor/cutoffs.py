"""PyTorch: truncations by statistics of each whole row; the mask of the kept logits out.

Rows and parameters are as in `filters`; `whole` are the logits that the row's mass is counted over.
"""

from __future__ import annotations

import torch
from torch import Tensor

from decoding.kernels.program import NEEDS_DEVIATION, NEEDS_SQUARES, NEEDS_TOTAL, Term
from decoding.kernels.tensor.candidates import NOTHING, Entries
from decoding.kernels.tensor.filters import weights


def cut(logits: Tensor, needs: int, coefficients: Tensor, whole: Tensor) -> Tensor:
    """z_i ≥ max + min(0, the least term); see `decoding.kernels.program.cut`.

    coefficients: `(rows, 5 · terms)`, 0 where a row has fewer terms.
    """
    largest = whole.amax(1, keepdim=True)
    terms = coefficients.reshape(len(coefficients), -1, len(Term._fields))
    falls = terms[:, :, 0]
    if needs & NEEDS_TOTAL:
        falls = falls + terms[:, :, 1] * _rest(whole).log1p() + terms[:, :, 2] * entropy(whole)
    if needs & NEEDS_SQUARES:
        squares = (weights(whole) ** 2).sum(1, keepdim=True)
        falls = falls + terms[:, :, 4] * squares.log()
    if not needs & NEEDS_DEVIATION:
        bound = largest + falls.amin(1, keepdim=True).clamp(max=0.0)
        return (logits >= bound) & (logits > NOTHING)
    # In halves, so that the widest float64 range is finite.
    falls = falls / 2.0 + terms[:, :, 3] * _half_deviation(whole)
    bound = largest / 2.0 + falls.amin(1, keepdim=True).clamp(max=0.0)
    return (logits / 2.0 >= bound) & (logits > NOTHING)


def _half_deviation(whole: Tensor) -> Tensor:
    """Half the population standard deviation of the finite logits."""
    alive = whole > NOTHING
    count = alive.sum(1, keepdim=True)
    # Halved, so that the widest float64 range is finite; scaled, so that its square is.
    below = torch.where(alive, whole.amax(1, keepdim=True) / 2.0 - whole / 2.0, 0.0)
    widest = below.amax(1, keepdim=True)
    below = below / torch.where(widest > 0.0, widest, 1.0)
    mean = below.sum(1, keepdim=True) / count
    square = torch.where(alive, (below - mean) ** 2, 0.0).sum(1, keepdim=True)
    return (square / count).sqrt() * widest


def top_h(logits: Tensor, share: Tensor, whole: Tensor) -> Tensor:
    """Keep the likeliest while the partial sum of −p ln p is ≤ share · H; the first always.

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
    """Of the tokens with p_i ≥ threshold keep only the least likely, and those in `exempt`."""
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
