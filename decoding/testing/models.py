"""Models without weights for tests: logits are a pure function of the prefix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from decoding.typing import ForwardFunction


def hash_model(vocab_size: int, *, seed: int = 0, scale: float = 3.0) -> ForwardFunction:
    """Make a model whose logits are a hash of the prefix, the same in any batch.

    A row is `vocab_size` normal draws, `scale` wide, from a generator seeded with the prefix; so
    an engine's batching, order and scheduling can be checked for exact equality.

    >>> forward = hash_model(5)
    >>> bool((forward([[1, 2], [3]])[0] == forward([[1, 2]])[0]).all())
    True
    """

    def row(token_ids: Sequence[int]) -> NDArray[np.float32]:
        generator = np.random.default_rng([seed, *token_ids])
        return (generator.standard_normal(vocab_size) * scale).astype(np.float32)

    def forward(sequences: list[list[int]]) -> NDArray[np.float32]:
        return np.stack([row(token_ids) for token_ids in sequences])

    return forward
