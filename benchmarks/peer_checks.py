"""Checks that a peer computes the same distribution as this library.

Its noise is its own, so what it draws from is compared, before the draw. The tokens it keeps must
be ours, whichever way ties at the cut go (within `KEY_BAND` of it), and but for tokens whose whole
mass is at most `MASS_BAND`: peers sum in float32, in which llama.cpp's entropy of 128k tokens is
off by 5e-3. The probability of each must be the one that the peer's set gives it in float64, within
`PROBABILITY_TOLERANCE`, relative.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.outcomes import log_softmax
from benchmarks.peers import PeerStep
from benchmarks.workloads import Problem
from decoding import chain

MASS_BAND = 1e-3
KEY_BAND = 1e-5
PROBABILITY_TOLERANCE = 1e-3
_ROUNDING = 1e-5
CHECKED_ROWS = 4
"""Rows of a batch that are compared: a peer treats all alike."""


def difference(problem: Problem, peer: PeerStep) -> str | None:
    """The first row that differs, and how; None where all agree."""
    for row in range(min(CHECKED_ROWS, len(problem.rows))):
        fault = _row_difference(problem, row, peer.probabilities(row))
        if fault is not None:
            return f"row {row}: {fault}"
    return None


def _row_difference(problem: Problem, row: int, probabilities: NDArray[np.float64]) -> str | None:
    workload = problem.workloads[row]
    history = problem.histories[0].select(row)
    raw = problem.rows[row : row + 1].astype(np.float64)
    if problem.greedy:
        chosen = int(probabilities.argmax())
        return None if raw[0, chosen] == raw.max() else f"token {chosen} is not the likeliest"
    edited = chain(*workload.edits(problem.lists))(raw, history)
    supports = [
        chain(*workload.truncations(more=more, keep_ties=keep_ties))(edited, history)[0] > -np.inf
        for more in (-_ROUNDING, _ROUNDING)
        for keep_ties in (True, False)
    ]
    supports.sort(key=np.count_nonzero)
    fewest, most = supports[0], supports[-1]
    logits = edited[0]
    key = -logits if workload.typical_p is None else _distance(logits)
    kept = probabilities > 0.0
    missing = ~kept & (key < key[fewest].max() - KEY_BAND)
    extra = kept & (key > key[most].max() + KEY_BAND)
    mass = float(np.exp(log_softmax(logits))[missing | extra].sum())
    if mass > MASS_BAND or np.isneginf(logits[kept]).any():
        counts = np.count_nonzero(missing), np.count_nonzero(extra)
        return f"{counts[0]} tokens are missing, {counts[1]} too many, of mass {mass:.1e}"
    expected = np.exp(log_softmax(np.where(kept, logits, -np.inf)))
    error = np.abs(probabilities[kept] / expected[kept] - 1.0).max()
    return None if error <= PROBABILITY_TOLERANCE else f"probabilities are off by {error:.1e}"


def _distance(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """|−ln p − H|."""
    logprobs = log_softmax(logits)
    alive = logprobs > -np.inf
    entropy = -float((np.exp(logprobs[alive]) * logprobs[alive]).sum())
    distance: NDArray[np.float64] = np.abs(-logprobs - entropy)
    return distance
