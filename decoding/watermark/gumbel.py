"""The Gumbel-max watermark: keyed sampling noise, and its detection.

    u(context, token) = (k + ½) · 2⁻⁵²   of 52 Philox bits of (key, context, token)
    the next token    = argmax over tokens of  u^(1 / p),  that is of  ln p − ln(−ln u)

Over random keys the token is distributed as p. Text that knows nothing of the key has uniform u;
marked text has large ones, so that −ln(1 − u) adds up. Source: Aaronson 2022, "My AI safety lecture
for UT Effective Altruism"; Kuditipudi et al. 2023, "Robust Distortion-free Watermarks for Language
Models", arXiv:2307.15593, for the test; Fernandez et al. 2023, "Three Bricks to Consolidate
Watermarks for Large Language Models", arXiv:2308.00113, for counting each n-gram once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decoding.checks import check_integer, checked_token_ids
from decoding.errors import require
from decoding.kernels.randomness import DISCARDED_BITS, UNIFORM_SCALE
from decoding.kernels.vector.noise import gumbel
from decoding.watermark.ngrams import contexts, first_time
from decoding.watermark.prf import (
    KEY_RANGE,
    UNIFORM_HIGH,
    UNIFORM_LOW,
    context_hash,
    token_word,
    words_at,
)
from decoding.watermark.tails import gamma_tail


@dataclass(frozen=True, slots=True)
class GumbelScheme:
    """A Gumbel-max watermark: its key and the width of its context.

    key: in [0, 2**64); who has it can detect and forge.
    context_width: >= 1; how many tokens before a token address its randomness. Wider repeats less,
        and is undone by fewer edits of the text.

    Raises `ParameterError` at construction.
    """

    key: int
    context_width: int = 4

    def __post_init__(self) -> None:
        check_integer(self, "key", 0, KEY_RANGE - 1, "in [0, 2**64)")
        check_integer(self, "context_width", 1)

    def noise(self, context: Sequence[int], token_ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """The Gumbel noise −ln(−ln u) of ascending token ids after a context."""
        seed = context_hash(context, self.key)
        high = words_at(seed, token_ids, UNIFORM_HIGH)
        return gumbel(high << np.uint64(32) | words_at(seed, token_ids, UNIFORM_LOW))

    def uniform(self, context: Sequence[int], token_id: int) -> float:
        """The uniform u of one token after a context."""
        seed = context_hash(context, self.key)
        high, low = (token_word(seed, token_id, tag) for tag in (UNIFORM_HIGH, UNIFORM_LOW))
        return ((high << 32 | low) >> DISCARDED_BITS) * UNIFORM_SCALE + UNIFORM_SCALE / 2


@dataclass(frozen=True, slots=True)
class GumbelDetection:
    """The result of `detect_gumbel`: the score and p-value of a text.

    scored: tokens counted, each n-gram once.
    total: Σ −ln(1 − u) over them; in unmarked text `scored` on average.
    p_value: the chance of this total, or a greater one, in unmarked text: exact, the tail of
        Gamma(scored, 1). Flagging where p_value <= α flags a share α of unmarked texts.
    scores: −ln(1 − u) for each token of the text; None where it was not counted.
    """

    scored: int
    total: float
    p_value: float
    scores: tuple[float | None, ...]


def detect_gumbel(
    token_ids: Sequence[int], scheme: GumbelScheme, *, prompt: Sequence[int] = ()
) -> GumbelDetection:
    """Sum −ln(1 − u) over a text's tokens and test whether it is too high for chance.

    token_ids: the generated text. With no prompt its first `context_width` tokens are not counted.
    prompt: what came before it; gives the contexts of the first tokens, is not counted itself.

    >>> detect_gumbel([1, 2, 3], GumbelScheme(7, context_width=2)).scored
    1
    """
    require("scheme", scheme, isinstance(scheme, GumbelScheme), "a GumbelScheme")
    token_ids = checked_token_ids("token_ids", token_ids)
    known = list(contexts(token_ids, scheme.context_width, checked_token_ids("prompt", prompt)))
    ngrams = [
        None if context is None else (*context, int(token))
        for context, token in zip(known, token_ids, strict=True)
    ]
    scores = tuple(
        -math.log1p(-scheme.uniform(ngram[:-1], ngram[-1])) if counts and ngram else None
        for ngram, counts in zip(ngrams, first_time(ngrams), strict=True)
    )
    counted = [score for score in scores if score is not None]
    total = math.fsum(counted)
    return GumbelDetection(len(counted), total, gamma_tail(total, len(counted)), scores)
