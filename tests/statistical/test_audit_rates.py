"""The rates that `verify` states: false alarms, and how soon a false claim is rejected.

Servers are simulated: logits with normal noise of σ = 0.03 in float32, an own draw of every token.
The long runs are nightly; the short ones see that the simulation can fail.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from served_texts import drawn, rows_of

from decoding import MinP, Temperature, TopK, TopP, TypicalP, chain
from decoding.audit import Claim, check_claim, verify_logits
from decoding.audit.evidence import Assumptions

PROMPT = [1, 2, 3]
CLAIMED = (
    chain(),
    chain(Temperature(0.8), TopP(0.95)),
    chain(Temperature(0.7), TopK(50)),
    chain(MinP(0.05)),
    chain(Temperature(1.2), TypicalP(0.9)),
)
FALSE: tuple[tuple[Any, int, str], ...] = (
    (chain(Temperature(1.1)), 1000, "temperature 1.1"),
    (chain(TopP(0.95)), 2000, "top-p 0.95"),
    (None, 60, "another seed, or none"),
)


def rejected(texts: range, noise: float = 0.03, assumptions: Assumptions = Assumptions()) -> int:
    count = 0
    for number in texts:
        claim = Claim(pipeline=CLAIMED[number % len(CLAIMED)], seed=number)
        rows = rows_of(number, 100, 300)
        tokens = drawn(rows, claim, number, noise)
        count += not check_claim(rows, PROMPT, tokens, claim, assumptions).accepted
    return count


def test_honest_texts_are_not_rejected() -> None:
    assert rejected(range(30)) == 0


def test_texts_of_other_weights_are() -> None:
    told = Assumptions(alpha=0.01)
    assert rejected(range(5), 1.0, told) == 5


@pytest.mark.nightly
def test_none_of_ten_thousand_honest_texts_is_rejected() -> None:
    assert rejected(range(10_000)) == 0


@pytest.mark.nightly
@pytest.mark.parametrize(("pipeline", "most", "name"), FALSE, ids=[name for *_, name in FALSE])
def test_false_claims_are_rejected_in_time_and_named(pipeline: Any, most: int, name: str) -> None:
    runs, in_time, named = 100, 0, 0
    for number in range(runs):
        claim = Claim(seed=number)
        truth = (
            Claim(seed=10**9 + number) if pipeline is None else replace(claim, pipeline=pipeline)
        )
        rows = rows_of(number, most, 1000)
        found = verify_logits(rows, PROMPT, drawn(rows, truth, number), claim)
        in_time += found.rejected_at is not None
        named += found.alternative is not None and found.alternative.name == name
    assert in_time >= 95
    assert named >= 95


@pytest.mark.nightly
def test_a_false_alarm_is_as_rare_as_alpha() -> None:
    # Tokens are unexplained as often as is allowed: at α = 0.05 about that share is rejected.
    from decoding.audit.evidence import UnexplainedTokens

    generator = np.random.default_rng(3)
    told, alarms = Assumptions(alpha=0.05, unexplained_rate=0.02), 0
    for _ in range(2000):
        process = UnexplainedTokens(told)
        for bad in generator.random(400) < 0.02:
            process.observe(explained=not bad)
        alarms += process.rejected_at is not None
    assert alarms <= 0.05 * 2000
    assert alarms > 0
