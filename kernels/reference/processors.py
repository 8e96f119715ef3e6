"""Reference of the basic processors: a list of float64 logits in, a new list out.

−inf = impossible. A row without any finite logit passes through untouched.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Sequence

Row = list[float]
_IMPOSSIBLE = -math.inf
_LOWEST = -sys.float_info.max


def probabilities(logits: Row) -> Row:
    """Softmax: exp(z_i − max) / Σ exp(z_j − max)."""
    largest = max(logits)
    weights = [math.exp(z - largest) if z > _IMPOSSIBLE else 0.0 for z in logits]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def temperature(logits: Row, value: float) -> Row:
    """z_i / T; where that overflows, the same distribution as (z_i − max) / T."""
    scaled = [z / value for z in logits]
    if all(math.isfinite(y) or z == _IMPOSSIBLE for y, z in zip(scaled, logits, strict=True)):
        return scaled
    largest = max(logits)
    return [max((z - largest) / value, _LOWEST) if z > _IMPOSSIBLE else z for z in logits]


def top_k(logits: Row, k: int, *, keep_ties: bool = True) -> Row:
    """Keep the k most likely; ties with the k-th stay, or their lowest ids up to exactly k."""
    by_likelihood = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    kept = set(by_likelihood[:k])
    if keep_ties:
        kth = logits[by_likelihood[min(k, len(logits)) - 1]]
        kept |= {i for i, z in enumerate(logits) if z == kth}
    return _only(logits, kept)


def top_p(logits: Row, p: float) -> Row:
    """Keep token i iff the mass of those before it is < p, most likely first, then lowest id."""
    if max(logits) == _IMPOSSIBLE:
        return logits
    probs = probabilities(logits)
    kept: set[int] = set()
    mass: list[float] = []
    for i in sorted(range(len(logits)), key=lambda i: (-logits[i], i)):
        if math.fsum(mass) >= p:
            break
        kept.add(i)
        mass.append(probs[i])
    return _only(logits, kept)


def min_p(logits: Row, fraction: float) -> Row:
    """Keep token i iff z_i ≥ max + ln(fraction)."""
    threshold = max(logits) + math.log(fraction)
    return _only(logits, {i for i, z in enumerate(logits) if z >= threshold})


def typical_p(logits: Row, mass: float) -> Row:
    """Keep the tokens whose surprise is nearest the entropy, up to `mass`; ties at the cut stay."""
    if max(logits) == _IMPOSSIBLE:
        return logits
    probs = probabilities(logits)
    alive = [i for i, p in enumerate(probs) if p > 0.0]
    entropy = -math.fsum(probs[i] * math.log(probs[i]) for i in alive)
    distance = {i: abs(-math.log(probs[i]) - entropy) for i in alive}
    cut, before = 0.0, 0.0
    for i in sorted(alive, key=lambda i: (distance[i], i)):
        if before >= mass:
            break
        cut = distance[i]
        before += probs[i]
    return _only(logits, {i for i in alive if distance[i] <= cut})


def repetition_penalty(logits: Row, seen: Sequence[int], penalty: float) -> Row:
    """Seen tokens: z · r if z < 0 else z / r, once a distinct token."""
    return [
        (z * penalty if z < 0 else z / penalty) if i in set(seen) else z
        for i, z in enumerate(logits)
    ]


def frequency_penalty(logits: Row, generated: Sequence[int], penalty: float) -> Row:
    """z_i − α · count_i."""
    counts = Counter(generated)
    return [z - penalty * counts[i] for i, z in enumerate(logits)]


def presence_penalty(logits: Row, generated: Sequence[int], penalty: float) -> Row:
    """z_i − α · [count_i > 0]."""
    return [z - penalty * (i in set(generated)) for i, z in enumerate(logits)]


def logit_bias(logits: Row, bias: dict[int, float]) -> Row:
    """z_i + b_i."""
    return [z + bias.get(i, 0.0) for i, z in enumerate(logits)]


def bitmask(logits: Row, words: Sequence[int]) -> Row:
    """Keep the tokens whose bit is set."""
    return _only(logits, {i for i in range(len(logits)) if _bit(words, i)})


def bitmask_bias(logits: Row, words: Sequence[int], bias: float) -> Row:
    """z_i + b where the bit of i is set."""
    return [z + bias * _bit(words, i) for i, z in enumerate(logits)]


def _bit(words: Sequence[int], token_id: int) -> int:
    """Bit i % 32 of word i // 32; 0 beyond the words."""
    word, bit = divmod(token_id, 32)
    return words[word] >> bit & 1 if word < len(words) else 0


def _only(logits: Row, kept: set[int]) -> Row:
    return [z if i in kept else _IMPOSSIBLE for i, z in enumerate(logits)]


def log_softmax(logits: Sequence[float]) -> Row:
    """z_i − max − ln Σ exp(z_j − max)."""
    largest = max(logits)
    total = math.fsum(math.exp(z - largest) for z in logits)
    return [z - largest - math.log(total) for z in logits]
