"""Judges of edits: decide whether a candidate's logits are right, by a definition in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from decoding.history import History
from decoding.testing.verdicts import (
    UNITS,
    Mask,
    Row,
    Verdict,
    below_the_format,
    either,
    largest_of,
    logit_bands,
    wrong,
)

Definition = Callable[[Row, History], Row]
"""What a claim makes of a row `(vocab,)` float64 and its history, a batch of one."""

_MOVES = 8
"""How many random directions, beside fixed ones, `DefinitionJudge` moves a row in."""


@dataclass(frozen=True, slots=True)
class ValueJudge:
    """Judges every logit of a row by a formula.

    definition: the formula.
    shift: whether a constant common to all tokens may be added, which changes no probability.
    """

    rule: str
    definition: Definition
    shift: bool = False

    def judge(self, logits: Row, result: Row, history: History, unit: float) -> Verdict:
        """Judge one row."""
        expected = self.definition(logits, history)
        if np.array_equal(expected, result):
            return either(clean=True)
        should = expected > -np.inf
        kept = (result > -np.inf) | below_the_format(expected, unit)
        if not np.array_equal(kept, should):
            token = int(np.flatnonzero(kept != should)[0])
            verb = "must be impossible" if kept[token] else "must stay possible"
            return wrong(f"token {token} (logit {logits[token]:.9g}) {verb}", should)
        why = _differing(logits, result, expected, unit, shift=self.shift)
        return wrong(why) if why else either(clean=True)


def _differing(logits: Row, result: Row, expected: Row, unit: float, *, shift: bool) -> str:
    """Where two rows with one support differ by more than rounding; empty where nowhere."""
    kept = np.flatnonzero(expected > -np.inf)
    if not len(kept):
        return ""
    want, got = expected[kept], result[kept]
    scale = np.abs(want) + np.abs(np.where(logits[kept] > -np.inf, logits[kept], 0.0))
    top = want.argmax()
    moved = float(got[top] - want[top]) if shift else 0.0
    if shift:
        scale = scale + np.abs(want[top]) + np.abs(got[top])
    band = 1e-6 + 4.0 * max(unit, UNITS["float32"]) * scale
    off = (np.abs(got - moved - want) > band) & (scale < largest_of(unit))
    if not off.any():
        return ""
    if shift and (np.abs(got - want) > band).sum() <= off.sum():
        # Nothing was added to the others: the largest logit is itself wrong.
        moved, off = 0.0, np.abs(got - want) > band
    at = int(off.argmax())
    token, value = int(kept[at]), want[at] + moved
    return f"token {token}: logit {logits[token]:.9g} became {result[token]:.9g}, not {value:.9g}"


@dataclass(frozen=True, slots=True)
class DefinitionJudge:
    """Judges a row by the definition of a claim: of truncations, edits, and chains of them.

    The definition is also run on rows that are moved by what float32 rounding explains. A token
    that then falls on the other side of a cut may stay or go.
    """

    rule: str
    definition: Definition

    def judge(self, logits: Row, result: Row, history: History, unit: float) -> Verdict:
        """Judge one row."""
        expected = self.definition(logits, history)
        should = expected > -np.inf
        kept = (result > -np.inf) | below_the_format(expected, unit)
        if not kept.any() and should.any():
            return wrong("no token is left", should)
        if np.array_equal(kept, should):
            why = _differing(logits, result, expected, unit, shift=True)
            if not why:
                return either(clean=True)
        always, ever = self._bounds(logits, history, should, kept)
        if (kept & ~ever).any():
            token = int(np.flatnonzero(kept & ~ever)[0])
            return wrong(f"token {token} (logit {logits[token]:.9g}) stays and must go", should)
        if (always & ~kept).any():
            token = int(np.flatnonzero(always & ~kept)[0])
            return wrong(f"token {token} (logit {logits[token]:.9g}) goes and must stay", should)
        both = kept & should
        if np.array_equal(always, ever) or not both.any():
            why = _differing(logits, result, expected, unit, shift=True)
        else:
            why = _differing(
                logits,
                np.where(both, result, -np.inf),
                np.where(both, expected, -np.inf),
                max(unit, 1e-5),
                shift=True,
            )
        return wrong(why) if why else either(clean=False)

    def _bounds(self, logits: Row, history: History, should: Mask, kept: Mask) -> tuple[Mask, Mask]:
        """The tokens that stay in every moved row, and those that stay in any."""
        always, ever = should.copy(), should.copy()
        unit = UNITS["float32"]
        size = (
            logit_bands(logits)
            + 4.0 * unit * np.abs(np.where(logits > -np.inf, logits, 0.0))
            + len(logits) * unit
        )
        generator = np.random.default_rng(0)
        peak = logits.max()
        favour = np.where(kept, 1.0, -1.0)
        directions = [
            favour,
            favour * (kept != should),
            np.where(logits - peak < 0.0, -1.0, 1.0),
            np.where(logits - peak < 0.0, 1.0, -1.0),
            *(generator.choice([-1.0, 1.0], len(logits)) for _ in range(_MOVES)),
        ]
        for direction in directions:
            for factor in (1.0, 0.1):
                moved = self.definition(logits + factor * direction * size, history) > -np.inf
                always &= moved
                ever |= moved
        return always, ever
