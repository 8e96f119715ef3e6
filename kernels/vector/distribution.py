"""What a row of logits says about itself, in float64; −inf entries have no part in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]


def log_softmax(logits: Row) -> Row:
    """z − max − ln Σ exp(z − max); a row without any finite entry stays as it is."""
    largest = logits.max()
    if largest == -np.inf:
        return logits
    shifted = logits - largest
    return shifted - np.log(np.exp(shifted).sum())


def entropy_terms(logprobs: Row) -> Row:
    """−p ln p of each token; 0 where p is."""
    terms = np.zeros_like(logprobs)
    alive = logprobs > -np.inf
    terms[alive] = -np.exp(logprobs[alive]) * logprobs[alive]
    return terms
