"""Tests whether noise in the logits explains a token that a claim does not predict."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.audit.claims import Predictor
from decoding.history import History
from decoding.sampling.batch import States

REPLICAS = 32
"""Rows with noise of their own that are drawn from for one unexpected token."""
WIDENING = 1.5
"""By how much their noise is wider than the assumed one.

With it a token that an honest server draws in one of 200 cases or more is all but sure to be among
32 replicas; rarer ones together are far below the rate that is allowed for the unexplained."""


def replicas_of(
    row: NDArray[Any], noise: float, count: int, address: tuple[int, int]
) -> NDArray[np.float32]:
    """`count` copies of a row `(vocab,)` with normal noise; a pure function of its arguments."""
    generator = np.random.default_rng([0xA0D17, *address])
    drawn = generator.standard_normal((count, len(row)), np.float32)
    drawn *= np.float32(noise)
    drawn += row.astype(np.float32)
    return drawn


def is_explained(
    predictor: Predictor,
    row: NDArray[Any],
    history: History,
    states: States,
    *,
    token_id: int,
    noise: float,
) -> bool:
    """Whether one of `REPLICAS` noisy copies of a row makes the claim draw a token.

    row: `(vocab,)`. history: of that row alone. noise: the assumed σ of the logits.
    """
    if noise == 0.0:
        return False
    position = int(history.lengths[0])
    rows = replicas_of(row, WIDENING * noise, REPLICAS, (position, token_id))
    many = repeated(history, REPLICAS)
    return token_id in predictor.draw(rows, many, states)


def repeated(history: History, count: int) -> History:
    """The history of one row, repeated for several rows."""
    return History(
        np.broadcast_to(history.token_ids, (count, history.token_ids.shape[1])),
        np.repeat(history.lengths, count),
        np.repeat(history.prompt_lengths, count),
    )
