"""Tokens of every documented chain: a total variation of 0.01 is seen, at a false-alarm rate of 1e-9.

`check_sampler` draws over seeds and over positions, from three rows, as many tokens as its size
calculator asks for; a difference of that size is missed with probability 0.001 at most. The
controls are samplers that are off by about that much.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from decoding.history import History
from decoding.pipeline import Pipeline, chain
from decoding.processors import (
    EpsilonCutoff,
    EtaCutoff,
    MinP,
    Temperature,
    TopH,
    TopK,
    TopNSigma,
    TopP,
    TypicalP,
)
from decoding.sampling.batch import BatchSampler, Sampler
from decoding.testing import CheckFailedError, check_sampler

TV = 0.01
CHAINS = (
    chain(Temperature(1.0)),
    chain(Temperature(0.7)),
    chain(TopK(20)),
    chain(TopP(0.9)),
    chain(MinP(0.05)),
    chain(TypicalP(0.9)),
    chain(EpsilonCutoff(0.01)),
    chain(EtaCutoff(0.01)),
    chain(TopNSigma(1.5)),
    chain(TopH(0.4)),
    chain(Temperature(0.8), TopK(20), TopP(0.95)),
    chain(Temperature(1.3), MinP(0.1)),
)


LONGEST = 1024
"""The longest text. A position is the length of a text, and long texts cost their length a draw."""


def sampler_of(pipeline: Pipeline, scale: float = 1.0) -> Any:
    """Our sampler as a function; scale: what the logits are multiplied with first.

    Positions from `LONGEST` on are those of other seeds, one seed for each `LONGEST` positions.
    """

    def draw(logits: Any, seeds: Any, positions: Any) -> Any:
        lengths = positions.astype(np.int64) % LONGEST
        turns = positions.astype(np.int64) // LONGEST
        nothing = np.zeros((len(lengths), int(lengths.max()) + 1), np.int32)
        samplers = [
            Sampler(pipeline, int(seed) + (turn << 40))
            for seed, turn in zip(seeds.tolist(), turns.tolist(), strict=True)
        ]
        drawn = BatchSampler(samplers).draw(
            logits * np.float32(scale), History(nothing, lengths, lengths)
        )
        assert all(isinstance(item, int) for item in drawn)
        return np.array(drawn)

    return draw


@pytest.mark.nightly
@pytest.mark.parametrize("pipeline", CHAINS, ids=repr)
def test_a_hundredth_would_be_seen(pipeline: Pipeline) -> None:
    report = check_sampler(sampler_of(pipeline), pipeline, tv=TV, alpha=1e-9, examples=100)
    assert all("0.01 is missed with probability 0.001" in note for note in report.notes)


def with_a_fault(pipeline: Pipeline, share: float) -> Any:
    """Our sampler, of whose draws `share` are replaced by the likeliest token."""
    right = sampler_of(pipeline)

    def draw(logits: Any, seeds: Any, positions: Any) -> Any:
        tokens = right(logits, seeds, positions)
        chance = np.abs(np.sin(seeds * 12.9898 + positions * 78.233) * 43758.5453) % 1.0
        return np.where(chance < share, logits.argmax(axis=1), tokens)

    return draw


@pytest.mark.nightly
@pytest.mark.parametrize("pipeline", CHAINS, ids=repr)
def test_a_planted_hundredth_is_seen(pipeline: Pipeline) -> None:
    # The likeliest token has less than half of the mass in some row that is drawn from.
    with pytest.raises(CheckFailedError):
        check_sampler(with_a_fault(pipeline, 0.02), pipeline, tv=TV, alpha=1e-9, examples=20)


@pytest.mark.nightly
@pytest.mark.parametrize("pipeline", CHAINS[:2], ids=repr)
def test_a_temperature_two_percent_off_is_seen(pipeline: Pipeline) -> None:
    with pytest.raises(CheckFailedError, match="total variation"):
        check_sampler(sampler_of(pipeline, 1.02), pipeline, tv=TV, alpha=1e-9, examples=20)


def test_a_temperature_that_is_far_off_is_seen_with_few_draws() -> None:
    pipeline = chain(Temperature(0.7))
    with pytest.raises(CheckFailedError, match="total variation"):
        check_sampler(sampler_of(pipeline, 1.5), pipeline, tv=0.15, examples=5)
