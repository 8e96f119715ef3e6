"""E-processes, token by token."""

from __future__ import annotations

import math

import numpy as np
import pytest

from decoding.audit.evidence import Assumptions, LikelihoodRatios, UnexplainedTokens, log_e_value


def test_explained_tokens_are_no_evidence() -> None:
    process = UnexplainedTokens(Assumptions())
    for _ in range(500):
        process.observe(explained=True)
    assert (process.tokens, process.unexplained) == (500, 0)
    assert (process.log_value, process.rejected_at) == (0.0, None)


def test_the_e_value_is_the_largest_so_far() -> None:
    """A text is rejected at the first token that suffices, whatever comes later."""
    assumptions = Assumptions()
    process = UnexplainedTokens(assumptions)
    for _ in range(50):
        if process.rejected_at is None:
            process.observe(explained=False)
    rejected_at, largest = process.rejected_at, process.log_value
    assert rejected_at is not None
    assert rejected_at == process.tokens == process.unexplained
    assert largest == log_e_value(rejected_at, rejected_at, assumptions)
    for _ in range(100):
        process.observe(explained=True)
    assert log_e_value(process.tokens, process.unexplained, assumptions) < largest
    assert (process.log_value, process.rejected_at) == (largest, rejected_at)


def test_a_mixture_of_likelihood_ratios_by_hand() -> None:
    process = LikelihoodRatios(Assumptions(alpha=0.25), 2)
    process.observe(np.log([2.0, 0.5]))
    assert process.log_value == pytest.approx(math.log(1.25))
    assert process.rejected_at is None
    process.observe(np.log([4.0, 0.5]))
    assert process.log_value == pytest.approx(math.log((8.0 + 0.25) / 2))
    assert process.rejected_at == 2
    process.observe(np.full(2, -math.inf))
    assert process.log_value == pytest.approx(math.log((8.0 + 0.25) / 2))
