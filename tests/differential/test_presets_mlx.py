"""The preset `mlx_lm` against mlx-lm's `make_logits_processors` and `make_sampler`.

Their sampler is run whole; only the draw at its end gives back the logits that it would draw from.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from preset_oracle import GONE, WIDTH, assert_preset_equals, cut, maybe

from decoding import presets
from decoding.history import History

mx = pytest.importorskip("mlx.core")
peer = pytest.importorskip("mlx_lm.sample_utils")

_OF_THE_SAMPLER = set(inspect.signature(peer.make_sampler).parameters)


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without this a C++ compiler runs for every new parameter."""
    mx.disable_compile()
    monkeypatch.setattr(peer, "categorical_sampling", lambda logits, temp: logits * (1.0 / temp))
    monkeypatch.setattr(peer, "greedy_sampler", lambda logprobs: logprobs)
    yield
    mx.enable_compile()


def theirs(parameters: Any, row: Any, prompt: list[int], generated: list[int]) -> Any:
    sampler = {name: value for name, value in parameters.items() if name in _OF_THE_SAMPLER}
    edits = {name: value for name, value in parameters.items() if name not in sampler}
    logits = mx.array(row[None])
    for process in peer.make_logits_processors(**edits):
        logits = process(mx.array(prompt + generated), logits)
    logprobs = logits - mx.logsumexp(logits, keepdims=True)
    return np.array(peer.make_sampler(**sampler)(logprobs))[0]


def draw(generator: np.random.Generator) -> dict[str, Any]:
    ids = generator.permutation(WIDTH).tolist()
    return {
        "temp": 0.0 if generator.random() < 0.1 else float(generator.uniform(0.3, 2.5)),
        **maybe(
            generator,
            logit_bias={ids[0]: 2.0, ids[1]: -3.0},
            repetition_penalty=float(generator.uniform(0.5, 2)),
            repetition_context_size=int(generator.integers(1, 40)),
            presence_penalty=float(generator.uniform(-2, 2)),
            presence_context_size=int(generator.integers(1, 40)),
            frequency_penalty=float(generator.uniform(-2, 2)),
            frequency_context_size=int(generator.integers(1, 40)),
            top_p=cut(generator),
            min_p=cut(generator) ** 3,
            min_tokens_to_keep=int(generator.integers(1, 6)),
            xtc_probability=1.0,
            xtc_threshold=cut(generator) / 4,
            xtc_special_tokens=ids[2:6],
            top_k=int(generator.integers(0, WIDTH)),
        ),
    }


def test_distributions_are_equal() -> None:
    assert_preset_equals(presets.mlx_lm, draw, theirs, lambda given: given["temp"] == 0.0)


def both(probs: list[float], **parameters: Any) -> tuple[Any, Any]:
    row = np.log(np.array(probs, np.float32))
    ours = presets.mlx_lm(temp=1.0, **parameters)(row[None], History.of([[0]]))[0]
    return ours, theirs({"temp": 1.0, **parameters}, row, [0], [])


def test_ties_at_the_cut_of_top_p_stay_in_both() -> None:
    got, want = both([0.5, 0.25, 0.25], top_p=0.6)
    assert np.array_equal(got > GONE, want > GONE)
    assert (got > GONE).all()


def test_xtc_wants_more_than_the_threshold_in_both() -> None:
    got, want = both([0.5, 0.25, 0.25], xtc_probability=1.0, xtc_threshold=0.25)
    assert np.array_equal(got > GONE, want > GONE)
    assert (got > GONE).all()


@pytest.mark.xfail(strict=True, reason="a k of the vocabulary's size is an error there, off here")
def test_top_k_of_the_whole_vocabulary() -> None:
    both([0.5, 0.25, 0.25], top_k=3)


@pytest.mark.xfail(strict=True, reason="a window of 0 is all tokens there, an error here")
def test_a_window_of_nothing() -> None:
    both([0.5, 0.25, 0.25], repetition_penalty=2.0, repetition_context_size=0)
