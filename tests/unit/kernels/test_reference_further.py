"""The reference kernels of later processors: rows that a person can check."""

from __future__ import annotations

import math
import sys

import pytest

from decoding.kernels.reference import cutoffs, feedback, rescaling, sequences

NOTHING = -math.inf


def logs(*probabilities: float) -> list[float]:
    return [math.log(p) if p > 0 else NOTHING for p in probabilities]


def support(row: list[float]) -> list[int]:
    return [index for index, value in enumerate(row) if value > NOTHING]


@pytest.mark.parametrize(
    ("epsilon", "expected"), [(0.1, [0, 1, 2]), (0.2, [0, 1]), (0.31, [0]), (0.9, [0])]
)
def test_epsilon_cutoff(epsilon: float, expected: list[int]) -> None:
    assert support(cutoffs.epsilon_cutoff(logs(0.6, 0.3, 0.1), epsilon)) == expected


def test_epsilon_keeps_every_likeliest_token() -> None:
    assert support(cutoffs.epsilon_cutoff(logs(0.4, 0.4, 0.2), 0.5)) == [0, 1]


def test_eta_is_lower_where_the_entropy_is_high() -> None:
    # Uniform over 4: H = ln 4, so η = min(0.36, 0.6 / 4) = 0.15 keeps all; ε = 0.36 keeps maxima.
    assert support(cutoffs.eta_cutoff(logs(0.25, 0.25, 0.25, 0.25), 0.36)) == [0, 1, 2, 3]
    # H = 0.898: η = min(0.16, 0.4 · 0.407 = 0.163) = 0.16.
    assert support(cutoffs.eta_cutoff(logs(0.6, 0.3, 0.1), 0.16)) == [0, 1]


def test_top_h() -> None:
    # −p ln p: 0.347, 0.347, 0.260, 0.260 of H = 1.213; partial sums 0.286, 0.571, 0.786, 1.
    row = logs(0.5, 0.25, 0.125, 0.125)
    assert cutoffs.entropy_terms(row) == pytest.approx([0.3466, 0.3466, 0.2599, 0.2599], abs=1e-4)
    assert cutoffs.entropy_of(row) == pytest.approx(1.2130, abs=1e-4)
    assert cutoffs.entropy_of([100.0, 0.0]) == pytest.approx(101 * math.exp(-100))
    assert support(cutoffs.top_h(row, 0.2)) == [0], "the first always stays"
    assert support(cutoffs.top_h(row, 0.6)) == [0, 1]
    assert support(cutoffs.top_h(row, 0.8)) == [0, 1, 2], "a tie at the cut: the lowest id"
    assert support(cutoffs.top_h(row, 1.0)) == [0, 1, 2, 3]
    assert support(cutoffs.top_h(row, 1.0, 2)) == [0, 1]
    # The first has 20 q of the entropy, each other one 104 q, where q = exp(−104): 1 − 20 q is 1.
    certain = [104.0] + [0.0] * 20
    assert support(cutoffs.top_h(certain, (20 + 104 * 5.9) / 2100)) == [0, 1, 2, 3, 4, 5]


def test_top_n_sigma() -> None:
    # Mean 0, σ = 2; the −inf entry counts neither.
    row = [3.0, -1.0, 1.0, -3.0, NOTHING]
    sigma = math.sqrt(5.0)
    assert support(cutoffs.top_n_sigma(row, 2.0 / sigma + 1e-9)) == [0, 2]
    assert support(cutoffs.top_n_sigma(row, 0.1)) == [0]
    assert support(cutoffs.top_n_sigma(row, 3.0)) == [0, 1, 2, 3]
    # σ is half of the gap, also where its square is less than any float64, or more.
    for gap in ([1e-200, 0.0], [1e200, 0.0], [1.7e308, -1.7e308]):
        assert support(cutoffs.top_n_sigma(gap, 1.99)) == [0]
        assert support(cutoffs.top_n_sigma(gap, 2.01)) == [0, 1]


@pytest.mark.parametrize(
    ("threshold", "exempt", "minimum", "expected"),
    [
        (0.15, (), 1, [2, 3]),  # 0.4, 0.3 and 0.2 reach it; 0.2 is the least
        (0.25, (), 1, [1, 2, 3]),
        (0.35, (), 1, [0, 1, 2, 3]),  # one alone is no choice
        (0.15, (0,), 1, [0, 2, 3]),
        (0.15, (), 3, [0, 1, 2, 3]),  # two would be left
    ],
)
def test_xtc(threshold: float, exempt: tuple[int, ...], minimum: int, expected: list[int]) -> None:
    row = logs(0.4, 0.3, 0.2, 0.1)
    assert support(cutoffs.xtc(row, threshold, exempt, minimum)) == expected


def test_xtc_keeps_ties_of_the_least() -> None:
    assert support(cutoffs.xtc(logs(0.4, 0.25, 0.25, 0.1), 0.2)) == [1, 2, 3]


def test_the_coin_is_a_known_number() -> None:
    # Philox4x32-10 of counter (0, 0, 0, 0), key (0, 0) begins 6627e8d5 e169c58d (Random123's
    # known-answer vectors); the coin is its first 52 bits and a half.
    assert cutoffs.coin(0, 0, 0) == (0x6627E8D5E169C + 0.5) / 2**52
    assert len({cutoffs.coin(seed, place, 1) for seed in range(3) for place in range(3)}) == 9


