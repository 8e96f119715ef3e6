"""`check_sampler` finds planted faults in samplers, and states its error rates."""

from __future__ import annotations

from functools import wraps
from typing import Any

import numpy as np
import pytest
import strangers as s
from profiles import spread

from decoding.errors import ParameterError
from decoding.processors import RepetitionPenalty, Temperature, TopP
from decoding.testing import CheckFailedError, check_sampler, sample_size
from decoding.testing.statistics import (
    cells_of,
    chi_square,
    chi_square_quantile,
    chi_square_tail,
    detectable,
    log_e_value,
    power,
)

T = Temperature(0.7)
FED = [s.draw_inverse, s.draw_gumbel, s.draw_race]
DRAWN = [s.draw_seeded, s.draw_one_seed, s.draw_generator, s.draw_unseeded]

FAULTS = [
    (s.draw_inverse_off_by_one, "possible"),
    (s.draw_inverse_too_hot, "exact"),
    (s.draw_gumbel_without_the_outer_logarithm, "exact"),
    (s.draw_ignoring_seeds, "seed"),
    (s.draw_ignoring_positions, "position"),
    (s.draw_with_one_noise_for_rows, None),
    (s.draw_of_the_place_in_the_batch, "alone"),
    (s.draw_seeded_too_hot, None),
    (s.draw_of_the_last_call, "independent draws"),
    (s.draw_masked, "possible"),
    (s.draw_seeded_unless_lucky, None),  # the law whose draws are the unlucky ones
]


@pytest.mark.parametrize("draw", spread(FED, 1))
def test_fed_samplers_are_computed(draw: Any) -> None:
    report = check_sampler(draw, T, examples=60)
    assert report.notes == ("exact: nothing was left to chance; no false alarm is possible",)


@pytest.mark.parametrize("draw", spread(DRAWN, 2))
def test_right_samplers_pass(draw: Any) -> None:
    report = check_sampler(draw, T, tv=0.05, examples=60)
    assert "a false alarm has probability" in report.notes[0]


@pytest.mark.nightly
@pytest.mark.parametrize("draw", [*FED, *DRAWN])
def test_right_samplers_pass_a_million(draw: Any) -> None:
    # A million rows in all: of every kind and width first, then of those that the claim is drawn
    # from or computed from.
    rows = 0

    @wraps(draw)
    def counted(logits: Any, *randomness: Any) -> Any:
        nonlocal rows
        rows += len(logits)
        return draw(logits, *randomness)

    check_sampler(counted, T, tv=0.03, examples=3000, seed=1)
    assert rows >= 1_000_000 // len([*FED, *DRAWN])


def test_a_sampler_of_rows() -> None:
    check_sampler(s.draw_row, T, tv=0.2, examples=60, batched=False)


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "law"), FAULTS)
def test_faults_are_found(draw: Any, law: str | None) -> None:
    with pytest.raises(CheckFailedError) as caught:
        check_sampler(draw, T)
    assert law in (None, caught.value.finding.law)


def test_seeds_of_32_bits() -> None:
    def narrow(logits: Any, seeds: Any, positions: Any) -> Any:
        return s.draw_seeded(logits, seeds & 0xFFFFFFFF, positions)

    check_sampler(s.draw_seeded, T, tv=0.1, examples=5, seed_bits=64)
    check_sampler(narrow, T, tv=0.1, examples=5)
    with pytest.raises(CheckFailedError, match="wide seeds"):
        check_sampler(narrow, T, tv=0.1, examples=5, seed_bits=64)
    reason = {"wide seeds": "seeds have 32 bits, as documented"}
    check_sampler(narrow, T, tv=0.1, examples=5, seed_bits=64, expected_failures=reason)


def test_torch_multinomial() -> None:
    torch = pytest.importorskip("torch")

    def multinomial(logits: Any, generator: Any) -> Any:
        return torch.multinomial(torch.softmax(logits / 0.7, -1), 1, generator=generator)

    check_sampler(multinomial, T, tv=0.1, examples=20)


def test_a_truncation_as_the_claim() -> None:
    def draw(logits: Any, generator: Any) -> Any:
        return s.draw_gumbel(s.top_p(logits) * 0.7, generator.random(logits.shape))

    check_sampler(draw, TopP(0.9), tv=0.05, examples=60)
    with pytest.raises(CheckFailedError):
        check_sampler(draw, TopP(0.85), tv=0.05, examples=60)


