"""Adaptive-p: prefers tokens near a target probability, corrected by the drawn tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from decoding.checks import check_real
from decoding.facts import DRAW, Facts
from decoding.history import History
from decoding.kernels.vector import dense, feedback
from decoding.processors.call import checked_call, checked_filter
from decoding.processors.feedback import Drawn
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class AdaptivePState:
    """The decaying mean of the probabilities of the drawn tokens.

    weighted_sum: Σ p · decay^age. total_weight: Σ decay^age.
    """

    weighted_sum: float
    total_weight: float


@dataclass(frozen=True, slots=True)
class AdaptiveP:
    """Prefer tokens whose probability is near a target that the drawn tokens correct.

        target' = 2 · adaptive_target − mean of the drawn tokens' p,   cut to [0, 1]
        logits'[i] = 5 − 10 · d² / (1 + d),   d = |p[i] − target'| / 0.3
        sum ← p + adaptive_decay · sum,   weight ← 1 + adaptive_decay · weight

    adaptive_target: at most 1; any number below 0 is neutral (llama.cpp's default is −1).
    adaptive_decay: of the mean, in [0, 0.99]; it spans about 1 / (1 − decay) tokens. It starts
    as if every token so far had had the target's probability.
    p is over the support that is left; that of a drawn token is the one before this filter. −inf
    stays. Every token far from the target is nearly equally unlikely: truncate first.
    Raises `ParameterError` at construction. Source: llama.cpp #17927, the only peer that has it.
    """

    adaptive_target: float
    adaptive_decay: float = 0.9

    facts: ClassVar[Facts] = replace(
        DRAW,
        vocabulary_blind=True,
        formula="5 − 10 d² / (1 + d), d = abs(p − target) / 0.3",
        neutral="target < 0",
        range="target ≤ 1, decay in [0, 0.99]",
        source="llama.cpp #17927",
        peers=("llama.cpp",),
    )

    def __post_init__(self) -> None:
        check_real(self, "adaptive_target", lambda x: -math.inf < x <= 1.0, "at most 1")
        check_real(self, "adaptive_decay", lambda x: 0.0 <= x <= 0.99, "in [0, 0.99]")

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        """Edit the logits of a first token: the filter in its initial state."""
        return self.filter(logits, [self.start()] * len(logits))

    def start(self) -> AdaptivePState:
        """The state before the first token, whose mean is the target."""
        weight = 1.0 / (1.0 - self.adaptive_decay)
        return AdaptivePState(self.adaptive_target * weight, weight)

    @checked_filter
    def filter(self, logits: Logits, states: Sequence[AdaptivePState]) -> Logits:
        """New logits by the distance of each probability to the corrected target."""
        if self.adaptive_target < 0.0:
            return logits
        means = [state.weighted_sum / state.total_weight for state in states]
        targets = [min(max(2.0 * self.adaptive_target - mean, 0.0), 1.0) for mean in means]
        return dense.edit(logits, lambda row, values: feedback.towards(values, targets[row]))

    def observe(self, state: AdaptivePState, drawn: Drawn) -> AdaptivePState:
        """The state after a drawn token, of whose probability the mean is updated."""
        decay = self.adaptive_decay
        probability = float(np.exp(drawn.logprob_before))
        return AdaptivePState(
            probability + decay * state.weighted_sum, 1.0 + decay * state.total_weight
        )
