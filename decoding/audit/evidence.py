"""E-processes: evidence against a claim about drawn tokens, and the text length they need.

An e-process is a product of bets against the claim. Where the claim is true, it ever reaches 1 / α
with a probability of at most α (Ville's inequality). So a text may be checked token by token and
the check ended at any time; α bounds the false alarms of the whole check. Source: Grünwald, de
Heide, Koolen 2024, "Safe testing", doi:10.1093/jrsssb/qkae011.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decoding.checks import check_real, checked_integer, checked_real

MOST_TOKENS = 1_000_000
"""The longest text that `tokens_needed` considers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """Assumptions about an honest server, and the required certainty of a rejection.

    logit_noise: σ ≥ 0, the standard deviation of the server's logits around those of the reference
        forward pass, independent from token to token, before the pipeline. 0.03 is that of float32
        or bfloat16 activations on another device; 0 where the logits are equal.
    unexplained_rate: δ in (0, 0.1): of an honest server's tokens at most this share, whatever the
        others, is explained neither by the claim nor by the noise. In units of 1 / token.
    alpha: in (0, 1), the probability of rejecting an honest text, at most.
    """

    logit_noise: float = 0.03
    unexplained_rate: float = 1e-3
    alpha: float = 1e-6

    def __post_init__(self) -> None:
        check_real(self, "logit_noise", lambda value: 0 <= value < math.inf, "a number >= 0")
        check_real(self, "unexplained_rate", lambda value: 0 < value < 0.1, "in (0, 0.1)")
        check_real(self, "alpha", lambda value: 0 < value < 1, "in (0, 1)")

    @property
    def threshold(self) -> float:
        """ln(1 / α): the log e-value from which a claim is rejected."""
        return -math.log(self.alpha)

    @property
    def rates(self) -> NDArray[np.float64]:
        """The rates of unexplained tokens that are bet on, each with the same stake."""
        return np.array([self.unexplained_rate * 3.0**power for power in range(1, 7)]).clip(max=0.9)


def log_e_value(tokens: int, unexplained: int, assumptions: Assumptions) -> float:
    """ln E after some tokens, of which some are unexplained.

        E = mean over ρ of (ρ / δ)^unexplained · ((1 − ρ) / (1 − δ))^(tokens − unexplained)

    Where at most a share δ is unexplained given all tokens before, every factor has an expectation
    of at most 1.

    >>> round(log_e_value(100, 0, Assumptions()), 3) < 0 < log_e_value(100, 8, Assumptions())
    True
    """
    delta, rates = assumptions.unexplained_rate, assumptions.rates
    bets = unexplained * np.log(rates / delta) + (tokens - unexplained) * (
        np.log1p(-rates) - math.log1p(-delta)
    )
    return float(_log_mean_exp(bets))


def tokens_needed(
    rate: float, power: float = 0.95, assumptions: Assumptions = Assumptions()
) -> int | None:
    """How long a text must be for a false claim to be rejected with some probability.

    rate: in [0, 1], the share of unexplained tokens under the alternative; `unexplained_rate` of
        `decoding.audit.power` estimates it. power: in (0, 1), the wanted probability.
    Exact for independent tokens. None where more than `MOST_TOKENS` are needed.

    >>> tokens_needed(0.9), tokens_needed(0.03) < 1000, tokens_needed(0.001)
    (5, True, None)
    """
    rate = checked_real("rate", rate, lambda value: 0 <= value <= 1, "in [0, 1]")
    power = checked_real("power", power, lambda value: 0 < value < 1, "in (0, 1)")
    if rate <= 2 * assumptions.unexplained_rate:
        return None
    # Of texts that are not rejected yet: the probability of each number of unexplained tokens.
    alive, rejected, bound = np.ones(1), 0.0, 1
    for tokens in range(1, MOST_TOKENS + 1):
        while log_e_value(tokens, bound, assumptions) < assumptions.threshold:
            if bound > tokens:
                break
            bound += 1
        grown = np.zeros(max(len(alive) + 1, bound + 1))
        grown[: len(alive)] += alive * (1 - rate)
        grown[1 : len(alive) + 1] += alive * rate
        rejected += float(grown[bound:].sum())
        alive = grown[:bound]
        if rejected >= power:
            return tokens
    return None


class EProcess:
    """A running e-value: `log_value` is the largest so far, `rejected_at` the deciding token."""

    def __init__(self, assumptions: Assumptions) -> None:
        self.assumptions = assumptions
        self.log_value = 0.0
        self.rejected_at: int | None = None
        self.tokens = 0

    def note(self, log_value: float) -> None:
        """Note ln E after one more token."""
        self.tokens += 1
        self.log_value = max(self.log_value, log_value)
        if self.rejected_at is None and log_value >= self.assumptions.threshold:
            self.rejected_at = self.tokens


class UnexplainedTokens(EProcess):
    """The e-process that counts unexplained tokens, with the e-value of `log_e_value`."""

    def __init__(self, assumptions: Assumptions) -> None:
        super().__init__(assumptions)
        self.unexplained = 0

    def observe(self, *, explained: bool) -> None:
        """Take one token."""
        self.unexplained += not explained
        self.note(log_e_value(self.tokens + 1, self.unexplained, self.assumptions))


class LikelihoodRatios(EProcess):
    """The e-process of a mixture of alternatives with known likelihoods.

    E = mean over alternatives of Π q(token) / p(token); p must be at least the probability under
    the claim.
    """

    def __init__(self, assumptions: Assumptions, alternatives: int) -> None:
        super().__init__(assumptions)
        self._sums = np.zeros(checked_integer("alternatives", alternatives, 1))

    def observe(self, log_ratios: NDArray[np.float64]) -> None:
        """Take one token: ln q / p of each alternative."""
        self._sums += log_ratios
        self.note(float(_log_mean_exp(self._sums)))


def _log_mean_exp(values: NDArray[np.float64]) -> float:
    largest = float(values.max())
    if largest == -math.inf:
        return largest
    return largest + math.log(float(np.exp(values - largest).mean()))
