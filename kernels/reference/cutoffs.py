"""Reference of the threshold truncations: a list of float64 logits in, a new list out.

−inf = impossible. A row without any finite logit passes through untouched.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from decoding.kernels.reference.philox import philox4x32
from decoding.kernels.reference.processors import probabilities

Row = list[float]
_IMPOSSIBLE = -math.inf


def entropy_terms(logits: Row) -> Row:
    """−p ln p of finite logits, in nats; ln p = z − max − ln(1 + the rest), with all its digits."""
    largest = max(logits)
    falls = sorted(largest - z for z in logits)[1:]
    log_total = math.log1p(math.fsum(math.exp(-fall) for fall in falls))
    logprobs = [z - largest - log_total for z in logits]
    return [-math.exp(logprob) * logprob if logprob > _IMPOSSIBLE else 0.0 for logprob in logprobs]


def entropy_of(logits: Row) -> float:
    """−Σ p ln p of the softmax, as ln Σ w + Σ w · (max − z) / Σ w with w = exp(z − max).

    The entropy of a row that is all but certain keeps its digits: Σ w is 1 + the rest.
    """
    falls = sorted(max(logits) - z for z in logits if z > _IMPOSSIBLE)[1:]
    rest = math.fsum(math.exp(-fall) for fall in falls)
    return math.log1p(rest) + math.fsum(math.exp(-d) * d for d in falls) / (1.0 + rest)


def cut(logits: Row, coefficients: Sequence[float]) -> Row:
    """Keep token i iff z_i − max ≥ min(0, least of terms linear in five statistics of the row).

    Every statistic is in units of 2, so that a deviation of the widest range is finite.
    """
    alive = [z for z in logits if z > _IMPOSSIBLE]
    if not alive:
        return logits
    falls = sorted(max(alive) - z for z in alive)[1:]
    halves = [max(alive) / 2.0 - z / 2.0 for z in alive]
    widest = max(halves) or 1.0
    shares = [half / widest for half in halves]
    mean = math.fsum(shares) / len(shares)
    deviation = math.sqrt(math.fsum((share - mean) ** 2 for share in shares) / len(shares))
    statistics = (
        0.5,
        math.log1p(math.fsum(math.exp(-fall) for fall in falls)) / 2.0,
        entropy_of(logits) / 2.0,
        deviation * widest,
        math.log1p(math.fsum(math.exp(-2.0 * fall) for fall in falls)) / 2.0,
    )
    terms = [coefficients[start : start + 5] for start in range(0, len(coefficients), 5)]
    least = min(sum(c * x for c, x in zip(term, statistics, strict=True)) for term in terms)
    bound = max(alive) / 2.0 + min(0.0, least)
    return [z if z / 2.0 >= bound else _IMPOSSIBLE for z in logits]


def epsilon_cutoff(logits: Row, epsilon: float) -> Row:
    """Keep token i iff p_i ≥ ε or it is a likeliest one."""
    if max(logits) == _IMPOSSIBLE:
        return logits
    pairs = enumerate(zip(logits, probabilities(logits), strict=True))
    return _only(logits, {i for i, (z, p) in pairs if p >= epsilon or z == max(logits)})


def eta_cutoff(logits: Row, epsilon: float) -> Row:
    """Keep token i iff p_i ≥ min(ε, √ε · exp(−H)) or it is a likeliest one."""
    if max(logits) == _IMPOSSIBLE:
        return logits
    eta = min(epsilon, math.sqrt(epsilon) * math.exp(-entropy_of(logits)))
    return epsilon_cutoff(logits, eta)


def top_h(logits: Row, share: float, candidates: int | None = None) -> Row:
    """Keep the likeliest, each if the sum of −p ln p with it is ≤ share · H; the first always."""
    if max(logits) == _IMPOSSIBLE:
        return logits
    alive = [i for i, z in enumerate(logits) if z > _IMPOSSIBLE]
    order = sorted(alive, key=lambda i: (-logits[i], i))[:candidates]
    if share == 1.0:
        return _only(logits, set(order))
    chosen = [logits[i] for i in order]
    probs, terms = probabilities(chosen), entropy_terms(chosen)
    budget = share * math.fsum(terms)
    kept = {order[0]}
    for count, i in enumerate(order[1:], start=2):
        if probs[count - 1] == 0.0 or math.fsum(terms[:count]) > budget:
            break
        kept.add(i)
    return _only(logits, kept)


def top_n_sigma(logits: Row, n: float) -> Row:
    """Keep token i iff z_i ≥ max − n · σ, σ the population deviation of the finite logits."""
    alive = [z for z in logits if z > _IMPOSSIBLE]
    # As shares of the widest gap, whose squares are neither 0 nor infinite.
    widest = max(alive) / 2.0 - min(alive) / 2.0 if alive else 0.0
    if widest == 0.0:
        return logits
    falls = [(max(alive) / 2.0 - z / 2.0) / widest for z in logits]
    finite = [fall for fall in falls if fall < math.inf]
    mean = math.fsum(finite) / len(finite)
    sigma = math.sqrt(math.fsum((fall - mean) ** 2 for fall in finite) / len(finite))
    return _only(logits, {i for i, fall in enumerate(falls) if fall <= n * sigma})


def xtc(logits: Row, threshold: float, exempt: Collection[int] = (), minimum: int = 1) -> Row:
    """Of the tokens with p_i ≥ threshold keep only the least likely, and those in `exempt`."""
    if max(logits) == _IMPOSSIBLE:
        return logits
    alive = {i for i, z in enumerate(logits) if z > _IMPOSSIBLE}
    probs = probabilities(logits)
    choices = {i for i in alive if probs[i] >= threshold}
    least = min((logits[i] for i in choices), default=0.0)
    kept = alive - {i for i in choices if logits[i] > least and i not in exempt}
    return _only(logits, kept if len(kept) >= minimum else alive)


def at_least(before: Row, after: Row, count: int) -> Row:
    """Keep what a truncation kept and the `count` likeliest tokens; ties with the last stay."""
    nth = sorted(before, reverse=True)[: max(count, 1)][-1] if count else math.inf
    return [z if y > _IMPOSSIBLE or z >= nth else y for z, y in zip(before, after, strict=True)]


def coin(seed: int, position: int, domain: int) -> float:
    """A pseudorandom number in (0, 1) for a seed, a position and a purpose."""
    key = (seed & 0xFFFFFFFF, seed >> 32)
    high, low, _, _ = philox4x32((0, position, 0, domain), key)
    return ((high << 32 | low) // 2**12 + 0.5) / 2**52


def _only(logits: Row, kept: set[int]) -> Row:
    return [z if i in kept else _IMPOSSIBLE for i, z in enumerate(logits)]
