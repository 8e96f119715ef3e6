"""`Judge` and its verdicts: whether a candidate's row is right, within bands for rounding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from decoding.history import History

Row = NDArray[np.float64]
Mask = NDArray[np.bool_]

UNITS = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
"""Half the distance from 1 to the next number of a format."""

_LARGEST = {UNITS["float16"]: 3e4}
_LARGEST_OF_OTHERS = 1e37

_BASE = 2e-6
"""Tolerance of logprobs and of masses, besides what rounding in float32 explains."""


class Outcome(Enum):
    """RIGHT: as claimed. TIES: a token on the cut, or tied, falls on the other side. WRONG: not."""

    RIGHT = "right"
    TIES = "within ties"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a judge for one row.

    why: what is wrong, in words; empty where nothing is.
    expected: the tokens that a right answer keeps, or None where the values are what is wrong.
    """

    outcome: Outcome
    why: str = ""
    expected: tuple[int, ...] | None = None


RIGHT = Verdict(Outcome.RIGHT)
TIES = Verdict(Outcome.TIES)


class Judge(Protocol):
    """Decides in float64 whether a row is what a claim makes of it.

    rule: the claim in words.
    """

    @property
    def rule(self) -> str:
        """The claim in words."""

    def judge(self, logits: Row, result: Row, history: History, unit: float) -> Verdict:
        """Judge one row.

        logits: `(vocab,)` float64, legal. result: `(vocab,)` float64, what came of it.
        history: of this row, a batch of one.
        unit: the rounding of the format of the result, of `UNITS`.
        """


def wrong(why: str, expected: Iterable[int] | Mask | None = None) -> Verdict:
    """The verdict that a row is wrong."""
    if isinstance(expected, np.ndarray):
        expected = np.flatnonzero(expected).tolist()
    return Verdict(Outcome.WRONG, why, None if expected is None else tuple(expected))


def either(clean: bool) -> Verdict:
    """The verdict that a row is right, if `clean`, or else right but for ties."""
    return RIGHT if clean else TIES


def largest_of(unit: float) -> float:
    """The size from which on a logit may overflow a format on the way, by the format's rounding."""
    return _LARGEST.get(unit, _LARGEST_OF_OTHERS)


def below_the_format(logits: Row, unit: float) -> Mask:
    """The tokens whose logit a format may hold as −inf, though it is finite."""
    return (logits > -np.inf) & (logits < -largest_of(unit))


def log_probs(logits: Row) -> Row:
    """The logprobs of a row."""
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def logit_bands(logits: Row) -> Row:
    """How far rounding in float32 may move each logprob; that of −inf is 0.

    Subtracting the maximum rounds in proportion to the distance; taking a log-sum-exp first, as
    some right functions do, in proportion to the maximum itself.
    """
    largest = logits.max()
    distance = np.where(logits > -np.inf, largest - logits, 0.0)
    unit = UNITS["float32"]
    return _BASE + 4.0 * unit * distance + 2.0 * unit * abs(largest)


def mass_band(logits: Row, probs: Row) -> float:
    """How far rounding in float32 may move a sum of probabilities, added one by one."""
    moved = float(np.dot(probs, np.minimum(logit_bands(logits), 1.0)))
    return moved + len(logits) * UNITS["float32"]


def survivors_verdict(logits: Row, result: Row, unit: float) -> str:
    """Why the tokens that stay do not keep their distribution; empty if they do.

    A common constant may be added, as by a function that renormalises.
    """
    kept = np.flatnonzero(result > -np.inf)
    want, got = logits[kept], result[kept]
    if np.array_equal(want, got):
        return ""
    top = kept[want.argmax()]
    want, got = want - logits[top], got - result[top]
    scale = np.abs(logits[kept]) + np.abs(result[kept]) + abs(result[top])
    off = np.abs(got - want) > 1e-6 + 4.0 * max(unit, UNITS["float32"]) * scale
    # Beyond the smallest float32 probability a function that goes through probabilities is coarse.
    off &= logits[kept] - logits[top] > -80.0
    if not off.any():
        return ""
    worst = int(kept[off][0])
    return (
        f"token {worst} stays and its logit became {result[worst]:.9g}, from {logits[worst]:.9g}:"
        " what stays must keep its logit, but for a constant common to all tokens"
    )
