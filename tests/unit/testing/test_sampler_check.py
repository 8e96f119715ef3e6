"""`check_sampler` finds planted faults in samplers, and states its error rates."""

from __future__ import annotations

from functools import wraps
from typing import Any

import numpy as np
import pytest
import strangers as s
from profiles import spread

from decoding.errors import ParameterError
from decoding.processors import RepetitionPenalty, Temperature, TopP, TypicalP
from decoding.testing import CheckFailedError, check_sampler

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
    assert report.notes[0].startswith("exact: narrow rows are computed")


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

    check_sampler(counted, T, tv=0.03, examples=3600, seed=1)
    assert rows >= 1_000_000 // len([*FED, *DRAWN])


def test_a_sampler_of_rows() -> None:
    check_sampler(s.draw_row, T, tv=0.2, examples=60, batched=False)


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "law"), FAULTS)
def test_faults_are_found(draw: Any, law: str | None) -> None:
    with pytest.raises(CheckFailedError) as caught:
        check_sampler(draw, T)
    assert law in (None, caught.value.finding.law)


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_truncation_as_the_claim() -> None:
    def draw(logits: Any, generator: Any) -> Any:
        return s.draw_gumbel(s.top_p(logits) * 0.7, generator.random(logits.shape))

    check_sampler(draw, TopP(0.9), tv=0.05, examples=60)
    with pytest.raises(CheckFailedError):
        check_sampler(draw, TopP(0.85), tv=0.05, examples=60)


@pytest.mark.slow
def test_logits_an_ulp_apart_are_drawn_by_typical_p() -> None:
    # A token is typical for its logit, which rounding must not raise: its likelier neighbours stay.
    def draw(logits: Any, generator: Any) -> Any:
        return s.draw_gumbel(s.typical(logits) * 0.7, generator.random(logits.shape))

    check_sampler(draw, TypicalP(0.7), tv=0.1, examples=200)


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
