"""Reference of filters with state (mirostat, adaptive-p): lists of logits in, new lists out."""

from __future__ import annotations

import itertools
import math

from decoding.kernels.reference import processors

Row = list[float]
_IMPOSSIBLE = -math.inf


def zipf_cutoff(logits: Row, mu: float, sampled: int) -> Row:
    """Mirostat 1: keep the k likeliest, k from a Zipf law fitted to `sampled` tokens and from μ."""
    ordered = sorted((z for z in logits if z > _IMPOSSIBLE), reverse=True)[:sampled]
    if len(ordered) < 2:
        return logits
    steps = [math.log((i + 1) / i) for i in range(1, len(ordered))]
    falls = [first - second for first, second in itertools.pairwise(ordered)]
    slope = math.fsum(t * b for t, b in zip(steps, falls, strict=True)) / math.fsum(
        t * t for t in steps
    )
    if slope == 0.0:
        return logits
    excess = slope - 1.0
    # 1 − n^−ε without the cancellation near ε = 0.
    spread = -math.expm1(-excess * math.log(len(logits)))
    try:
        k = (2**mu * (excess / spread if spread else 1.0 / math.log(len(logits)))) ** (1 / slope)
    except OverflowError:
        return logits
    return processors.top_k(logits, max(int(min(k, len(logits))), 1), keep_ties=False)


def surprise_cutoff(logits: Row, mu: float) -> Row:
    """Mirostat 2: keep tokens with −log₂ p_i ≤ μ, else the likeliest of lowest id."""
    if max(logits) == _IMPOSSIBLE:
        return logits
    probs = processors.probabilities(logits)
    kept = {i for i, p in enumerate(probs) if p > 0.0 and -math.log2(p) <= mu}
    kept = kept or {logits.index(max(logits))}
    return [z if i in kept else _IMPOSSIBLE for i, z in enumerate(logits)]


def towards(logits: Row, target: float) -> Row:
    """Adaptive-p: 5 − 10 · d² / (1 + d), d = abs(p_i − target) / 0.3; −inf stays."""
    if max(logits) == _IMPOSSIBLE:
        return logits
    distances = [abs(p - target) / 0.3 for p in processors.probabilities(logits)]
    return [
        5.0 - 10.0 * d * d / (1.0 + d) if z > _IMPOSSIBLE else z
        for z, d in zip(logits, distances, strict=True)
    ]
