"""Makes green-list schemes: TGI's, transformers', the reference code's, and one by Philox."""

from __future__ import annotations

import os
from collections.abc import Mapping

from decoding.errors import ParameterError
from decoding.watermark.scheme import MILLIONTH_PRIME, Scheme, Thresholded
from decoding.watermark.seeding import (
    ContextHash,
    LastToken,
    MinHash,
    SelfHash,
    SkipGram,
)


def tgi(environment: Mapping[str, str] = os.environ) -> Scheme:
    """The scheme of TGI's request parameter `watermark`: γ = ½, δ = 2, seeded by the last token.

    environment: `WATERMARK_GAMMA` and `WATERMARK_DELTA` take the place of these.

    TGI seeds the shorter rows of a batch with padding; here a row's own last token counts, always.
    It takes no modulus, which matters only for products that torch refuses as a seed.
    Source: TGI 3.3.6, server/text_generation_server/utils/watermark.py.

    Raises:
        ParameterError: a variable is no number or outside its range.
    """
    gamma = _variable(environment, "WATERMARK_GAMMA", 0.5)
    return Scheme(LastToken(), gamma, _variable(environment, "WATERMARK_DELTA", 2.0))


def lefthash(
    gamma: float = 0.25, delta: float = 2.0, key: int = MILLIONTH_PRIME, context_width: int = 1
) -> Scheme:
    """`lefthash` of transformers; of width 1 also the reference implementation's.

    The last token alone seeds the list, whatever the width: a text is marked from `context_width`
    tokens on. Source: arXiv:2301.10226, algorithm 2.
    """
    return Scheme(LastToken(context_width), gamma, delta, key)


def selfhash(gamma: float = 0.25, delta: float = 2.0, key: int = MILLIONTH_PRIME) -> Scheme:
    """`selfhash` of the reference implementation: width 4, 41 candidates.

    Source: arXiv:2306.04634.
    """
    return Scheme(SelfHash(), gamma, delta, key, candidates=41)


def transformers_selfhash(
    gamma: float = 0.25, delta: float = 2.0, key: int = MILLIONTH_PRIME, context_width: int = 1
) -> Scheme:
    """`selfhash` of transformers: table, width and candidates differ from the reference's.

    It also waits for `context_width` tokens before it marks one, where one fewer would do.
    """
    return Scheme(SelfHash(context_width, key), gamma, delta, key)


def minhash(gamma: float = 0.25, delta: float = 2.0, key: int = MILLIONTH_PRIME) -> Scheme:
    """`minhash` of the reference implementation, width 4. Source: arXiv:2306.04634."""
    return Scheme(MinHash(), gamma, delta, key)


def skipgram(gamma: float = 0.25, delta: float = 2.0, key: int = MILLIONTH_PRIME) -> Scheme:
    """`skipgram` of the reference implementation, width 5. Source: arXiv:2306.04634."""
    return Scheme(SkipGram(), gamma, delta, key)


def philox(
    gamma: float = 0.25, delta: float = 2.0, key: int = MILLIONTH_PRIME, context_width: int = 1
) -> Scheme:
    """A scheme by Philox: it uses all bits of key and context and is the same on every device."""
    return Scheme(ContextHash(context_width), gamma, delta, key, Thresholded())


def _variable(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name)
    if text is None:
        return default
    try:
        return float(text)
    except ValueError as error:
        raise ParameterError(name, text, "a number") from error
