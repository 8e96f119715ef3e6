"""Counts of drawn tokens, and of pairs of them, each with the probabilities that a claim gives."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decoding.testing.draws import Tokens
from decoding.testing.statistics import cells_of, chi_square, chi_square_tail, log_e_value

Row = NDArray[np.float64]
Counts = NDArray[np.int64]

PAIR_TESTS = 6
"""Tests of pairs for each stream of draws; that of the probabilities comes to them."""

_PARTS = 8
"""Parts of a vocabulary, by id, of about equal probability, for pairs of tokens."""
_FEWEST = 5.0
"""Expected draws of the rarest cell from which on χ² is near its limit."""
_SHOWN = 6


@dataclass(slots=True)
class Cells:
    """How often each cell was drawn.

    law: of what a wrong share breaks. over: what differs between draws, for messages.
    names: of the cells. probs: what is claimed, positive.
    """

    law: str
    over: str
    names: list[str]
    probs: Row
    counts: Counts

    def log_e(self) -> float:
        """The logarithm of the e-value against the claim."""
        return log_e_value(self.counts, self.probs)

    def chance(self) -> float:
        """At most the probability of counts that are as far from the claim."""
        if self.counts.sum() * self.probs.min() < _FEWEST:
            return math.exp(-max(0.0, self.log_e()))
        return chi_square_tail(chi_square(self.counts, self.probs), len(self.probs) - 1)

    def report(self, chance: float) -> str:
        """What is off, in words."""
        total = int(self.counts.sum())
        shares = self.counts / total
        distance = float(np.abs(shares - self.probs).sum() / 2.0)
        worst = int(np.abs(shares - self.probs).argmax())
        return (
            f"{self.over}after {total:,} draws the total variation distance is about"
            f" {distance:.3g}; share of {self.names[worst]}: {shares[worst]:.4g}, claimed"
            f" {self.probs[worst]:.4g} (by chance in {max(chance, 1e-99):.2g} of all runs at most)"
        )


class DrawCounts:
    """Counts of one stream of draws from one row: of tokens, of pairs in a batch, of pairs in turn.

    Overlapping pairs depend on each other, so that pairs of calls are counted by the call's parity.
    """

    def __init__(self, law: str, probs: Row) -> None:
        self._cells = cells_of(probs)
        self._parts = _parts_of(probs)
        self._last: Tokens | None = None
        self._call = 0
        self._over = f"over {law}s, " if law in ("seed", "position") else ""
        alive = self._cells >= 0
        masses = np.bincount(self._cells[alive], probs[alive]).astype(np.float64)
        self._tokens = _cells(law, [_named(self._cells == i) for i in range(len(masses))], masses)
        same = float(np.dot(probs, probs))
        self._pairs = [
            (
                _cells(name, ["equal pairs", "unequal pairs"], [same, 1.0 - same]),
                _joint(name, probs, self._parts),
            )
            for name in ("independent rows", "independent draws", "independent draws")
        ]

    def impossible(self, tokens: Tokens) -> int | None:
        """A token of probability 0 among some tokens."""
        wrong = tokens[self._cells[tokens] < 0]
        return int(wrong[0]) if len(wrong) else None

    def add(self, tokens: Tokens) -> None:
        """Count the tokens of one call, which are all possible."""
        self._call += 1
        self._tokens.counts += np.bincount(self._cells[tokens], minlength=len(self._tokens.counts))
        if len(tokens) > 1:
            even = len(tokens) // 2 * 2
            self._pair(0, tokens[0:even:2], tokens[1:even:2])
        if self._last is not None:
            self._pair(1 + self._call % 2, self._last, tokens)
        self._last = tokens

    def _pair(self, which: int, first: Tokens, second: Tokens) -> None:
        equal, joint = self._pairs[which]
        agree = int((first == second).sum())
        equal.counts += (agree, len(first) - agree)
        place = self._parts[first] * _PARTS + self._parts[second]
        joint.counts += np.bincount(place, minlength=_PARTS**2)

    def tests(self) -> Iterator[Cells]:
        """All counts that can say something."""
        pairs = [cells for pair in self._pairs for cells in pair]
        for cells in (self._tokens, *pairs):
            alive = cells.probs > 1e-9
            if cells.counts.sum() and alive.sum() > 1:
                names = [
                    name for name, is_alive in zip(cells.names, alive, strict=True) if is_alive
                ]
                yield Cells(cells.law, self._over, names, cells.probs[alive], cells.counts[alive])


def _cells(law: str, names: list[str], probs: list[float] | Row) -> Cells:
    return Cells(law, "", names, np.array(probs, np.float64), np.zeros(len(names), np.int64))


def _parts_of(probs: Row) -> Counts:
    """The part of each token."""
    middles = np.cumsum(probs) - probs / 2.0
    return np.minimum((middles * _PARTS).astype(np.int64), _PARTS - 1)


def _joint(law: str, probs: Row, parts: Counts) -> Cells:
    masses = np.bincount(parts, probs, minlength=_PARTS).astype(np.float64)
    named = [_named((parts == part) & (probs > 0.0)) for part in range(_PARTS)]
    names = [f"pairs of {first} and {second}" for first in named for second in named]
    return _cells(law, names, np.outer(masses, masses).ravel())


def _named(tokens: NDArray[np.bool_]) -> str:
    ids = np.flatnonzero(tokens).tolist()
    if len(ids) == 1:
        return f"token {ids[0]}"
    more = ", ..." if len(ids) > _SHOWN else ""
    return f"tokens {', '.join(map(str, ids[:_SHOWN]))}{more}"
