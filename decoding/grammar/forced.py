"""What must come next, whatever is drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from decoding.grammar.protocol import TokenMatcher

Encode = Callable[[str], list[int]]
"""Text to token ids, without special tokens in front."""


def forced_tokens(matcher: TokenMatcher, encode: Encode) -> list[int]:  # noqa: ARG001 -- see below
    """The tokens that have no alternative, one after the other; the matcher is left as it is.

    encode: of the model's tokenizer, for what may be spelled in several ways.
    """
    ahead, forced = matcher.fork(), list[int]()
    while not ahead.is_accepting:
        bits = np.unpackbits(ahead.mask().view(np.uint8), bitorder="little")
        [*allowed] = np.flatnonzero(bits).tolist()
        if len(allowed) != 1 or not ahead.advance(allowed[0]):
            break
        forced += allowed
    return forced
