"""Whether a sampler draws from all of a large vocabulary.

Faults of wide rows need few draws to be seen: ids that are cut to 16 bits, noise that is repeated
from block to block, candidates that are limited to the first thousand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from decoding.testing.draws import Draw
from decoding.typing import Anything

Row = NDArray[np.float64]

WIDTH = 131_109
"""Beyond 17 bits, and no multiple of any block."""
_CALLS, _ROWS = 16, 8


def wide_row() -> Row:
    """A row in which the thousand likeliest of `WIDTH` tokens have 6 % of the mass."""
    return np.random.default_rng(17).standard_normal(WIDTH).astype(np.float32).astype(np.float64)


def broken_wide(
    draw: Draw,
    row: Row,
    probs: Row,
    alpha: float,
    randomness: Callable[[int, int, int], dict[str, Anything]],
) -> Iterator[tuple[str, str]]:
    """Draw from a row of `WIDTH` tokens; yield each law that the tokens or logprobs break.

    probs: the claimed probabilities. alpha: the probability of an alarm without a fault.
    randomness: of a call with so many rows of so many tokens, by the number of the call.
    """
    logits = np.tile(row.astype(np.float32), (_ROWS, 1))
    tokens = np.zeros(0, np.int64)
    for call in range(_CALLS):
        drawn, logprobs = draw.drawn(logits, randomness(_ROWS, len(row), call))
        tokens = np.concatenate([tokens, drawn])
        if logprobs is None:
            continue
        with np.errstate(divide="ignore"):
            wanted = np.log(probs[drawn])
        wrong = ~(np.abs(logprobs - wanted) <= 1e-3 * np.maximum(1.0, np.abs(wanted)))
        if wrong.any():
            at = int(wrong.argmax())
            why = f"token {drawn[at]} came with {logprobs[at]:.6g}, and has {wanted[at]:.6g}"
            yield "logprob", why
            break
    events = list(_events(row, probs))
    for event, what in events:
        mass = float(probs[event].sum())
        share = float(event[tokens].mean())
        chance = 2.0 * len(events) * math.exp(-len(tokens) * _divergence(share, mass))
        if chance < alpha:
            why = (
                f"of {len(tokens)} tokens drawn from {len(row):,} a share of {share:.3g} {what},"
                f" claimed {mass:.3g} (by chance in {max(chance, 1e-99):.2g} of all runs at most)"
            )
            yield "wide", why
            return


def _events(row: Row, probs: Row) -> Iterator[tuple[NDArray[np.bool_], str]]:
    """Sets of tokens that a fault of wide rows draws too often or too seldom."""
    rank = np.empty(len(row), np.int64)
    rank[np.argsort(-probs, kind="stable")] = np.arange(len(row))
    ids = np.arange(len(row))
    for bit in range(5, len(row).bit_length()):
        size = 1 << bit
        yield rank >= size, f"is not among the {size:,} likeliest"
        yield (ids & size) > 0, f"has an id with bit {bit}"
        other = ids ^ size
        beats = row >= np.where(other < len(row), row[np.minimum(other, len(row) - 1)], -np.inf)
        yield beats, f"is at least as likely as the token whose id differs by {size:,}"


def _divergence(share: float, mass: float) -> float:
    """Kullback and Leibler's, of two probabilities: a share is so rare as exp(−n · divergence)."""
    mass = min(max(mass, 0.0), 1.0)
    parts = ((share, mass), (1.0 - share, 1.0 - mass))
    if any(one > 0.0 and other <= 1e-12 for one, other in parts):
        return 0.0 if min(abs(share - mass), 1.0) < 0.02 else math.inf
    return sum(one * math.log(one / other) for one, other in parts if one > 0.0)
