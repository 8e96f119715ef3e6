"""Edits at the ends of their ranges leave finite logprobs; beyond these ends they are refused."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from decoding import Backend, BatchSampler, History, Sampler, chain
from decoding.errors import ParameterError
from decoding.parameters import GenerationParameters
from decoding.processors import (
    BitmaskBias,
    ClassifierFreeGuidance,
    Dry,
    EncoderRepetitionPenalty,
    FrequencyPenalty,
    LogitBias,
    PresencePenalty,
    RepetitionPenalty,
    SequenceBias,
)
from decoding.watermark import Scheme
from decoding.watermark.presets import tgi

LARGEST, SMALLEST = 3.4028235e38, 1e-45  # as the ends of float32 are written
HISTORY = History(np.array([[1, 2, 3, 4, 4]], np.int32), np.array([5]), np.array([2]))
ENDS = [
    FrequencyPenalty(LARGEST),
    FrequencyPenalty(-LARGEST),
    PresencePenalty(-LARGEST),
    RepetitionPenalty(LARGEST),
    RepetitionPenalty(SMALLEST),
    EncoderRepetitionPenalty(SMALLEST),
    EncoderRepetitionPenalty(LARGEST),
    LogitBias({3: LARGEST, 4: -LARGEST}),
    SequenceBias({(4, 3): LARGEST, (4, 2): -LARGEST}),
    BitmaskBias(np.array([14], np.int32), LARGEST),
    Dry(1.7e308),
]
BEYOND = [
    lambda: FrequencyPenalty(1e39),
    lambda: PresencePenalty(-1e39),
    lambda: RepetitionPenalty(1e39),
    lambda: RepetitionPenalty(1e-46),
    lambda: EncoderRepetitionPenalty(1e-46),
    lambda: LogitBias({1: 1e39}),
    lambda: LogitBias({1: -1e39}),
    lambda: SequenceBias({(1, 2): 1e39}),
    lambda: BitmaskBias(np.array([1], np.int32), 1e39),
    lambda: ClassifierFreeGuidance(1e39, lambda history: np.zeros((len(history), 3))),
    lambda: Scheme(tgi().seeding, delta=1e39),
    lambda: GenerationParameters(frequency_penalty=1e39),
    lambda: GenerationParameters(repetition_penalty=1e-46),
    lambda: GenerationParameters(logit_bias={1: 1e39}),
]


def rows() -> list[np.ndarray[Any, Any]]:
    """A row of moderate logits, and one with the largest of its dtype; also in float64."""
    moderate = np.random.default_rng(0).normal(0.0, 3.0, (1, 40)).astype(np.float32)
    wide = moderate.copy()
    wide[0, 4], wide[0, 3] = LARGEST, -LARGEST
    return [moderate, wide, wide.astype(np.float64)]


@pytest.mark.parametrize("backend", [Backend.NUMPY, Backend.TORCH])
@pytest.mark.parametrize("processor", ENDS, ids=str)
def test_the_ends_of_a_range_leave_finite_numbers(processor: Any, backend: Backend) -> None:
    torch = pytest.importorskip("torch") if backend is Backend.TORCH else None
    for row in rows():
        logits = row if torch is None else torch.tensor(row)
        # Three times: a pipeline may hold several edits.
        sampler = BatchSampler([Sampler(chain(*[processor] * 3), seed=1)], backend=backend)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            [drawn] = sampler(logits, HISTORY)
        assert not isinstance(drawn, Exception)
        assert np.isfinite(drawn.processed_logprob)
        assert np.isfinite(drawn.entropy)
        assert drawn.support_size == 40


@pytest.mark.parametrize("made", BEYOND)
def test_what_lies_beyond_a_range_is_refused(made: Any) -> None:
    with pytest.raises(ParameterError, match="float32"):
        made()


def test_a_ban_is_no_number_beyond_the_range() -> None:
    assert LogitBias({1: -np.inf}).bias == ((1, -np.inf),)


@pytest.mark.parametrize("backend", [Backend.NUMPY, Backend.TORCH])
def test_a_row_wider_than_float64_has_an_entropy(backend: Backend) -> None:
    torch = pytest.importorskip("torch")
    row = np.zeros((1, 5))
    row[0, 1], row[0, 2] = 1.7e308, -1.7e308
    logits = torch.tensor(row) if backend is Backend.TORCH else row
    [drawn] = BatchSampler([Sampler()], backend=backend)(logits, History.empty(1))
    assert not isinstance(drawn, Exception)
    assert (drawn.token_id, drawn.entropy) == (1, 0.0)
    assert not np.signbit(drawn.entropy)
