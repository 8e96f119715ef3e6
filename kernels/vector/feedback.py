"""NumPy: mirostat, adaptive-p; float64 logits `(n,)` and state in, a mask or logits out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.vector import filters
from decoding.kernels.vector.distribution import log_softmax

Row = NDArray[np.float64]
Mask = NDArray[np.bool_]

PEAK = 5.0
SHARPNESS = 10.0
WIDTH = 0.3
"""Of adaptive-p's transform: 5 − 10 · d² / (1 + d), d = |p − target| / 0.3."""


def zipf_cutoff(logits: Row, mu: float, sampled: int) -> Mask:
    """Mirostat 1: keep the k likeliest; k from μ and a Zipf law fitted to the top `sampled`.

    ŝ = Σ t b / Σ t²,   t = ln((i + 1) / i), b = ln(p_i / p_{i+1})
    k = (ε̂ · 2^μ / (1 − n^−ε̂))^(1 / ŝ),   ε̂ = ŝ − 1, n the row's width
    """
    support = int(np.count_nonzero(logits > -np.inf))
    count = min(sampled, support)
    if count < 2:
        return logits > -np.inf
    largest = np.sort(np.partition(logits, len(logits) - count)[len(logits) - count :])[::-1]
    ranks = np.arange(1, count, dtype=np.float64)
    steps = np.log((ranks + 1.0) / ranks)
    slope = float(np.dot(steps, largest[:-1] - largest[1:]) / np.dot(steps, steps))
    if slope <= 0.0:
        return logits > -np.inf
    excess = slope - 1.0
    width = np.log(float(len(logits)))
    # ε / (1 − n^−ε) tends to 1 / ln n; as logarithms, so that no power overflows.
    spread = -np.log(width) if excess == 0.0 else np.log(excess / -np.expm1(-excess * width))
    log_k = (mu * np.log(2.0) + spread) / slope
    k = support if log_k >= np.log(support) else max(int(np.exp(log_k)), 1)
    return filters.top_k(logits, k, keep_ties=False)


def surprise_cutoff(logits: Row, mu: float) -> Mask:
    """Mirostat 2: keep tokens with −log₂ p_i ≤ μ, else the likeliest of lowest id."""
    logprobs = log_softmax(logits)
    keep = (logprobs >= -mu * np.log(2.0)) & (logits > -np.inf)
    return keep if keep.any() else filters.top_k(logits, 1, keep_ties=False)


def towards(logits: Row, target: float) -> Row:
    """Adaptive-p: new logits, highest where p_i is nearest the target probability; −inf stays."""
    distance = np.abs(np.exp(log_softmax(logits)) - target) / WIDTH
    shaped = PEAK - SHARPNESS * distance * distance / (1.0 + distance)
    return np.where(logits > -np.inf, shaped, logits)
