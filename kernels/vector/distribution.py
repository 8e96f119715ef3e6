"""NumPy: log-softmax of a float64 row of logits, and entropy terms of a row of logprobs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]


def log_softmax(logits: Row) -> Row:
    """z − max − ln Σ exp(z − max); a row without any finite entry stays as it is.

    The logprob of a token that is all but certain is tiny: ln(1 + the rest) keeps its digits.
    """
    place = int(logits.argmax())
    if logits[place] == -np.inf:
        return logits
    shifted = logits - logits[place]
    weights = np.exp(shifted)
    weights[place] = 0.0
    return shifted - np.log1p(weights.sum())


def entropy_terms(logprobs: Row) -> Row:
    """−p ln p of each token, from its logprob; 0 where p = 0."""
    terms = np.zeros_like(logprobs)
    alive = logprobs > -np.inf
    terms[alive] = -np.exp(logprobs[alive]) * logprobs[alive]
    return terms
