"""Draws through the whole engine: independent, and of the right distribution.

The bits are a function of fixed seeds, so each statistic is a constant: the false-alarm rate of a
run is 0. Over the choice of seeds it is 1e-9 a test (chi-square, stated threshold). With 60,000
draws in 8 cells the test sees a total variation of 0.02 with probability above 0.999.
"""

from __future__ import annotations

import numpy as np
import pytest

from decoding.history import History
from decoding.sampling.batch import BatchSampler, Sample, Sampler

PROBS = np.array([0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.04, 0.01])
DRAWS = 60_000
CHI_SQUARE_7_AT_1E_9 = 56.1


def chi_square(counts: np.ndarray) -> float:
    return float(((counts - DRAWS * PROBS) ** 2 / (DRAWS * PROBS)).sum())


def counts_of(seeds: np.ndarray, positions: np.ndarray) -> np.ndarray:
    logits = np.tile(np.log(PROBS), (1000, 1))
    counts = np.zeros(len(PROBS), np.int64)
    for begin in range(0, DRAWS, 1000):
        rows = slice(begin, begin + 1000)
        lengths = positions[rows].astype(np.int64)
        history = History(np.zeros((1000, int(lengths.max())), np.int32), lengths, lengths)
        samplers = [Sampler(seed=int(seed)) for seed in seeds[rows]]
        for drawn in BatchSampler(samplers)(logits, history):
            assert isinstance(drawn, Sample)
            counts[drawn.token_id] += 1
    return counts


@pytest.mark.slow
def test_seeds_at_one_position() -> None:
    counts = counts_of(np.arange(DRAWS, dtype=np.uint64), np.full(DRAWS, 5))
    assert chi_square(counts) < CHI_SQUARE_7_AT_1E_9


@pytest.mark.slow
def test_consecutive_positions() -> None:
    counts = counts_of(np.full(DRAWS, 12345, np.uint64), np.arange(1, DRAWS + 1))
    assert chi_square(counts) < CHI_SQUARE_7_AT_1E_9


def test_a_temperature_error_is_seen() -> None:
    wrong = PROBS ** (1 / 1.1) / (PROBS ** (1 / 1.1)).sum()
    power = DRAWS * ((wrong - PROBS) ** 2 / PROBS).sum()
    assert power > 2 * CHI_SQUARE_7_AT_1E_9
