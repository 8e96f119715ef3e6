"""Green-list watermark schemes: which tokens are green after a context."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from decoding.checks import LARGEST_FLOAT32, check_integer, check_real, checked_integer
from decoding.errors import ParameterError, require
from decoding.kernels.colours import tokens_below
from decoding.watermark.prf import GREEN, KEY_RANGE, token_word
from decoding.watermark.seeding import Seeding, Tokens
from decoding.watermark.shuffle import LARGEST, in_shuffled_prefix, packed_prefix

MILLIONTH_PRIME = 15485863
"""The key that the reference implementation, TGI and transformers have as their default."""

LISTS_KEPT = 4096
"""Green lists in memory: 66 MB for a vocabulary of 128,256."""


class Colouring(Protocol):
    """A function from a seed to a green list; a hashable value."""

    def __hash__(self) -> int:
        """Equal colourings have the same lists, which are kept by them."""

    def share(self, gamma: float, vocab_size: int) -> float:
        """The probability that a token is green, over all seeds."""

    def packed(self, seed: int, gamma: float, vocab_size: int) -> NDArray[np.int32]:
        """The green list, packed: bit i % 32 of word i // 32 is token i."""

    def is_green(self, seed: int, gamma: float, vocab_size: int, token_id: int) -> bool:
        """Whether one token is green; one outside the vocabulary is not."""


@dataclass(frozen=True, slots=True)
class Permuted:
    """The first ⌊γ · vocab_size⌋ entries of the permutation that torch draws from a seed on a CPU.

    As in TGI, transformers and the reference implementation; on another device torch draws another.
    """

    def share(self, gamma: float, vocab_size: int) -> float:
        """⌊γ · vocab_size⌋ / vocab_size."""
        return int(vocab_size * gamma) / vocab_size

    def packed(self, seed: int, gamma: float, vocab_size: int) -> NDArray[np.int32]:
        """The list, one bit a token."""
        return packed_prefix(seed, vocab_size, int(vocab_size * gamma))

    def is_green(self, seed: int, gamma: float, vocab_size: int, token_id: int) -> bool:
        """Whether one token is on it; the list is not made to find out."""
        return in_shuffled_prefix(seed, vocab_size, int(vocab_size * gamma), token_id)


@dataclass(frozen=True, slots=True)
class Thresholded:
    """A token is green if its Philox word under the seed is below γ · 2³².

    A list's length varies; a token's colour does not depend on the vocabulary's size.
    """

    def share(self, gamma: float, vocab_size: int) -> float:
        """⌈γ · 2³²⌉ / 2³²."""
        del vocab_size
        return math.ceil(gamma * 2**32) / 2**32

    def packed(self, seed: int, gamma: float, vocab_size: int) -> NDArray[np.int32]:
        """The list, one bit a token."""
        return tokens_below(seed, vocab_size, GREEN, math.ceil(gamma * 2**32))

    def is_green(self, seed: int, gamma: float, vocab_size: int, token_id: int) -> bool:
        """Whether one token is on it."""
        return 0 <= token_id < vocab_size and token_word(seed, token_id, GREEN) < gamma * 2**32


