"""Keyed pseudorandom words by context: Philox4x32-10, the same on every machine.

A context of token ids is hashed to 64 bits by a chain of Philox blocks,

    h = (0, 0);   for each token:  h = first two words of philox((token, *h, CONTEXT), key)

and the words of the tokens that may follow it are those of the key (low h, high h), with the
counter (token_id // 4, 0, 0, domain), lane token_id % 4; see `decoding.kernels.randomness`.
Source: Salmon et al. 2011, doi:10.1145/2063384.2063405.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.reference import philox as blocks
from decoding.kernels.vector.noise import philox4x32

CONTEXT = 32
GREEN = 33
UNIFORM_HIGH = 34
UNIFORM_LOW = 35
"""Domain tags; those of the sampler's own noise are below 32."""

KEY_RANGE = 2**64
"""Keys and hashes are 64-bit."""

_WORD = 0xFFFFFFFF


def context_hash(token_ids: Iterable[int], key: int) -> int:
    """A keyed 64-bit hash of a context of token ids."""
    low = high = 0
    for token_id in token_ids:
        counter = (int(token_id) & _WORD, low, high, CONTEXT)
        low, high, _, _ = blocks.philox4x32(counter, (key & _WORD, key >> 32))
    return high << 32 | low


def words_at(seed: int, token_ids: NDArray[np.int64], domain: int) -> NDArray[np.uint64]:
    """The Philox 32-bit word of each of some ascending token ids, by seed and domain."""
    wanted = token_ids >> 2
    first = np.concatenate(([True], wanted[1:] != wanted[:-1]))
    drawn = philox4x32(wanted[first].astype(np.uint64), 0, 0, domain, seed)
    words: NDArray[np.uint64] = drawn[np.cumsum(first) - 1, token_ids & 3]
    return words


def token_word(seed: int, token_id: int, domain: int) -> int:
    """The Philox 32-bit word of one token id, by seed and domain."""
    counter = (token_id // 4, 0, 0, domain)
    return blocks.philox4x32(counter, (seed & _WORD, seed >> 32))[token_id % 4]
