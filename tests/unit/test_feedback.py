"""Filters with state, driven by loops made by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from decoding.errors import ParameterError
from decoding.processors.adaptive_p import AdaptiveP, AdaptivePState
from decoding.processors.feedback import Drawn, Feedback, drawn_of
from decoding.processors.mirostat import Mirostat1, Mirostat2, MirostatState

GONE = -math.inf
HALVES = np.log(np.array([[0.5, 0.25, 0.125, 0.125]]))


def bits(before: float, after: float = 0.0) -> Drawn:
    return Drawn(-before * math.log(2), -after * math.log(2))


def run(
    feedback: Feedback[Any], state: Any, generator: np.random.Generator, steps: int
) -> tuple[list[int], list[float], Any]:
    """Tokens drawn from rows of random logits, their surprise in bits, and the last state."""
    tokens, surprises = [], []
    for _ in range(steps):
        logits = 4.0 * generator.standard_normal((1, 500))
        filtered = feedback.filter(logits, [state])
        weights = np.exp(filtered[0] - filtered[0].max())
        token_id = int(generator.choice(500, p=weights / weights.sum()))
        drawn = drawn_of(logits[0], filtered[0], token_id)
        state = feedback.observe(state, drawn)
        tokens.append(token_id)
        surprises.append(-drawn.logprob_before / math.log(2))
    return tokens, surprises, state


def test_mirostat_by_hand() -> None:
    mirostat = Mirostat2(mirostat_tau=1.0, mirostat_eta=0.5)
    state = mirostat.start()
    assert state == MirostatState(2.0)
    filtered = mirostat.filter(HALVES, [MirostatState(state.mu + 1e-9)])
    assert filtered[0].tolist() == [*HALVES[0, :2], GONE, GONE]
    # The second token: 2 bits in the row, log₂ 3 = 1.58 bits in what was left of it.
    drawn = drawn_of(HALVES[0], filtered[0], 1)
    assert mirostat.observe(state, drawn).mu == pytest.approx(2.0 - 0.5 * (2.0 - 1.0))
    renormalised = Mirostat2(1.0, 0.5, renormalised=True)
    assert renormalised.observe(state, drawn).mu == pytest.approx(2.0 - 0.5 * (math.log2(3) - 1.0))


def test_mirostat_one_keeps_more_with_more_surprise() -> None:
    mirostat = Mirostat1()
    zipf = -np.log(np.arange(1.0, 101.0))[np.newaxis]
    sizes = [
        int((mirostat.filter(zipf, [MirostatState(mu)]) > GONE).sum()) for mu in (-9, 4, 5, 6, 99)
    ]
    assert sizes == [1, int(16 / math.log(100)), int(32 / math.log(100)), 13, 100]


@pytest.mark.parametrize("mirostat", [Mirostat1(2.5), Mirostat2(2.5)])
def test_mirostat_holds_the_surprise_at_its_target(mirostat: Any) -> None:
    _, surprises, _ = run(mirostat, mirostat.start(), np.random.default_rng(3), 600)
    assert np.mean(surprises[100:]) == pytest.approx(2.5, abs=0.15)


@pytest.mark.parametrize("feedback", [Mirostat1(), Mirostat2(), AdaptiveP(0.3)])
def test_the_old_state_is_a_rollback_and_a_copy_is_a_fork(feedback: Any) -> None:
    start = feedback.start()
    _, _, state = run(feedback, start, np.random.default_rng(1), 5)
    first = run(feedback, state, np.random.default_rng(2), 5)
    other = run(feedback, state, np.random.default_rng(7), 5)
    assert run(feedback, state, np.random.default_rng(2), 5) == first != other
    assert start == feedback.start()
    assert hash(state) == hash(type(state)(**{f: getattr(state, f) for f in state.__slots__}))


@pytest.mark.parametrize("feedback", [Mirostat1(), Mirostat2(), AdaptiveP(0.3)])
def test_each_row_has_its_own_state(feedback: Any) -> None:
    generator = np.random.default_rng(5)
    logits = generator.standard_normal((2, 50)).astype(np.float32)
    logits[1, 3] = GONE
    logits.flags.writeable = False
    states = [feedback.start(), feedback.observe(feedback.start(), bits(1.0, 1.0))]
    both = feedback.filter(logits, states)
    alone = [feedback.filter(logits[row : row + 1], [states[row]]) for row in (0, 1)]
    assert np.array_equal(both, np.concatenate(alone))
    assert both.dtype == np.float32
    assert both[1, 3] == GONE


def test_adaptive_p_by_hand() -> None:
    adaptive = AdaptiveP(0.4, 0.5)
    state = adaptive.start()
    assert state == AdaptivePState(0.8, 2.0)
    filtered = adaptive.filter(np.log(np.array([[0.7, 0.2, 0.1]])), [state])
    # d = 1, ⅔, 1.
    assert filtered[0] == pytest.approx([0.0, 5 - 10 * (4 / 9) / (5 / 3), 0.0])
    # Drawing p = 0.7: mean (0.7 + 0.4) / (1 + 1) = 0.55; the target is now 0.8 − 0.55 = 0.25.
    state = adaptive.observe(state, Drawn(math.log(0.7), 0.0))
    assert state.weighted_sum / state.total_weight == pytest.approx(0.55)
    nearest = adaptive.filter(np.log(np.array([[0.75, 0.25]])), [state])
    assert nearest[0, 1] == pytest.approx(5.0)


def test_adaptive_p_is_neutral_below_zero() -> None:
    adaptive = AdaptiveP(-1.0)
    assert adaptive.filter(HALVES, [adaptive.start()]) is HALVES


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (Mirostat1, (-1.0,)),
        (Mirostat1, (5.0, math.inf)),
        (Mirostat1, (5.0, 0.1, 1)),
        (Mirostat2, (math.nan,)),
        (AdaptiveP, (1.1,)),
        (AdaptiveP, (0.5, 1.0)),
    ],
)
def test_outside_the_range(make: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ParameterError, match=r"must be .*, got"):
        make(*arguments)