def test_arguments_that_make_no_sense() -> None:
    with pytest.raises(ParameterError, match="reads no history"):
        check_sampler(s.draw_unseeded, RepetitionPenalty(1.2))
    with pytest.raises(ParameterError, match="a function of"):
        check_sampler(lambda logits, mood: 0, T)
    with pytest.raises(ParameterError, match="alpha"):
        check_sampler(s.draw_unseeded, T, alpha=0.0)
    with pytest.raises(ParameterError, match="seed_bits"):
        check_sampler(s.draw_unseeded, T, seed_bits=48)


def test_an_answer_that_is_no_token() -> None:
    with pytest.raises(CheckFailedError, match="not 1 token ids"):
        check_sampler(lambda logits: logits.sum(axis=1), T)
    with pytest.raises(CheckFailedError, match="token 64 of a vocabulary of 64"):
        check_sampler(lambda logits: np.full(len(logits), logits.shape[1]), T)


def test_tails_of_chi_square() -> None:
    # Abramowitz and Stegun 1964, table 26.8.
    for degrees, value in ((1, 10.828), (2, 13.816), (10, 29.588), (30, 59.703), (100, 149.449)):
        assert chi_square_tail(value, degrees) == pytest.approx(1e-3, rel=2e-3)
        assert chi_square_quantile(1e-3, degrees) == pytest.approx(value, rel=1e-4)
    assert chi_square_tail(0.0, 3) == 1.0
    # exp(−x / 2) for two degrees, far into the tail.
    assert chi_square_tail(60.0, 2) == pytest.approx(np.exp(-30.0), rel=1e-9)


def test_error_rates_hold() -> None:
    # 2,000 tests at alpha = 0.01 and 0.9 power: counts within 6 standard deviations.
    generator = np.random.default_rng(2)
    size = sample_size(0.1, cells=8, alpha=0.01, miss=0.1)
    flat = np.full(8, 1.0 / 8)
    bent = flat + np.repeat([1.0, -1.0], 4) * 0.2 / 8
    assert np.abs(bent - flat).sum() / 2.0 == pytest.approx(0.1)
    limit = chi_square_quantile(0.01, 7)
    alarms = sum(
        chi_square(generator.multinomial(size.draws, flat), flat) > limit for _ in range(2000)
    )
    misses = sum(
        chi_square(generator.multinomial(size.draws, bent), flat) <= limit for _ in range(2000)
    )
    assert 0 < alarms < 20 + 6 * 4.5
    assert 200 - 6 * 13.5 < misses < 200 + 6 * 13.5


def test_the_e_process_rarely_exceeds_its_bound() -> None:
    generator = np.random.default_rng(3)
    flat = np.full(4, 0.25)
    exceeded = 0
    for _ in range(300):
        draws = generator.multinomial(100, flat, 20).cumsum(axis=0)
        exceeded += max(log_e_value(counts, flat) for counts in draws) > np.log(20.0)
    assert exceeded <= 300 * 0.05


def test_power_grows_with_draws() -> None:
    assert power(1000, 8, 0.05, 1e-9) < power(20_000, 8, 0.05, 1e-9)
    assert power(10, 1, 0.5, 0.1) == 0.0
    assert detectable(sample_size(0.02, cells=8).draws, 8, 1e-9) == pytest.approx(0.02, rel=0.01)


@pytest.mark.parametrize("options", [{"tv": 0.0}, {"tv": 2.0}, {"miss": 1.0}, {"cells": 1}])
def test_sizes_out_of_range(options: Any) -> None:
    with pytest.raises(ParameterError):
        sample_size(**{"tv": 0.1, **options})


def test_cells_are_about_equal() -> None:
    probs = np.array([0.5, 0.0, 0.25, 0.125, 0.125])
    assert cells_of(probs, 4).tolist() == [0, -1, 1, 2, 3]
    zipf = 1.0 / np.arange(1, 5000)
    zipf /= zipf.sum()
    masses = np.bincount(cells_of(zipf), zipf)
    assert len(masses) <= 64
    assert masses.min() > 1.0 / 150
