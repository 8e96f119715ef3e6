"""Judges of truncations: decide in float64 whether a candidate kept the right tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from decoding.history import History
from decoding.testing.verdicts import (
    Mask,
    Row,
    Verdict,
    either,
    log_probs,
    logit_bands,
    mass_band,
    survivors_verdict,
    wrong,
)

_UNDERFLOW = -85.0
"""Logprobs below this, relative to the likeliest, are denormal or 0 as float32 probabilities."""


def _described(token: int, logits: Row) -> str:
    probability = np.exp(log_probs(logits)[token])
    return f"token {token} (logit {logits[token]:.9g}, probability {probability:.6g})"


def _basic(logits: Row, result: Row, unit: float, expected: Mask) -> Verdict | None:
    """Faults of any truncation: nothing stays, or a logit that stays is changed."""
    if not (result > -np.inf).any():
        return wrong("no token is left: at least the likeliest must stay", expected)
    changed = survivors_verdict(logits, result, unit)
    return wrong(changed) if changed else None


@dataclass(frozen=True, slots=True)
class ThresholdJudge:
    """Judges truncations that keep a token iff its logprob reaches a threshold of the row.

    threshold: the least logprob that stays, from the row's logprobs; a token that reaches it is
        never needed for another to be judged. The likeliest token stays whatever it is.
    """

    rule: str
    threshold: Callable[[Row], float]

    def judge(self, logits: Row, result: Row, history: History, unit: float) -> Verdict:
        """Judge one row."""
        del history
        logprobs = log_probs(logits)
        threshold = self.threshold(logprobs)
        should = logprobs >= threshold
        band = 2.0 * logit_bands(logits) + 1e-6 * abs(min(threshold, 0.0))
        free = np.abs(logprobs - threshold) <= band
        free |= (logprobs < _UNDERFLOW) & (threshold < _UNDERFLOW)
        likeliest = logits == logits.max()
        should |= likeliest
        # One of several likeliest tokens is enough where only that rule keeps them.
        free |= likeliest & (logprobs < threshold)
        should &= logits > -np.inf
        basic = _basic(logits, result, unit, should)
        if basic is not None:
            return basic
        kept = result > -np.inf
        for token in np.flatnonzero((kept != should) & ~free).tolist():
            verb = "stays and must not" if kept[token] else "is removed and must stay"
            return wrong(
                f"{_described(token, logits)} {verb}: the threshold is the probability"
                f" {np.exp(threshold):.6g}",
                should,
            )
        return either(not (kept != should).any())


@dataclass(frozen=True, slots=True)
class MassJudge:
    """Judges truncations that keep tokens in an order until their mass reaches a total.

    Of the tokens tied with the last one, as many as are needed may stay, or more of them.
    total: the mass, in (0, 1]. order: a key for each token from the row's logprobs; the smallest
    first.
    """

    rule: str
    total: float
    order: Callable[[Row], Row]

    def judge(self, logits: Row, result: Row, history: History, unit: float) -> Verdict:
        """Judge one row."""
        del history
        logprobs = log_probs(logits)
        probs = np.exp(logprobs)
        with np.errstate(invalid="ignore"):
            keys = np.where(logits > -np.inf, self.order(logprobs), np.inf)
        ranking = np.argsort(keys, kind="stable")
        before = np.cumsum(probs[ranking]) - probs[ranking]
        should = np.zeros(len(logits), bool)
        should[ranking] = (before < self.total) | (self.total >= 1.0)
        should &= logits > -np.inf
        basic = _basic(logits, result, unit, should)
        if basic is not None:
            return basic
        kept = result > -np.inf
        if np.array_equal(kept, should):
            return either(clean=True)
        return self._compare(logits, kept, should, keys)

    def _compare(self, logits: Row, kept: Mask, should: Mask, keys: Row) -> Verdict:
        probs = np.exp(log_probs(logits))
        band = mass_band(logits, probs)
        slack = logit_bands(logits) + band
        alive = logits > -np.inf
        last = int(np.flatnonzero(kept)[keys[kept].argmax()])
        skipped = alive & ~kept & (keys + slack < keys[last] - slack[last])
        skipped &= logits - logits.max() > _UNDERFLOW
        if skipped.any():
            token = int(np.flatnonzero(skipped)[0])
            return wrong(
                f"{_described(token, logits)} is removed, but {_described(last, logits)}, which"
                " comes after it, stays",
                should,
            )
        mass = float(probs[kept].sum())
        if mass < self.total - band:
            return wrong(
                f"the tokens that stay have mass {mass:.7g}, less than {self.total:g}", should
            )
        tied = kept & (keys >= keys[last] - slack - slack[last])
        fewest = mass - float(probs[tied].sum())
        if fewest >= self.total + band:
            return wrong(
                f"{_described(last, logits)} is one too many: the tokens before it have mass"
                f" {fewest:.7g}, which already reaches {self.total:g}",
                should,
            )
        return either(clean=False)


@dataclass(frozen=True, slots=True)
class CountJudge:
    """Judges truncations that keep the k most likely tokens, with ties cut or kept.

    exactly: whether of tokens tied for the last place only as many may stay as are needed.
    """

    rule: str
    count: int
    exactly: bool = False

    def judge(self, logits: Row, result: Row, history: History, unit: float) -> Verdict:
        """Judge one row."""
        del history
        alive = logits > -np.inf
        count = min(self.count, int(alive.sum())) if self.count else int(alive.sum())
        last = np.sort(logits[alive])[-count]
        should = alive & (logits >= last)
        basic = _basic(logits, result, unit, should)
        if basic is not None:
            return basic
        kept = result > -np.inf
        # Float32 probabilities do not tell logits apart that differ by less.
        band = 4.0 * 2.0**-24 * (abs(last) + 1.0)
        above, tied = logits > last + band, alive & (np.abs(logits - last) <= band)
        gone = above & ~kept
        if int(tied.sum()) == 1:
            gone |= tied & ~kept
        if gone.any():
            token = int(np.flatnonzero(gone)[0])
            return wrong(
                f"{_described(token, logits)} is removed, though it is among the {count} likeliest",
                should,
            )
        if (kept & ~above & ~tied).any():
            token = int(np.flatnonzero(kept & ~above & ~tied)[0])
            return wrong(
                f"{_described(token, logits)} stays, though it is not among the {count} likeliest",
                should,
            )
        need, have = count - int(above.sum()), int((kept & tied).sum())
        exact = int((logits[tied] >= last).sum())
        if have not in ((need,) if self.exactly else (need, exact, int(tied.sum()))):
            otherwise = "" if self.exactly else ", or all of them stay"
            return wrong(
                f"{have} of {int(tied.sum())} tokens tied for place {count} stay: {need} are"
                f" needed{otherwise}",
                should,
            )
        return either(np.array_equal(kept, should))
