"""Noise laws for audits: token scores of a draw, by logits, token ids, seed and position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from decoding.sampling.rng import NOISE_LAW, gumbel_noise


@runtime_checkable
class NoiseLaw(Protocol):
    """A law of seeded draws: gives each token the score whose argmax is the drawn token.

    name: of the law and its version, as records and reports show it.
    """

    @property
    def name(self) -> str:
        """The name of the law and its version."""

    def scores(
        self, logits: NDArray[np.float64], token_ids: NDArray[np.int64], seed: int, position: int
    ) -> NDArray[np.float64]:
        """Scores of some tokens of one row; the token with the largest is drawn, ties by lowest id.

        logits: `(n,)`, of the tokens that a pipeline keeps, after the pipeline; all finite.
        token_ids: `(n,)`, ascending. seed: in [0, 2**64). position: how many tokens stand before
        the one that is drawn, prompt included.
        """


@dataclass(frozen=True, slots=True)
class Philox:
    """The law of this library: `decoding.sampling.rng.gumbel_noise`, in float64."""

    @property
    def name(self) -> str:
        """The name of the law and its version."""
        return NOISE_LAW

    def scores(
        self, logits: NDArray[np.float64], token_ids: NDArray[np.int64], seed: int, position: int
    ) -> NDArray[np.float64]:
        """logits + Gumbel noise."""
        return logits + gumbel_noise(token_ids, seed, position)


PHILOX = Philox()
"""The law of this library's own draws."""
