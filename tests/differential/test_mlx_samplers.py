"""Our processors against those of mlx-lm, on rows of float32 logprobs without ties at a cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from decoding.history import History
from decoding.processors import (
    AtLeast,
    FrequencyPenalty,
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    Scoped,
    TopK,
    TopP,
    Xtc,
)
from decoding.testing.laws import log_softmax

mx = pytest.importorskip("mlx.core")
peer = pytest.importorskip("mlx_lm.sample_utils")

ROWS = 60


@pytest.fixture(autouse=True)
def interpreted() -> Iterator[None]:
    """Without this a C++ compiler runs for every new parameter."""
    mx.disable_compile()
    yield
    mx.enable_compile()


def rows() -> Iterator[tuple[Any, float]]:
    generator = np.random.default_rng(43)
    for index in range(ROWS):
        logits = generator.standard_normal((1, 40)) * (0.5, 2.0, 5.0)[index % 3]
        yield log_softmax(logits).astype(np.float32), float(generator.uniform(0.02, 0.98))


def assert_same(got: Any, want: Any) -> None:
    got, want = log_softmax(got), log_softmax(np.array(want))
    alive = got > -np.inf
    assert np.array_equal(alive, want > -np.inf)
    np.testing.assert_allclose(got[alive], want[alive], rtol=1e-5, atol=1e-5)


PAIRS: dict[str, tuple[Callable[[float], Any], Callable[[Any, float], Any]]] = {
    "top_k": (
        lambda u: TopK(1 + int(9 * u), keep_ties=False),
        lambda row, u: peer.apply_top_k(row, 1 + int(9 * u)),
    ),
    "top_p": (TopP, peer.apply_top_p),
    "min_p": (MinP, peer.apply_min_p),
    "min_p, at least 4": (
        lambda u: AtLeast(MinP(u), 4),
        lambda row, u: peer.apply_min_p(row, u, 4),
    ),
    "xtc": (lambda u: Xtc(1.0, u / 4), lambda row, u: peer.apply_xtc(row, 1.0, u / 4, [])),
    "xtc with exempt tokens": (
        lambda u: Xtc(1.0, u / 4, exempt=(0, 7, 21)),
        lambda row, u: peer.apply_xtc(row, 1.0, u / 4, [0, 7, 21]),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_support_and_logprobs_are_equal(name: str) -> None:
    ours, theirs = PAIRS[name]
    for row, u in rows():
        assert_same(ours(u)(row, History.empty(1)), theirs(mx.array(row), u))


@pytest.mark.parametrize(
    ("make", "theirs"),
    [
        (RepetitionPenalty, "repetition"),
        (PresencePenalty, "presence"),
        (FrequencyPenalty, "frequency"),
    ],
)
def test_penalties_over_a_window_are_equal(make: Any, theirs: str) -> None:
    generator = np.random.default_rng(41)
    for row, u in rows():
        seen = generator.integers(0, 20, 60).tolist()
        got = Scoped(make(0.5 + u), "all", last_n=20)(row, History.of([seen]))
        process = getattr(peer, f"make_{theirs}_penalty")(0.5 + u, 20)
        np.testing.assert_allclose(got, np.array(process(seen, mx.array(row))), rtol=1e-5)


def test_ties_of_the_least_likely_choice_stay() -> None:
    row = np.log(np.array([[0.4, 0.25, 0.25, 0.1]], np.float32))
    assert_same(Xtc(1.0, 0.2)(row, History.empty(1)), peer.apply_xtc(mx.array(row), 1.0, 0.2, []))
