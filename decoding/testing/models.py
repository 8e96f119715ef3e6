"""Models without weights for tests: logits are a pure function of the prefix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decoding.typing import ForwardFunction


def hash_model(vocab_size: int, *, scale: float = 3.0) -> ForwardFunction:
    """Make a model whose logits are a hash of the prefix, the same in any batch.

    A row is `vocab_size` normal draws, `scale` wide, from a generator seeded with the prefix; so
    an engine's batching, order and scheduling can be checked for exact equality.

    >>> forward = hash_model(5)
    >>> bool((forward([[1, 2], [3]])[0] == forward([[1, 2]])[0]).all())
    True
    """
    return _HashModel(vocab_size, scale)


@dataclass(frozen=True, slots=True)
class _HashModel:
    """The function that `hash_model` makes; it pickles."""

    vocab_size: int
    scale: float

    def __call__(self, sequences: list[list[int]]) -> NDArray[np.float32]:
        return np.stack([self._row(token_ids) for token_ids in sequences])

    def _row(self, token_ids: Sequence[int]) -> NDArray[np.float32]:
        # NumPy reads words of 32 bits from an array thirty times as fast as from a list.
        generator = np.random.default_rng(np.array([0, *token_ids], np.uint32))
        return (generator.standard_normal(self.vocab_size) * self.scale).astype(np.float32)
