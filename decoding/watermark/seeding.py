"""Seedings: functions from the preceding tokens to the seed of a green list.

Those with a table use a fixed permutation F of 0 .. 1000002, drawn on the CPU from a seed of its
own. The products of `SelfHash` are 64-bit integers that wrap, as those of torch do. Every seed is
taken modulo 2⁶⁴ − 1. Source: Kirchenbauer et al. 2023, "On the Reliability of Watermarks for Large
Language Models", arXiv:2306.04634, section 3, and the reference implementation that comes with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from decoding.checks import check_integer
from decoding.watermark.prf import context_hash
from decoding.watermark.shuffle import shuffled_prefix

Tokens: TypeAlias = Sequence[int] | NDArray[np.int32]
"""Token ids, as a list or as a row of a history."""

REFERENCE_TABLE_SEED = 2971215073
"""The seed of the reference implementation's table."""

_MODULUS = 2**64 - 1
_TABLE_SIZE = 1_000_003


class Seeding(Protocol):
    """A function from a window of tokens to the seed of a green list."""

    @property
    def width(self) -> int:
        """The number of tokens in the window."""

    @property
    def reads_candidate(self) -> bool:
        """Whether the window ends with the candidate token itself."""

    def seed(self, window: Sequence[int], key: int) -> int:
        """The seed in [0, 2**64) of a window of `width` tokens."""


@dataclass(frozen=True, slots=True)
class LastToken:
    """Seed key · x, where x is the last token of the window.

    width: >= 1. More than one changes only how many tokens must be there: transformers' `lefthash`
    does that, where the reference implementation sums the window (`TokenSum`).
    """

    width: int = 1

    reads_candidate: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_integer(self, "width", 1)

    def seed(self, window: Sequence[int], key: int) -> int:
        """Key times the last token."""
        return key * int(window[-1]) % _MODULUS


@dataclass(frozen=True, slots=True)
class TokenSum:
    """Seed key · Σ x over the window: `additive_prf` of the reference implementation.

    width: >= 1.
    """

    width: int = 1

    reads_candidate: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_integer(self, "width", 1)

    def seed(self, window: Sequence[int], key: int) -> int:
        """Key times the sum."""
        return key * sum(map(int, window)) % _MODULUS


@dataclass(frozen=True, slots=True)
class MinHash:
    """Seed min over the window of F[key · x] + 1, F a fixed permutation given by `table_seed`.

    width: >= 1. table_seed: of F.
    """

    width: int = 4
    table_seed: int = REFERENCE_TABLE_SEED

    reads_candidate: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_integer(self, "width", 1)

    def seed(self, window: Sequence[int], key: int) -> int:
        """The least entry."""
        return min(_entry(key * int(token), self.table_seed) for token in window)


@dataclass(frozen=True, slots=True)
class SkipGram:
    """Seed F[key · x] + 1, where x is the first token of the window.

    width: >= 1. table_seed: of F.
    """

    width: int = 5
    table_seed: int = REFERENCE_TABLE_SEED

    reads_candidate: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_integer(self, "width", 1)

    def seed(self, window: Sequence[int], key: int) -> int:
        """The entry of the first token."""
        return _entry(key * int(window[0]), self.table_seed)


@dataclass(frozen=True, slots=True)
class SelfHash:
    """Seed min over the window of key · (F[x] + 1) · (F[c] + 1), c the candidate token.

    width: >= 1, the candidate included.
    table_seed: of F; transformers takes the watermark's key, the reference implementation its own.
    """

    width: int = 4
    table_seed: int = REFERENCE_TABLE_SEED

    reads_candidate: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_integer(self, "width", 1)

    def seed(self, window: Sequence[int], key: int) -> int:
        """The least product, of 64-bit integers that wrap."""
        anchor = _entry(window[-1], self.table_seed)
        products = (key * _entry(token, self.table_seed) * anchor for token in window)
        return min((product + 2**63) % 2**64 - 2**63 for product in products) % _MODULUS


@dataclass(frozen=True, slots=True)
class ContextHash:
    """Seed by a keyed 64-bit Philox hash of the window, the same on every machine.

    width: >= 1.
    """

    width: int = 1

    reads_candidate: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_integer(self, "width", 1)

    def seed(self, window: Sequence[int], key: int) -> int:
        """See `decoding.watermark.prf`."""
        return context_hash(window, key)


def _entry(index: int, table_seed: int) -> int:
    return int(_table(table_seed)[int(index) % _TABLE_SIZE]) + 1


@lru_cache(maxsize=4)  # of a pure function; four megabytes each
def _table(seed: int) -> NDArray[np.int32]:
    return shuffled_prefix(seed, _TABLE_SIZE, _TABLE_SIZE)
