"""Programs whose operands depend on the history: lowered equals by definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from decoding import BatchSampler, History, Sample, Sampler
from decoding.kernels.backends import Backend
from decoding.pipeline import Fused, chain
from decoding.processors import (
    BadWords,
    BeginSuppressTokens,
    Dry,
    EncoderNoRepeatNgram,
    EncoderRepetitionPenalty,
    ExponentialLengthDecay,
    ForcedFirstToken,
    ForcedLastToken,
    FrequencyPenalty,
    MinTokens,
    NoRepeatNgram,
    PresencePenalty,
    RepetitionPenalty,
    Scoped,
    SequenceBias,
    Temperature,
    TopK,
    Xtc,
)
from decoding.testing import laws

VOCAB = 9
BACKENDS = [Backend.NUMPY, Backend.NUMBA, Backend.TORCH]
IDS = st.sets(st.integers(0, VOCAB + 1), max_size=2).map(tuple)
SEQUENCES = st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=3).map(tuple)
PENALTIES = st.sampled_from([RepetitionPenalty(1.7), FrequencyPenalty(0.5), PresencePenalty(-0.5)])
DRY = Dry(0.8, 1.75, 1, last_n=7)
SCOPES = st.sampled_from(["all", "prompt", "generated"])
CHANGING = st.one_of(
    st.builds(Scoped, PENALTIES, SCOPES, st.none() | st.integers(0, 9), IDS),
    st.builds(Scoped, st.sampled_from([DRY, NoRepeatNgram(2)]), SCOPES, st.integers(0, 9)),
    st.integers(0, VOCAB - 1).map(ForcedFirstToken),
    st.builds(ForcedLastToken, IDS.filter(bool), st.integers(1, 5)),
    st.builds(ExponentialLengthDecay, st.integers(0, 2), st.floats(0.5, 3.0), IDS),
    st.floats(0.2, 5.0).map(EncoderRepetitionPenalty),
    st.dictionaries(SEQUENCES, st.floats(-5.0, 5.0), max_size=3).map(SequenceBias),
    st.builds(Xtc, st.sampled_from([0.5, 1.0]), st.floats(0.0, 0.4), st.integers(0, 9), IDS),
    st.integers(0, 4).map(NoRepeatNgram),
    st.integers(0, 4).map(EncoderNoRepeatNgram),
    st.lists(st.lists(st.integers(0, VOCAB), min_size=1, max_size=3), max_size=3).map(BadWords),
    st.builds(Dry, st.floats(0.0, 3.0), last_n=st.none() | st.integers(0, 9), breakers=IDS),
    st.builds(MinTokens, st.integers(0, 4), IDS),
    IDS.map(BeginSuppressTokens),
)
FIXED = st.sampled_from([Temperature(0.7), TopK(6), RepetitionPenalty(1.2)])


def python_only(logits: Any, history: History) -> Any:
    """Splits a program, and changes nothing."""
    del history
    return logits


@pytest.mark.parametrize("backend", BACKENDS)
@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), splits=st.booleans())
def test_lowered_equals_by_definition(
    backend: Backend, data: st.DataObject, seed: int, splits: bool
) -> None:
    if backend is not Backend.NUMPY:
        pytest.importorskip(backend.value)
    members = st.lists(CHANGING | FIXED, min_size=1, max_size=4)
    pipelines = [chain(*data.draw(members)) for _ in range(2)]
    if splits:
        pipelines = [chain(*item.processors, python_only, Temperature(0.9)) for item in pipelines]
    else:
        assert all(isinstance(item, Fused) for one in pipelines for item in one.segments)
    sampler = BatchSampler([Sampler(item, seed, VOCAB) for item in pipelines], backend=backend)
    generator = np.random.default_rng(seed)
    prompts = generator.integers(0, 4, (2, 6)).tolist()
    generated: list[list[int]] = [[], []]
    for _ in range(4):
        logits = generator.standard_normal((2, VOCAB)) * 2.0
        history = History.of(prompts, generated)
        drawn = sampler(logits, history)
        for row, pipeline in enumerate(pipelines):
            wanted = pipeline(logits[row : row + 1], history.select(row))
            assume((wanted > -np.inf).any())
            sample = drawn[row]
            assert isinstance(sample, Sample)
            found = np.full((1, VOCAB), -np.inf)
            for other in sample.top:
                found[0, other.token_id] = other.processed_logprob
            assert laws.same_distribution(found, laws.log_softmax(wanted))
            generated[row].append(sample.token_id)


def test_an_empty_support_names_who_emptied_it() -> None:
    sampler = BatchSampler([Sampler(chain(Temperature(0.5), NoRepeatNgram(1)), 3)])
    history = History.of([[0, 1]], [[2]])
    [error] = sampler(np.zeros((1, 3)), history)
    assert "NoRepeatNgram(no_repeat_ngram_size=1)" in str(error)
    [sample] = sampler(np.zeros((1, 3)), History.of([[0, 1]]))
    assert isinstance(sample, Sample)
    assert sample.token_id == 2
