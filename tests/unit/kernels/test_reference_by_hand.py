"""Cases of the reference that were worked out by hand, at the edges that published mutants move."""

from __future__ import annotations

import math

import pytest

from decoding.kernels.reference import cutoffs, processors, rescaling, sequences

GONE = -math.inf


def logs(*probs: float) -> list[float]:
    return [math.log(p) if p else GONE for p in probs]


def kept(row: list[float]) -> list[int]:
    return [i for i, z in enumerate(row) if z > GONE]


def test_bits_beyond_the_first_word_of_a_mask() -> None:
    row = [0.0] * 66
    assert kept(processors.bitmask(row, [1 << 31, 1, 2])) == [31, 32, 65]
    assert processors.bitmask_bias(row, [0, 2], 0.5)[33] == 0.5


def test_eta_falls_with_the_entropy() -> None:
    # Eight equal tokens and one of 1/16: H = 2.18, √ε exp(−H) = 0.056, and the rare one stays.
    row = logs(*[15 / 128] * 8, 1 / 16)
    assert kept(cutoffs.eta_cutoff(row, 0.25)) == list(range(9))
    # A certain row has H near 0, and the cut is at ε.
    assert kept(cutoffs.eta_cutoff(logs(0.98, 0.02), 0.05)) == [0]


def test_what_lies_at_the_cut_of_top_n_sigma_stays() -> None:
    # σ of (1, −1) is 1, and the lower one lies 2 below the maximum.
    assert kept(cutoffs.top_n_sigma([1.0, -1.0], 2.0)) == [0, 1]
    assert kept(cutoffs.top_n_sigma([1.0, -1.0], 1.999)) == [0]


def test_a_token_that_meets_the_budget_of_top_h_stays() -> None:
    # Four equal tokens: two have half of the entropy.
    assert kept(cutoffs.top_h([0.0] * 4, 0.5)) == [0, 1]


def test_xtc_leaves_exactly_the_minimum() -> None:
    row = logs(0.4, 0.3, 0.2, 0.1)
    assert kept(cutoffs.xtc(row, 0.25, minimum=3)) == [1, 2, 3]
    assert kept(cutoffs.xtc(row, 0.25, minimum=4)) == [0, 1, 2, 3]


def test_the_last_ngram_counts() -> None:
    assert kept(sequences.no_repeat_ngram([0.0] * 3, [0, 1], [0, 1, 0], 2)) == [0, 2]


def test_the_encoder_penalty_rewards_the_prompt() -> None:
    assert sequences.encoder_repetition_penalty([-2.0, 2.0, 1.0], {0, 1}, 2.0) == [-1.0, 4.0, 1.0]


def test_dry_penalises_from_the_allowed_length_on() -> None:
    # "1 2" was followed by 3: a match of length 2.
    assert sequences.dry([0.0] * 4, [1, 2, 3, 1, 2], 0.5, 2.0, 2)[3] == -0.5
    assert sequences.dry([0.0] * 4, [1, 2, 3, 1, 2], 0.5, 2.0, 3)[3] == 0.0
    assert sequences.dry([0.0] * 4, [1, 2, 3, 1, 2], 0.5, 2.0, 1)[3] == -1.0


def test_length_decay_begins_at_nothing_and_lifts() -> None:
    assert rescaling.length_decay([-2.0, 1.0], {0}, 1.5, 0) == [-2.0, 1.0]
    assert rescaling.length_decay([-2.0, 1.0], {0}, 1.5, 1) == pytest.approx([-1.0, 1.0])


def test_guidance_of_one_is_the_row_and_of_zero_the_other() -> None:
    row, other = logs(0.75, 0.25), logs(0.5, 0.5)
    assert rescaling.guided(row, other, 1.0) == pytest.approx(row)
    assert rescaling.guided(row, other, 0.0) == pytest.approx(other)