@dataclass(frozen=True, slots=True)
class Scheme:
    """A green-list watermark scheme: seeding, green lists of share γ, and a bias δ.

    seeding: how the context becomes a seed.
    gamma: γ in (0, 1), the green share.
    delta: δ, finite, what is added to the logits of green tokens; 0 is neutral. Detection does not
        use it.
    key: in [0, 2**64); who has it can detect and forge. Lists by `Permuted` see only its low bits.
    colouring: how a seed becomes a green list.
    candidates: >= 1; where the seeding reads the candidate, so many of the likeliest tokens are
        tried, the rest stay as they are.

    Raises `ParameterError` at construction. Source: Kirchenbauer et al. 2023, "A Watermark for
    Large Language Models", arXiv:2301.10226. `decoding.watermark.presets` has those of peers.

    >>> from decoding.watermark.seeding import LastToken
    >>> Scheme(LastToken()).green((5,), 8).nonzero()[0].tolist()
    [0, 5]
    """

    seeding: Seeding
    gamma: float = 0.25
    delta: float = 2.0
    key: int = MILLIONTH_PRIME
    colouring: Colouring = Permuted()
    candidates: int = 40

    def __post_init__(self) -> None:
        legal = hasattr(self.seeding, "reads_candidate") and not isinstance(self.seeding, type)
        require("seeding", self.seeding, legal, "a seeding, as those of decoding.watermark.seeding")
        legal = hasattr(self.colouring, "packed") and not isinstance(self.colouring, type)
        require("colouring", self.colouring, legal, "a colouring, as Permuted()")
        check_real(self, "gamma", lambda x: 0.0 < x < 1.0, "in (0, 1)")
        check_real(self, "delta", lambda x: abs(x) <= LARGEST_FLOAT32, "finite and within float32")
        check_integer(self, "key", 0, KEY_RANGE - 1, "in [0, 2**64)")
        check_integer(self, "candidates", 1)

    @property
    def context_width(self) -> int:
        """The number of preceding tokens that a token needs to be scored."""
        return self.seeding.width - self.seeding.reads_candidate

    def share(self, vocab_size: int) -> float:
        """The probability that a token of unmarked text is green."""
        _require_size(vocab_size)
        return self.colouring.share(self.gamma, vocab_size)

    def seed(self, context: Tokens, token_id: int) -> int:
        """The seed of a token's green list after a context.

        context: at least `context_width` tokens, of which the last count.
        """
        return self.seeding.seed(self._window(context, token_id), self.key)

    def green(self, context: Tokens, vocab_size: int) -> NDArray[np.bool_]:
        """The green list after a context; not for a seeding that reads the candidate token."""
        _require_size(vocab_size)
        require(
            "seeding", self.seeding, not self.seeding.reads_candidate, "one that reads no candidate"
        )
        words = self.colouring.packed(self.seed(context, -1), self.gamma, vocab_size)
        return unpacked(words, vocab_size)

    def is_green(self, context: Tokens, token_id: int, vocab_size: int) -> bool:
        """Whether a token is green after a context."""
        _require_size(vocab_size)
        seed = self.seed(context, token_id)
        return self.colouring.is_green(seed, self.gamma, vocab_size, token_id)

    def _window(self, context: Tokens, token_id: int) -> list[int]:
        width = self.context_width
        if len(context) < width:
            raise ParameterError("context", context, f"at least {width} tokens")
        last = [int(token) for token in context[len(context) - width :]]
        return [*last, token_id] if self.seeding.reads_candidate else last


def packed_green(scheme: Scheme, context: Tokens, vocab_size: int) -> NDArray[np.int32]:
    """The packed green list after a context, cached and read-only.

    The latest lists are kept for all requests of a process: a list of the last token alone is
    asked for again in every text.
    """
    return _packed(scheme.colouring, scheme.gamma, scheme.seed(context, -1), vocab_size)


@lru_cache(maxsize=LISTS_KEPT)
def _packed(colouring: Colouring, gamma: float, seed: int, vocab_size: int) -> NDArray[np.int32]:
    words = colouring.packed(seed, gamma, vocab_size)
    words.flags.writeable = False
    return words


def unpacked(words: NDArray[np.int32], width: int) -> NDArray[np.bool_]:
    """Unpack a green list to one bool a token; tokens beyond it are False."""
    octets = words.astype("<i4", copy=False).view(np.uint8)
    # With a count beyond the end NumPy fills up with zeros.
    return np.unpackbits(octets, count=width, bitorder="little").view(np.bool_)


def _require_size(vocab_size: int) -> None:
    checked_integer("vocab_size", vocab_size, 1, LARGEST, f"in [1, {LARGEST}]")
