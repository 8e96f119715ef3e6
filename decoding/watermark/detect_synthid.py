"""Detection of SynthID-Text watermarks: the mean of the g-values, and its p-value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decoding.checks import checked_token_ids
from decoding.errors import require
from decoding.watermark.synthid import SynthId
from decoding.watermark.tails import binomial_tail, normal_tail


@dataclass(frozen=True, slots=True)
class SynthIdDetection:
    """The result of `detect_synthid`: the mean g-value of a text and its p-values.

    scored: n-grams counted, those whose context is not a repeated one.
    mean: of all their g-values; 0 where none was counted.
    p_value: the chance of this mean, or a greater one, in unmarked text: exact, binomial over
        scored · depth coins. Flagging where p_value <= α flags a share α of unmarked texts.
    weighted_mean: the same with layers weighted from 10 down to 1, as the first layers of a
        tournament carry most of the mark.
    weighted_z, weighted_p_value: its standard score, and the normal tail of that, an approximation.
    """

    scored: int
    mean: float
    p_value: float
    weighted_mean: float
    weighted_z: float
    weighted_p_value: float


def detect_synthid(token_ids: Sequence[int], scheme: SynthId) -> SynthIdDetection:
    """Average the g-values of a text and test whether the mean is too high for chance.

    token_ids: the generated text, without its prompt and without what follows an end token.

    Source: Dathathri et al. 2024, doi:10.1038/s41586-024-08025-4, on scoring functions.

    >>> detect_synthid([1, 2, 3], SynthId((654, 400), ngram_len=3)).scored
    1
    """
    g = g_values(token_ids, scheme)
    scored, coin = len(g), float(scheme.table.mean())
    if not 0.0 < coin < 1.0 or scored == 0:
        return SynthIdDetection(scored, 0.0, 1.0, 0.0, 0.0, 1.0)
    weights = np.linspace(10.0, 1.0, scheme.depth)
    weights /= weights.sum()
    weighted = float(weights @ g.mean(axis=0))
    spread = math.sqrt(coin * (1.0 - coin) * float(weights @ weights) / scored)
    z = (weighted - coin) / spread
    p_value = binomial_tail(int(g.sum()), g.size, coin)
    return SynthIdDetection(scored, float(g.mean()), p_value, weighted, z, normal_tail(z))


def g_values(token_ids: Sequence[int], scheme: SynthId) -> NDArray[np.uint8]:
    """The g-values `(scored, depth)` of a text's n-grams whose context is not a repeated one.

    token_ids: as for `detect_synthid`.
    """
    require("scheme", scheme, isinstance(scheme, SynthId), "a SynthId")
    width = scheme.ngram_len - 1
    tokens = np.array(checked_token_ids("token_ids", token_ids), np.int64)
    if len(tokens) <= width:
        return np.zeros((0, scheme.depth), np.uint8)
    contexts = np.lib.stride_tricks.sliding_window_view(tokens[:-1], width)
    hashed = scheme.hashes(contexts)
    fresh = _fresh(hashed.tolist(), scheme.history_size)
    return np.stack([layer[fresh] for layer in scheme.layers(hashed, tokens[width:])], axis=1)


def _fresh(hashed: list[int], history_size: int) -> list[bool]:
    """Whether each context differs from the `history_size` contexts before it."""
    latest: dict[int, int] = {}
    fresh = []
    for place, context in enumerate(hashed):
        fresh.append(place - latest.get(context, -math.inf) > history_size)
        latest[context] = place
    return fresh
