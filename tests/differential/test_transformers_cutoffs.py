"""Truncations and rescalings of later processors against transformers.

Rows have no ties at a cut; where we differ, each on purpose, is a strict expected failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from profiles import amount

from decoding.history import History
from decoding.processors import (
    AtLeast,
    ClassifierFreeGuidance,
    EpsilonCutoff,
    EtaCutoff,
    MinP,
    NaNPolicy,
    Renormalise,
    RepetitionPenalty,
    TopH,
    TopP,
    TypicalP,
)
from decoding.testing.laws import log_softmax

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
process = pytest.importorskip("transformers.generation.logits_process")

ROWS = amount(check=60, full=250)
PAIRS: dict[str, tuple[Callable[[float], Any], Callable[[float], Any]]] = {
    "epsilon_cutoff": (
        lambda u: EpsilonCutoff(u**3),
        lambda u: process.EpsilonLogitsWarper(u**3),
    ),
    "eta_cutoff": (lambda u: EtaCutoff(u**3), lambda u: process.EtaLogitsWarper(u**3)),
    "top_h": (lambda u: TopH(u, candidates=100), process.TopHLogitsWarper),
    "epsilon_cutoff, at least 3": (
        lambda u: AtLeast(EpsilonCutoff(u), 3),
        lambda u: process.EpsilonLogitsWarper(u, min_tokens_to_keep=3),
    ),
    "eta_cutoff, at least 4": (
        lambda u: AtLeast(EtaCutoff(u), 4),
        lambda u: process.EtaLogitsWarper(u, min_tokens_to_keep=4),
    ),
    "top_p, at least 5": (
        lambda u: AtLeast(TopP(u), 5),
        lambda u: process.TopPLogitsWarper(u, min_tokens_to_keep=5),
    ),
    "min_p, at least 5": (
        lambda u: AtLeast(MinP(u), 5),
        lambda u: process.MinPLogitsWarper(u, min_tokens_to_keep=5),
    ),
    "renormalise": (lambda _: Renormalise(), lambda _: process.LogitNormalization()),
}
"""Our processor and theirs, of a number in (0, 1)."""


def rows() -> Iterator[tuple[Any, float]]:
    generator = np.random.default_rng(11)
    for index in range(ROWS):
        width = int(generator.integers(6, 400))
        row = generator.standard_normal((1, width)).astype(np.float32)
        row *= np.float32((0.5, 2.0, 6.0)[index % 3])
        if index % 4 == 0:
            row[0, generator.random(width) < 0.3] = -np.inf
            row[0, :6] = np.arange(6) / 8
        yield row, float(generator.uniform(0.001, 0.999))


def both(ours: Any, peer: Any, row: Any) -> tuple[Any, Any]:
    got = ours(row, History.empty(1))
    return got, peer(None, torch.from_numpy(row)).numpy()


@pytest.mark.parametrize("name", PAIRS)
def test_support_and_logprobs_are_equal(name: str) -> None:
    ours, peer = PAIRS[name]
    for row, u in rows():
        got, want = (log_softmax(logits) for logits in both(ours(u), peer(u), row))
        alive = got > -np.inf
        assert np.array_equal(alive, want > -np.inf)
        np.testing.assert_allclose(got[alive], want[alive], rtol=1e-6, atol=1e-5)


def test_guidance_is_equal() -> None:
    generator = np.random.default_rng(4)
    for row, u in rows():
        legal = np.maximum(row, -30.0)
        other = generator.standard_normal(row.shape).astype(np.float32)

        def model(*_: Any, other: Any = other, **__: Any) -> Any:
            output = {"logits": torch.from_numpy(other)[:, None]}
            return transformers.utils.ModelOutput(output)

        scale = 6.0 * u - 2.0
        peer = process.UnbatchedClassifierFreeGuidanceLogitsProcessor(scale, model)
        want = peer(torch.zeros((1, 1), dtype=torch.long), torch.from_numpy(legal)).numpy()
        got = ClassifierFreeGuidance(scale, lambda _, other=other: other)(legal, History.empty(1))
        np.testing.assert_allclose(log_softmax(got), log_softmax(want), rtol=1e-5, atol=1e-5)


def test_a_penalty_on_logprobs_is_that_of_their_beam_search() -> None:
    generator = np.random.default_rng(5)
    for row, u in rows():
        seen = generator.integers(0, row.shape[1], (1, 20))
        logprobs = torch.from_numpy(row).log_softmax(-1)
        peer = transformers.RepetitionPenaltyLogitsProcessor(0.5 + 2 * u)
        want = peer(torch.from_numpy(seen), logprobs).numpy()
        normalised = Renormalise()(row, History.empty(1))
        got = RepetitionPenalty(0.5 + 2 * u)(normalised, History.of(seen.tolist()))
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_repair_is_equal_but_for_impossible_tokens() -> None:
    row = np.array([[np.nan, np.inf, 1.0]], np.float32)
    got, want = both(NaNPolicy(nan=0.0), process.InfNanRemoveLogitsProcessor(), row)
    assert np.array_equal(got, want)


@pytest.mark.xfail(strict=True, reason="theirs makes impossible tokens possible again")
def test_repair_leaves_masks_alone() -> None:
    row = np.array([[np.nan, -np.inf, 1.0]], np.float32)
    got, want = both(NaNPolicy(nan=0.0), process.InfNanRemoveLogitsProcessor(), row)
    assert np.array_equal(got, want)


@pytest.mark.xfail(strict=True, reason="theirs drops a token of probability 0.27 when it is off")
def test_top_h_of_one() -> None:
    got, want = both(TopH(1.0), process.TopHLogitsWarper(1.0), np.array([[0.0, 1.0]], np.float32))
    assert np.array_equal(got, want)


@pytest.mark.xfail(strict=True, reason="they look at the 100 likeliest only; here that is a choice")
def test_top_h_beyond_a_hundred_candidates() -> None:
    row = np.zeros((1, 200), np.float32)
    got, want = both(TopH(0.9), process.TopHLogitsWarper(0.9), row)
    assert (got > -np.inf).sum() == (want > -np.inf).sum()


@pytest.mark.xfail(strict=True, reason="they keep the most typical tokens, we the likeliest")
def test_the_floor_under_typical_p() -> None:
    row = np.log(np.array([[0.4, 0.12, 0.13, 0.11, 0.14, 0.1]], np.float32))
    peer = process.TypicalLogitsWarper(0.1, min_tokens_to_keep=2)
    got, want = both(AtLeast(TypicalP(0.1), 2), peer, row)
    assert np.array_equal(got, want)


@pytest.mark.xfail(
    strict=True, reason="theirs gives NaN where only the other row rules a token out"
)
def test_guidance_by_a_row_that_rules_a_token_out() -> None:
    row, other = np.zeros((1, 2), np.float32), np.array([[0.0, -np.inf]], np.float32)

    def model(*_: Any, **__: Any) -> Any:
        return transformers.utils.ModelOutput({"logits": torch.from_numpy(other)[:, None]})

    peer = process.UnbatchedClassifierFreeGuidanceLogitsProcessor(2.0, model)
    want = peer(torch.zeros((1, 1), dtype=torch.long), torch.from_numpy(row)).numpy()
    got = ClassifierFreeGuidance(2.0, lambda _: other)(row, History.empty(1))
    np.testing.assert_allclose(got, want)


@pytest.mark.xfail(strict=True, raises=ValueError, reason="theirs fails for a row without support")
@pytest.mark.parametrize("name", ["eta_cutoff", "top_h"])
def test_a_row_without_support(name: str) -> None:
    ours, peer = PAIRS[name]
    got, want = both(ours(0.5), peer(0.5), np.full((1, 3), -np.inf, np.float32))
    assert np.array_equal(got, want)
