"""Computes each given token's logprob under a `Profile`, a hypothesis of how it was drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.audit.claims import Predictor
from decoding.audit.forward import CHUNK
from decoding.audit.noisy import repeated, replicas_of
from decoding.audit.positions import BySize, has_feedback, parts_of
from decoding.audit.profiles import Profile
from decoding.history import History
from decoding.sampling.batch import BatchSampler, Sample, Sampler, States
from decoding.sampling.given import TokenDescriber
from decoding.typing import Rows

MISMATCH = 0.005
"""The share of tokens that rounding makes others than predicted, before anything is known."""
FLOOR = 1e-3
"""The share of tokens that any profile leaves to the model's own distribution."""
_DRAWS = 8
"""Noisy draws at each position, of profiles that say that the logits were others."""


def log_likelihoods(
    profile: Profile,
    logits: NDArray[Any],
    prompt: Sequence[int],
    token_ids: Sequence[int],
    assumed_noise: float,
) -> NDArray[np.float64]:
    """ln of the probability of each token under a profile, `(len(token_ids),)`.

    Profiles that predict tokens give a token that they predict a probability near 1. None is
    below `FLOOR` times the model's own probability.

    logits: `(len(token_ids), vocab)`. assumed_noise: σ that needs no profile of its own.
    """
    floor = math.log(FLOOR) + raw_logprobs(logits, token_ids)
    if not profile.claim.predicts:
        own = Distribution(profile).logprobs(logits, prompt, token_ids)
        return np.logaddexp(own + math.log1p(-FLOOR), floor)
    predictor = Predictor(profile.claim)
    noise = max(profile.logit_noise, 1e-6)
    found: list[float] = []
    for part, expected, states in predictor.text(logits, prompt, token_ids):
        rows = None
        for row, (wanted, token) in enumerate(zip(expected, part.token_ids, strict=True)):
            history = part.history.select(row)
            chance = 0.0
            if profile.logit_noise > assumed_noise:
                copies = replicas_of(
                    logits[part.start + row], noise, _DRAWS, (part.start + row, _DRAWS)
                )
                drawn = predictor.draw(copies, repeated(history, _DRAWS), states)
                chance = drawn.count(token) / _DRAWS
            elif wanted == token:
                chance = 1.0 - MISMATCH
            if chance == 0.0:
                if rows is None:
                    rows = predictor.edited(part.logits, part.history, states)
                position = int(part.history.lengths[row])
                margin = predictor.margin(rows[row], position, wanted, token)
                spread = math.sqrt(2.0) * noise * profile.claim.scale
                chance = 0.5 * math.erfc(margin / spread / math.sqrt(2.0))
                chance *= MISMATCH if wanted == token else 1.0 / _DRAWS
            found.append(math.log(chance) if chance > 0.0 else -math.inf)
    return np.logaddexp(np.array(found) + math.log1p(-FLOOR), floor)


def raw_logprobs(logits: NDArray[Any], token_ids: Sequence[int]) -> NDArray[np.float64]:
    """The logprob of each token under the model's own distribution."""
    found = np.empty(len(token_ids))
    for start in range(0, len(token_ids), CHUNK):
        rows = logits[start : start + CHUNK].astype(np.float64)
        own = np.asarray(token_ids[start : start + CHUNK])
        found[start : start + CHUNK] = logprobs_of(rows, own)
    return found


def logprobs_of(rows: NDArray[np.float64], token_ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """The logprob of one token a row; −inf where it is removed."""
    largest = rows.max(axis=1)
    sums = np.exp(rows - largest[:, np.newaxis]).sum(axis=1)
    found: NDArray[np.float64] = rows[np.arange(len(rows)), token_ids] - largest - np.log(sums)
    return found


class Distribution:
    """The distribution that a profile without predictions claims; makes its samplers once."""

    def __init__(self, profile: Profile) -> None:
        sampler = Sampler(profile.claim.pipeline, None if profile.claim.greedy else 0)
        self._steered = has_feedback(sampler.pipeline)
        self._start = sampler.start()
        self._samplers = BySize(BatchSampler, sampler)
        self._describers = BySize(TokenDescriber, sampler)

    def logprobs(
        self, logits: Rows, prompt: Sequence[int], token_ids: Sequence[int]
    ) -> NDArray[np.float64]:
        """The logprob of each token."""
        found, states = [], self._start
        for part in parts_of(logits, prompt, token_ids, 1 if self._steered else CHUNK):
            found.append(self.of_rows(part.logits, part.history, part.token_ids, states))
            if self._steered:
                [outcome] = self._describers.of(1)(
                    part.logits, part.history, part.token_ids, [states]
                )
                states = outcome.states if isinstance(outcome, Sample) else states
        return np.concatenate(found) if found else np.zeros(0)

    def of_rows(
        self,
        logits: Rows,
        history: History,
        token_ids: Sequence[int],
        states: States = (),
    ) -> NDArray[np.float64]:
        """The logprob of one token a row; −inf where the pipeline leaves none."""
        count = len(history)
        sampler = self._samplers.of(count)
        edited = sampler.process_exactly(logits, history, [states or self._start] * count)
        found = logprobs_of(edited.logits, np.asarray(token_ids))
        found[list(edited.errors)] = -np.inf
        return found
