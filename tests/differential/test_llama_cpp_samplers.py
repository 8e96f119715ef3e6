"""Our processors against the samplers of llama.cpp, called through its C interface.

They compute in float32; no row here has a tie or a cut within that of a token. Where we differ,
each on purpose, is a strict expected failure.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from decoding.history import History
from decoding.pipeline import chain
from decoding.processors import (
    AtLeast,
    Dry,
    DynamicTemperature,
    FrequencyPenalty,
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    Scoped,
    Temperature,
    TopK,
    TopNSigma,
    TopP,
    TypicalP,
    Xtc,
)
from decoding.processors.adaptive_p import AdaptiveP
from decoding.processors.feedback import drawn_of
from decoding.processors.mirostat import Mirostat1, Mirostat2
from decoding.testing.laws import log_softmax

llama = pytest.importorskip("llama_cpp")

ROWS = 150
GONE = -math.inf


@dataclass
class Peer:
    """One of their samplers."""

    sampler: Any

    def apply(self, row: Any) -> tuple[Any, int]:
        """A row of float32 logits after it, and the token that it selected, −1 for none."""
        data = (llama.llama_token_data * len(row))(
            *(llama.llama_token_data(index, value, 0.0) for index, value in enumerate(row.tolist()))
        )
        candidates = llama.llama_token_data_array(data, len(row), -1, False)
        llama.llama_sampler_apply(self.sampler, ctypes.byref(candidates))
        left = np.full(len(row), GONE, np.float32)
        for index in range(candidates.size):
            left[candidates.data[index].id] = candidates.data[index].logit
        selected = candidates.selected
        return left, candidates.data[selected].id if selected >= 0 else -1

    def accept(self, token_ids: Sequence[int]) -> Peer:
        for token_id in token_ids:
            llama.llama_sampler_accept(self.sampler, token_id)
        return self


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    """Makes a sampler of theirs by name; frees it at the end."""
    made = []

    def make(name: str, *arguments: Any) -> Peer:
        made.append(getattr(llama, f"llama_sampler_init_{name}")(*arguments))
        return Peer(made[-1])

    yield make
    for sampler in made:
        llama.llama_sampler_free(sampler)


def rows() -> Iterator[tuple[Any, float]]:
    generator = np.random.default_rng(17)
    for index in range(ROWS):
        width = int(generator.integers(8, 200))
        row = generator.standard_normal(width) * (0.5, 2.0, 5.0)[index % 3]
        yield row.astype(np.float32), float(generator.uniform(0.02, 0.98))


def assert_same(got: Any, want: Any) -> None:
    got, want = (log_softmax(logits.reshape(1, -1)) for logits in (got, want))
    assert np.array_equal(got > GONE, want > GONE)
    alive = got > GONE
    np.testing.assert_allclose(got[alive], want[alive], rtol=1e-5, atol=1e-5)


PAIRS: dict[str, tuple[Callable[[float], Any], str, Callable[[float], tuple[Any, ...]]]] = {
    "temperature": (lambda u: Temperature(2 * u), "temp", lambda u: (2 * u,)),
    "top_k": (
        lambda u: TopK(1 + int(9 * u), keep_ties=False),
        "top_k",
        lambda u: (1 + int(9 * u),),
    ),
    "top_p": (TopP, "top_p", lambda u: (u, 0)),
    "min_p": (MinP, "min_p", lambda u: (u, 0)),
    "typical_p": (TypicalP, "typical", lambda u: (u, 0)),
    "top_p, at least 4": (lambda u: AtLeast(TopP(u), 4), "top_p", lambda u: (u, 4)),
    "min_p, at least 4": (lambda u: AtLeast(MinP(u), 4), "min_p", lambda u: (u, 4)),
    "top_n_sigma": (lambda u: TopNSigma(3 * u), "top_n_sigma", lambda u: (3 * u,)),
    "xtc": (lambda u: Xtc(1.0, u / 4), "xtc", lambda u: (1.0, u / 4, 1, 7)),
    "xtc, at least 5": (
        lambda u: Xtc(1.0, u / 8, min_tokens_to_keep=5),
        "xtc",
        lambda u: (1.0, u / 8, 5, 7),
    ),
    "dynamic_temperature": (
        lambda u: DynamicTemperature(1.0, u, 2 * u),
        "temp_ext",
        lambda u: (1.0, u, 2 * u),
    ),
}
"""Our processor, the name of theirs, its arguments, of a number in (0, 1)."""


@pytest.mark.parametrize("name", PAIRS)
def test_support_and_logprobs_are_equal(name: str, peer: Callable[..., Peer]) -> None:
    ours, their_name, arguments = PAIRS[name]
    for row, u in rows():
        want, _ = peer(their_name, *arguments(u)).apply(row)
        assert_same(ours(u)(row[np.newaxis], History.empty(1)), want)


@pytest.mark.parametrize("last_n", [3, 64])
def test_penalties_over_a_window_are_equal(last_n: int, peer: Callable[..., Peer]) -> None:
    generator = np.random.default_rng(19)
    for row, u in rows():
        seen = generator.integers(0, len(row), 80).tolist()
        theirs = peer("penalties", len(row), last_n, 0.5 + u, u, 1 - 2 * u).accept(seen)
        ours = chain(
            *(
                Scoped(penalty, "all", last_n)
                for penalty in (
                    RepetitionPenalty(0.5 + u),
                    FrequencyPenalty(u),
                    PresencePenalty(1 - 2 * u),
                )
            )
        )
        got = ours(row[np.newaxis], History.of([seen[:40]], [seen[40:]]))
        np.testing.assert_allclose(got[0], theirs.apply(row)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("last_n", [7, 500])
def test_dry_is_equal(last_n: int, peer: Callable[..., Peer]) -> None:
    generator = np.random.default_rng(23)
    changed = 0
    for row, u in rows():
        allowed = int(generator.integers(1, 4))
        seen = generator.integers(0, 3, int(generator.integers(1, 60))).tolist()
        theirs = peer("dry", None, 2 * u, 1.0 + u, allowed, last_n, None, 0).accept(seen)
        want, _ = theirs.apply(row)
        got = Dry(2 * u, 1.0 + u, allowed, last_n)(row[np.newaxis], History.of([seen]))
        np.testing.assert_allclose(got[0], want, rtol=1e-4, atol=1e-4)
        changed += not np.array_equal(got[0], row)
    assert changed > ROWS / 3


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_keeps_the_same_tokens_for_fifty_steps(
    version: int, peer: Callable[..., Peer]
) -> None:
    generator = np.random.default_rng(29)
    for seed in range(4):
        width, tau, eta = 300, 1.5 + seed, 0.2
        ours: Any = (Mirostat1 if version == 1 else Mirostat2)(tau, eta, renormalised=True)
        theirs = (
            peer("mirostat", width, seed, tau, eta, 100)
            if version == 1
            else peer("mirostat_v2", seed, tau, eta)
        )
        state = ours.start()
        for _ in range(50):
            row = (3.0 * generator.standard_normal(width)).astype(np.float32)
            want, token_id = theirs.apply(row)
            got = ours.filter(row[np.newaxis], [state])
            assert_same(got, want)
            state = ours.observe(state, drawn_of(row, got[0], token_id))


def test_adaptive_p_is_equal_for_fifty_steps(peer: Callable[..., Peer]) -> None:
    generator = np.random.default_rng(31)
    for seed in range(4):
        ours = AdaptiveP(0.1 + 0.2 * seed, 0.8)
        theirs = peer("adaptive_p", 0.1 + 0.2 * seed, 0.8, seed)
        state = ours.start()
        for _ in range(50):
            row = (3.0 * generator.standard_normal(20)).astype(np.float32)
            want, token_id = theirs.apply(row)
            got = ours.filter(row[np.newaxis], [state])
            np.testing.assert_allclose(got[0], want, rtol=1e-4, atol=1e-4)
            theirs.accept([token_id])
            state = ours.observe(state, drawn_of(row, got[0], token_id))


@pytest.mark.xfail(strict=True, reason="they keep one of the least likely tokens that tie")
def test_ties_of_the_least_likely_choice(peer: Callable[..., Peer]) -> None:
    row = np.log(np.array([0.4, 0.25, 0.25, 0.1], np.float32))
    want, _ = peer("xtc", 1.0, 0.2, 1, 0).apply(row)
    assert_same(Xtc(1.0, 0.2)(row[np.newaxis], History.empty(1)), want)


@pytest.mark.xfail(strict=True, reason="they count impossible tokens that a filter left in the row")
def test_dynamic_temperature_after_a_mask(peer: Callable[..., Peer]) -> None:
    row = np.array([1.0, 0.0, GONE, GONE], np.float32)
    want, _ = peer("temp_ext", 1.0, 0.5, 1.0).apply(row)
    assert_same(DynamicTemperature(1.0, 0.5)(row[np.newaxis], History.empty(1)), want)


@pytest.mark.xfail(strict=True, reason="at a temperature of 0 they make the rest impossible")
def test_dynamic_temperature_of_zero(peer: Callable[..., Peer]) -> None:
    row = np.array([900.0, 0.0], np.float32)
    want, _ = peer("temp_ext", 0.5, 0.5, 1.0).apply(row)
    assert_same(DynamicTemperature(0.5, 0.5)(row[np.newaxis], History.empty(1)), want)


@pytest.mark.xfail(strict=True, reason="they keep the most typical tokens, we the likeliest")
def test_the_floor_under_typical_p(peer: Callable[..., Peer]) -> None:
    row = np.log(np.array([0.4, 0.12, 0.13, 0.11, 0.14, 0.1], np.float32))
    want, _ = peer("typical", 0.1, 2).apply(row)
    assert_same(AtLeast(TypicalP(0.1), 2)(row[np.newaxis], History.empty(1)), want)
