"""The reference kernels: rows that a person can check."""

from __future__ import annotations

import math

import pytest

from decoding.kernels.reference import processors as reference
from decoding.kernels.reference.step import log_softmax, step

NOTHING = -math.inf


def logs(*probabilities: float) -> list[float]:
    return [math.log(p) if p > 0 else NOTHING for p in probabilities]


def support(row: list[float]) -> list[int]:
    return [index for index, value in enumerate(row) if value > NOTHING]


@pytest.mark.parametrize(
    ("k", "keep_ties", "expected"),
    [
        (1, True, [1, 3]),
        (1, False, [1]),
        (2, True, [1, 3]),
        (3, False, [0, 1, 3]),
        (9, True, [0, 1, 2, 3]),
    ],
)
def test_top_k(k: int, keep_ties: bool, expected: list[int]) -> None:
    assert support(reference.top_k([0.0, 2.0, -1.0, 2.0], k, keep_ties=keep_ties)) == expected


@pytest.mark.parametrize(
    ("probabilities", "p", "expected"),
    [
        # A boundary met exactly keeps no further token: transformers issue 18976.
        ((0.5, 0.25, 0.25), 0.5, [0]),
        ((0.5, 0.25, 0.25), 0.50001, [0, 1]),
        ((0.5, 0.25, 0.25), 0.75, [0, 1]),
        ((0.25, 0.25, 0.25, 0.25), 0.5, [0, 1]),
        ((0.2, 0.5, 0.3), 0.6, [1, 2]),
        ((0.2, 0.5, 0.3), 1e-9, [1]),
        ((0.5, 0.0, 0.5), 0.9, [0, 2]),
    ],
)
def test_top_p(probabilities: tuple[float, ...], p: float, expected: list[int]) -> None:
    assert support(reference.top_p(logs(*probabilities), p)) == expected


@pytest.mark.parametrize(
    ("fraction", "expected"), [(0.1, [0, 1, 2]), (0.5, [0, 1]), (0.51, [0]), (1.0, [0])]
)
def test_min_p(fraction: float, expected: list[int]) -> None:
    assert support(reference.min_p([0.0, -0.69, -1.6], fraction)) == expected


def test_typical_p_can_drop_the_likeliest() -> None:
    # H = 0.802; surprises 0.357, 1.609, 2.303 lie 0.45, 0.81, 1.50 away from it ...
    assert support(reference.typical_p(logs(0.7, 0.2, 0.1), 0.5)) == [0]
    # ... and here H = 1.639: the five tokens at 2.120 are nearer than the one at 0.916.
    row = logs(0.4, 0.12, 0.12, 0.12, 0.12, 0.12)
    assert support(reference.typical_p(row, 0.1)) == [1, 2, 3, 4, 5]


def test_temperature() -> None:
    assert reference.temperature([1.0, -2.0, NOTHING], 0.5) == [2.0, -4.0, NOTHING]
    assert reference.temperature([1e300, 0.0], 1e-100)[0] == 0.0


def test_penalties() -> None:
    row = [2.0, -2.0, 1.0, NOTHING]
    assert reference.repetition_penalty(row, [0, 1, 1, 3], 2.0) == [1.0, -4.0, 1.0, NOTHING]
    assert reference.frequency_penalty(row, [0, 0, 2], 0.5) == [1.0, -2.0, 0.5, NOTHING]
    assert reference.presence_penalty(row, [0, 0, 2], 0.5) == [1.5, -2.0, 0.5, NOTHING]
    assert reference.logit_bias(row, {1: 3.0, 2: NOTHING}) == [2.0, 1.0, NOTHING, NOTHING]


def test_step_describes_a_greedy_choice() -> None:
    raw = logs(0.4, 0.4, 0.2)
    result = step(raw, [NOTHING, *raw[1:]], seed=None, position=0, top_n=1)
    assert result.token_id == 1
    assert result.raw_logprob == pytest.approx(math.log(0.4))
    assert result.processed_logprob == pytest.approx(math.log(2 / 3))
    assert result.rank == 1, "a tie is not strictly larger"
    assert result.support_size == 2
    assert result.entropy == pytest.approx(0.6365, abs=1e-4)
    assert [token_id for token_id, _, _ in result.top] == [1]


def test_top_n_takes_every_tie() -> None:
    row = logs(0.4, 0.3, 0.3)
    assert [i for i, _, _ in step(row, row, seed=None, position=0, top_n=2).top] == [0, 1, 2]


def test_log_softmax() -> None:
    assert log_softmax([1e38, NOTHING, 1e38]) == [-math.log(2), NOTHING, -math.log(2)]
