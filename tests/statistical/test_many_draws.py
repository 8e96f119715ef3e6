"""Ten million draws from one row of three blocks of tokens, by the sampler that users call.

Two tests look at the counts of tokens:

χ²         of all draws at the end; false alarms 1e-9 over the choice of seeds.
e-process  after every 50,000 draws: how much likelier the counts are under a mixture of tilted laws,
           p · exp(θ · f) / Z for some features f and sizes θ, than under the law p. That is a test
           martingale, so that the chance that it ever reaches 1e9 is at most 1e-9 (Ville 1939),
           however long is drawn.

Seeds and positions both change, so that a dependence on either shows. `make nightly` runs it. A
sampler whose temperature is off by 0.5 % is seen by both with probability above 0.999; the quick
test sees one that is off by 10 % in 50,000 draws.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest

from decoding.history import History
from decoding.kernels.randomness import BLOCK_SIZE
from decoding.pipeline import Pipeline, chain
from decoding.processors import Temperature
from decoding.sampling.batch import BatchSampler, Sampler

BATCH = 1000
POSITIONS = 50
WIDTH = 700
ALARM = math.log(1e9)

LOGITS = (np.random.default_rng(2).standard_normal(WIDTH) * 1.5).astype(np.float32)
_WEIGHTS = np.exp(LOGITS.astype(np.float64))
LAW = _WEIGHTS / _WEIGHTS.sum()

_IDS = np.arange(WIDTH)
FEATURES = [
    LOGITS,
    *(np.where(block == _IDS // BLOCK_SIZE, 1.0, 0.0) for block in range(3)),
    *(np.where(lane == _IDS % 4, 1.0, 0.0) for lane in range(4)),
    *np.random.default_rng(3).choice([-1.0, 1.0], (8, WIDTH)),
]
SIZES = [sign * size for sign in (-1.0, 1.0) for size in (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)]
TILTS = np.array(
    [
        size * feature - math.log(float(LAW @ np.exp(size * feature)))
        for feature in FEATURES
        for size in SIZES
    ]
)
"""ln of the tilted laws over the law, `(features · sizes, tokens)`."""


class Verdict(NamedTuple):
    """What the tests say: χ² over its threshold, and the largest logarithm of the e-process."""

    chi_square: float
    evidence: float


def threshold(degrees: int) -> float:
    """What χ² exceeds with probability 1e-9: Wilson and Hilferty 1931."""
    step = 2.0 / (9.0 * degrees)
    return float(degrees * (1.0 - step + 5.998 * step**0.5) ** 3)


def evidence(counts: np.ndarray) -> float:
    """ln of the e-process."""
    likelihoods = TILTS @ counts
    largest = likelihoods.max()
    return float(largest + math.log(np.exp(likelihoods - largest).mean()))


def draw(draws: int, pipeline: Pipeline) -> Verdict:
    """The row at positions 1 to `POSITIONS`, under a thousand seeds at a time."""
    rows = np.tile(LOGITS, (BATCH, 1))
    tokens = np.zeros((BATCH, POSITIONS), np.int32)
    counts, largest = np.zeros(WIDTH, np.int64), 0.0
    for group in range(draws // (BATCH * POSITIONS)):
        seeds = range(group * BATCH, (group + 1) * BATCH)
        sampler = BatchSampler([Sampler(pipeline, seed) for seed in seeds])
        for position in range(1, POSITIONS + 1):
            lengths = np.full(BATCH, position)
            found = sampler.draw(rows, History(tokens[:, :position], lengths, lengths))
            counts += np.bincount(np.array(found, np.int64), minlength=WIDTH)
        largest = max(largest, evidence(counts))
    expected = counts.sum() * LAW
    found_square = float(((counts - expected) ** 2 / expected).sum())
    return Verdict(found_square / threshold(WIDTH - 1), largest)


@pytest.mark.kernels
def test_fifty_thousand_draws_have_the_law() -> None:
    verdict = draw(50_000, chain())
    assert verdict.chi_square < 1.0
    assert verdict.evidence < ALARM


@pytest.mark.kernels
def test_a_temperature_error_of_ten_percent_is_seen_at_once() -> None:
    verdict = draw(50_000, chain(Temperature(1.1)))
    assert verdict.chi_square > 1.0
    assert verdict.evidence > ALARM


@pytest.mark.nightly
def test_ten_million_draws_have_the_law() -> None:
    verdict = draw(10_000_000, chain())
    assert verdict.chi_square < 1.0
    assert verdict.evidence < ALARM


@pytest.mark.nightly
def test_a_small_temperature_error_is_seen_in_ten_million_draws() -> None:
    verdict = draw(10_000_000, chain(Temperature(1.005)))
    assert verdict.chi_square > 1.0
    assert verdict.evidence > ALARM
