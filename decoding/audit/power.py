"""Estimates how many tokens a verification needs, before a text is checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from decoding.audit.claims import Claim, Predictor
from decoding.audit.evidence import Assumptions, tokens_needed
from decoding.audit.forward import Chunks, in_memory
from decoding.audit.noisy import is_explained
from decoding.checks import checked_integer, checked_real
from decoding.errors import ParameterError
from decoding.sampling.rng import SEED_RANGE
from decoding.typing import Rows


@dataclass(frozen=True, slots=True)
class Power:
    """The number of tokens that tells a claim from an alternative on texts like a given one.

    rate: of a claim that predicts tokens, the share of the alternative's tokens that the claim does
    not explain. tokens: how many tokens make a rejection as likely as was asked for; None where
    more than a million do. See `tokens_needed`.
    """

    rate: float
    tokens: int | None


def power_of(
    logits: Rows | Chunks,
    prompt: Sequence[int],
    token_ids: Sequence[int],
    claim: Claim,
    alternative: Claim,
    *,
    power: float = 0.95,
    seeds: int = 4,
    assumptions: Assumptions = Assumptions(),
) -> Power:
    """How long a text must be for a claim to be rejected if it was drawn by an alternative.

    logits: `(len(token_ids), vocab)`, of a text like those to be checked, with its tokens: what the
        pipelines see as history. claim, alternative: ones that predict tokens.
    power: in (0, 1), the wanted probability of rejection. seeds: >= 1, draws at each position.

    The rate is an estimate, with a standard error of √(rate / (seeds · len(token_ids))).

    Raises:
        ParameterError: a claim predicts no tokens.
    """
    for name, item in (("claim", claim), ("alternative", alternative)):
        if item.seed is None and not item.greedy:
            raise ParameterError(name, item, "one with a seed, or a greedy one")
    count = checked_integer("seeds", seeds, 1)
    power = checked_real("power", power, lambda value: 0 < value < 1, "in (0, 1)")
    rows = in_memory(logits)
    unexplained = total = 0
    for index in range(count if claim.seed is not None or alternative.seed is not None else 1):
        first, second = (_shifted(item, index) for item in (claim, alternative))
        ours, theirs = Predictor(first), Predictor(second)
        drawn = [
            token for _, expected, _ in theirs.text(rows, prompt, token_ids) for token in expected
        ]
        for part, expected, states in ours.text(rows, prompt, token_ids):
            for row, wanted in enumerate(expected):
                place = part.start + row
                total += 1
                if wanted != drawn[place]:
                    unexplained += not is_explained(
                        ours,
                        rows[place],
                        part.history.select(row),
                        states,
                        token_id=drawn[place],
                        noise=assumptions.logit_noise,
                    )
    rate = unexplained / total
    return Power(rate, tokens_needed(rate, power, assumptions))


def _shifted(claim: Claim, index: int) -> Claim:
    """The claim with another seed, an equal one for claims of equal seeds."""
    return claim if claim.seed is None else replace(claim, seed=(claim.seed + index) % SEED_RANGE)
