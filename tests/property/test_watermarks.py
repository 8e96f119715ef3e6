"""Lowered watermarks equal those by definition; detectors count the tokens favoured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding.history import History
from decoding.kernels.backends import Backend
from decoding.pipeline import Pipeline, chain
from decoding.processors import RepetitionPenalty, Temperature, TopK, TopP, Watermark
from decoding.sampling.batch import BatchSampler, Sample, Sampler
from decoding.testing import strategies
from decoding.testing.laws import log_softmax
from decoding.watermark import (
    Scheme,
    detect,
    lefthash,
    minhash,
    philox,
    selfhash,
    skipgram,
    transformers_selfhash,
)

SCHEMES = st.sampled_from(
    [
        lefthash(0.5),
        lefthash(0.25, -1.5, context_width=2),
        minhash(),
        skipgram(),
        philox(0.4, context_width=2),
        selfhash(),
        transformers_selfhash(context_width=2),
    ]
)


@pytest.mark.parametrize("backend", [Backend.NUMPY, Backend.NUMBA, Backend.TORCH])
@given(data=st.data(), batch=strategies.batches())
def test_lowered_is_by_definition(
    backend: Backend, data: st.DataObject, batch: tuple[Any, History]
) -> None:
    pytest.importorskip(str(backend), exc_type=ImportError)
    # In float64: between the segments of a pipeline a row has the dtype of the logits.
    logits, history = batch[0].astype(np.float64), batch[1]
    around = st.sampled_from([RepetitionPenalty(1.3), Temperature(0.7), TopK(5), TopP(0.9)])
    pipelines = [
        chain(
            *data.draw(st.lists(around, max_size=2)),
            Watermark(data.draw(SCHEMES), data.draw(st.none() | st.integers(1, 50))),
            *data.draw(st.lists(around, max_size=2)),
        )
        for _ in logits
    ]
    given_rows = logits
    if backend is Backend.TORCH:
        import torch

        given_rows = torch.from_numpy(logits)
    samplers = [Sampler(pipeline, top_n=60) for pipeline in pipelines]
    drawn = BatchSampler(samplers, backend=backend)(given_rows, history)
    for row, (pipeline, sample) in enumerate(zip(pipelines, drawn, strict=True)):
        assert isinstance(sample, Sample)
        want = by_definition(pipeline, logits[row : row + 1], history.select(row))
        if near_a_cut(pipeline, logits[row : row + 1], history.select(row)):
            continue
        got = {item.token_id: item.processed_logprob for item in sample.top}
        for token, logprob in got.items():
            assert logprob == pytest.approx(want[token], abs=1e-5, rel=1e-6)


def by_definition(pipeline: Pipeline, row: Any, history: History) -> Any:
    return log_softmax(pipeline(row.astype(np.float64), history))[0]


def near_a_cut(pipeline: Pipeline, row: Any, history: History) -> bool:
    wide = row.astype(np.float64)
    wave = np.sin(1e6 * np.maximum(wide, -1e300))
    supports = [
        by_definition(pipeline, wide + move * wave, history) > -np.inf
        for move in (-1e-6, 0.0, 1e-6)
    ]
    return not all(np.array_equal(support, supports[0]) for support in supports)


@given(
    scheme=SCHEMES,
    tokens=st.lists(st.integers(0, 29), min_size=1, max_size=30),
    split=st.integers(0, 30),
)
def test_the_detector_colours_what_the_processor_favours(
    scheme: Scheme, tokens: list[int], split: int
) -> None:
    prompt, text = tokens[:split], tokens[split:]
    found = detect(text, scheme, 30, prompt=prompt, counts_repeats=True)
    mark = Watermark(scheme, 30)
    for place, colour in enumerate(found.colours):
        before = [*prompt, *text[:place]]
        row = np.zeros(30)
        row[text[place]] = 1.0  # the likeliest, so that it is a candidate
        if colour is None:
            assert len(before) < scheme.context_width
        else:
            assert mark.green(row, np.array(before, np.int32))[text[place]] == colour


@given(
    scheme=SCHEMES,
    tokens=st.lists(st.integers(0, 9), max_size=60),
    sizes=st.lists(st.integers(1, 70), max_size=3),
)
def test_counts_add_up(scheme: Scheme, tokens: list[int], sizes: list[int]) -> None:
    found = detect(tokens, scheme, 10, window_sizes=sizes)
    assert len(found.colours) == len(tokens)
    assert found.scored == sum(colour is not None for colour in found.colours)
    assert found.green == sum(colour is True for colour in found.colours)
    assert 0.0 <= found.p_value <= 1.0
    if found.window is not None:
        inside = found.colours[found.window.start : found.window.stop]
        assert found.window.green == inside.count(True)
        assert found.window.p_value <= 1.0
