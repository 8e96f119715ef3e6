"""SynthID-Text: the scheme and its g-values (keyed bits for the tournament's layers).

    h(tokens) = 1;  for each x of tokens:  h = ((h + x) · 6364136223846793005 + 1) mod 2⁶⁴
    g_l(n-gram) = table[h(n-gram, key_l) mod table_size],   l = 1 .. depth

h is the n-gram's hash, read as a signed integer; the table holds random bits. Source: Dathathri et
al. 2024, "Scalable watermarking for identifying large language model outputs", Nature 634, 818-823,
doi:10.1038/s41586-024-08025-4; the hash and the table are those of transformers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from decoding.checks import check_integer, checked_integer, checked_items
from decoding.errors import require
from decoding.watermark.shuffle import mt19937_words

Hashes = NDArray[np.int64]

_MULTIPLIER = np.int64(6364136223846793005)
_ONE = np.int64(1)


@dataclass(frozen=True, slots=True)
class SynthId:
    """A SynthID-Text scheme: keys, n-gram length, table, history; transformers' defaults.

    keys: at least one, in [0, 2**63); one a layer of the tournament. Who has them can detect.
    ngram_len: >= 2, tokens in an n-gram, the coloured one included.
    table_size, table_seed: >= 1, in [0, 2**64): of the table of random bits.
    history_size: >= 1; a context among so many latest ones is a repeated one, and not marked.
    skips_first: whether the first `ngram_len` − 1 generated tokens are not marked; else zeros stand
        for the tokens that are missing. The prompt is never part of a context.

    Raises `ParameterError` at construction.
    """

    keys: tuple[int, ...]
    ngram_len: int = 5
    table_size: int = 2**16
    table_seed: int = 0
    history_size: int = 1024
    skips_first: bool = False
    table: NDArray[np.uint8] = field(init=False, repr=False, compare=False)
    """`(table_size,)` bits, not to be written to."""

    def __post_init__(self) -> None:
        expected = "at least one integer, each in [0, 2**63)"
        given = checked_items("keys", self.keys, expected)
        keys = [checked_integer("keys", key, 0, 2**63 - 1, expected) for key in given]
        require("keys", self.keys, len(keys) > 0, expected)
        object.__setattr__(self, "keys", tuple(keys))
        check_integer(self, "ngram_len", 2)
        check_integer(self, "table_size", 1, 2**24)
        check_integer(self, "table_seed", 0, 2**64 - 1, "in [0, 2**64)")
        check_integer(self, "history_size", 1)
        bits = (mt19937_words(self.table_seed, self.table_size) & 1).astype(np.uint8)
        bits.flags.writeable = False
        object.__setattr__(self, "table", bits)

    @property
    def depth(self) -> int:
        """The number of layers of the tournament."""
        return len(self.keys)

    def hashes(self, contexts: NDArray[np.integer]) -> Hashes:
        """The hash of each row of `(n, width)` tokens."""
        hashed = np.ones(len(contexts), np.int64)
        for tokens in contexts.T:
            hashed = _accumulate(hashed, tokens.astype(np.int64))
        return hashed

    def layers(
        self, context_hashes: Hashes, token_ids: NDArray[np.integer]
    ) -> Iterator[NDArray[np.uint8]]:
        """The g-values of tokens after their contexts, layer by layer."""
        ngrams = _accumulate(context_hashes, token_ids.astype(np.int64))
        for key in self.keys:
            yield self.table[_accumulate(ngrams, np.int64(key)) % self.table_size]


def _accumulate(hashed: Hashes, tokens: NDArray[np.int64] | np.int64) -> Hashes:
    """Add one token to each hash; 64-bit integers wrap."""
    return (hashed + tokens) * _MULTIPLIER + _ONE