def test_at_least() -> None:
    before = [3.0, 1.0, 2.0, 2.0]
    after = [NOTHING, 1.0, NOTHING, NOTHING]
    assert support(cutoffs.at_least(before, after, 0)) == [1]
    assert support(cutoffs.at_least(before, after, 1)) == [0, 1]
    assert support(cutoffs.at_least(before, after, 2)) == [0, 1, 2, 3], "ties stay"


def test_dynamic_temperature() -> None:
    # Uniform: H is the greatest possible, T = 1 + 0.5. Certain: H = 0, T = 1 − 0.5.
    assert rescaling.dynamic_temperature([3.0, 3.0], 0.5, 1.5, 1.0) == [2.0, 2.0]
    assert rescaling.dynamic_temperature([999.0, 0.0], 0.5, 1.5, 1.0) == [1998.0, 0.0]
    # (0.5, 0.25, 0.25): H = 1.5 ln 2 of ln 3, 0.9464; squared 0.8957; T = 0.5 + 0.8957.
    row = rescaling.dynamic_temperature(logs(0.5, 0.25, 0.25), 0.5, 1.5, 2.0)
    assert row[0] - row[1] == pytest.approx(math.log(2) / 1.3957, abs=1e-4)
    assert rescaling.dynamic_temperature([2.0, NOTHING], 0.5, 1.5, 1.0) == [2.0, NOTHING]


def test_guidance() -> None:
    got = rescaling.guided(logs(0.5, 0.25, 0.25), logs(0.25, 0.25, 0.5), 2.0)
    assert got == pytest.approx(logs(1.0, 0.25, 0.125))
    got = rescaling.guided(logs(0.5, 0.5, 0.0), logs(0.0, 0.5, 0.5), 2.0)
    assert got[0] == pytest.approx(math.log(0.5)), "ruled out by the other row only"
    assert got[2] == NOTHING


def test_logit_scale() -> None:
    row = [2.0, -1.0, 4.0, NOTHING]
    assert rescaling.logit_scale(row, [0, 1, 3], -3.0, 4.0) == [0.5, 3.0, 4.0, NOTHING]
    assert rescaling.logit_scale([1e308], [0], 1.0, 0.1) == [sys.float_info.max]


def test_length_decay() -> None:
    row = [2.0, -2.0, 1.0, NOTHING]
    assert rescaling.length_decay(row, [0, 1, 3], 1.5, 0) == row
    # 1.5² − 1 = 1.25 times the absolute value.
    assert rescaling.length_decay(row, [0, 1, 3], 1.5, 2) == [4.5, 0.5, 1.0, NOTHING]


def test_no_repeat_ngram() -> None:
    row, text = [0.0] * 5, [1, 2, 3, 1, 2]
    assert support(sequences.no_repeat_ngram(row, text, text, 3)) == [0, 1, 2, 4]
    assert support(sequences.no_repeat_ngram(row, text, text, 2)) == [0, 1, 2, 4]
    assert support(sequences.no_repeat_ngram(row, text, text, 1)) == [0, 4]
    assert support(sequences.no_repeat_ngram(row, text, text, 6)) == [0, 1, 2, 3, 4]


def test_sequence_bias() -> None:
    bias = {(0,): 1.0, (7, 0): 2.0, (8, 0): 4.0, (6, 7, 1): NOTHING}
    assert sequences.sequence_bias([0.0] * 3, [6, 7], bias) == [3.0, NOTHING, 0.0]
    assert sequences.sequence_bias([0.0] * 3, [], bias) == [1.0, 0.0, 0.0]


def test_dry() -> None:
    # "1 2 3" ends the text and stood before 4; "3" stood before 1.
    text = [1, 2, 3, 4, 3, 1, 2, 3]
    got = sequences.dry([0.0] * 5, text, 1.0, 2.0, 2)
    assert got == [0.0, 0.0, 0.0, 0.0, -2.0], "2^(3 − 2) for 4; one token is allowed"
    got = sequences.dry([0.0] * 5, text, 1.0, 2.0, 1)
    assert got == [0.0, -1.0, 0.0, 0.0, -4.0]
    assert sequences.dry([0.0] * 5, text, 1.0, 2.0, 2, [1]) == [0.0, 0.0, 0.0, 0.0, -1.0]
    assert sequences.dry([0.0] * 5, text, 1.0, 2.0, 2, [4]) == [0.0] * 5, "a breaker is free"


def test_mirostat_cutoffs() -> None:
    # p = (½, ¼, ¼): surprises 1, 2 and 2 bits.
    row = logs(0.5, 0.25, 0.25)
    assert support(feedback.surprise_cutoff(row, 1.5)) == [0]
    assert support(feedback.surprise_cutoff(row, 2.0 + 1e-9)) == [0, 1, 2]
    assert support(feedback.surprise_cutoff(row, 0.5)) == [0], "one always stays"
    # p_i ∝ 1 / i exactly, ŝ = 1: k = 2^μ / ln n.
    zipf = [-math.log(rank) for rank in range(1, 101)]
    assert len(support(feedback.zipf_cutoff(zipf, 5.0, 50))) == int(32 / math.log(100))
    assert support(feedback.zipf_cutoff(zipf, -9.0, 50)) == [0]
    assert len(support(feedback.zipf_cutoff([0.0] * 9, 1.0, 50))) == 9, "flat: nothing to fit"


def test_adaptive_p() -> None:
    # Distances 0, 0.3 / 0.3 = 1 and 1 give 5 and 5 − 10 / 2.
    got = feedback.towards(logs(0.6, 0.3, 0.1, 0.0), 0.3)
    assert got == pytest.approx([0.0, 5.0, 5 - 10 * (4 / 9) / (5 / 3), NOTHING])
