"""`RowPart`: the part of a row that one process holds, and what is known of the whole row."""

from __future__ import annotations

import struct
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from decoding.distributed.exact_sums import SCALE, Exact, add_sums, exact_sum, pack_sums
from decoding.kernels.vector.execute import Candidates, Emptied

Row = NDArray[np.float64]
Result = TypeVar("Result")

Talk: TypeAlias = Generator[bytes, list[bytes], Result]
"""A computation of several processes: it yields what this one tells, and receives what all told.

What processes tell at the same time has the same length. The replies are in the order of the
processes, this one among them.
"""

_LARGEST = struct.Struct("<dIiB")


class BeyondFloatError(Exception):
    """A temperature leaves the range of float64 in the part of some process."""


@dataclass(frozen=True, slots=True)
class Mass:
    """Of the candidates of all processes: Σ w and Σ w · (max − z), w = exp(z − max).

    total, spread: these two, exact, in units of `exact_sums`.
    """

    total: int
    spread: int

    @property
    def log_total(self) -> float:
        """The logarithm of Σ w."""
        return float(np.log(self.total / SCALE))

    @property
    def entropy(self) -> float:
        """The entropy of the distribution, in nats."""
        return self.log_total + self.spread / self.total


@dataclass(slots=True)
class RowPart:
    """The candidates of one process, and what is known of those of all.

    rank: of this process. candidates: token ids of the whole vocabulary and logits, all of them
    possible. emptied: the instruction after which none was left here, −1 for none or before the
    first. overflowed: whether a temperature left the range of float64 here. largest: the largest
    logit of all processes; None where it is not known. counts: the number of candidates of each
    process; None where they are not known.
    """

    rank: int
    candidates: Candidates
    emptied: int = -1
    overflowed: bool = False
    largest: float | None = None
    counts: tuple[int, ...] | None = None

    def replace(self, candidates: Candidates, instruction: int, *, edits: bool) -> None:
        """Take over what an instruction left; edits: it changed logits, a cut does not."""
        was_empty = len(self.candidates.logits) == 0
        alive = candidates.logits > -np.inf
        self.candidates = candidates if alive.all() else candidates.only(alive)
        if not was_empty and len(self.candidates.logits) == 0:
            self.emptied = instruction
        self.counts = None
        if edits:
            self.largest = None

    def find_largest(self) -> Talk[float]:
        """Find the largest logit of all processes, by one exchange of messages unless known.

        Raises:
            Emptied: no process has a candidate.
            BeyondFloatError: see there.
        """
        if self.largest is None:
            replies = yield self.own_largest()
            self.take_largest(replies)
        assert self.largest is not None  # ours
        return self.largest

    def own_largest(self) -> bytes:
        """The message to the other processes for `take_largest`."""
        logits = self.candidates.logits
        largest = float(logits.max(initial=-np.inf))
        return _LARGEST.pack(largest, len(logits), self.emptied, self.overflowed)

    def take_largest(self, replies: list[bytes], start: int = 0) -> None:
        """Learn the largest logit and the counts from what all processes told."""
        told = [_LARGEST.unpack_from(reply, start) for reply in replies]
        if any(overflowed for *_, overflowed in told):
            raise BeyondFloatError
        self.counts = tuple(count for _, count, _, _ in told)
        self.largest = max(largest for largest, *_ in told)
        if sum(self.counts) == 0:
            raise Emptied(max(emptied for _, _, emptied, _ in told))

    def find_counts(self) -> Talk[tuple[int, ...]]:
        """Find how many candidates each process has, by one exchange of messages unless known."""
        if self.counts is None:
            replies = yield struct.pack("<I", len(self.candidates.logits))
            self.counts = tuple(struct.unpack("<I", reply)[0] for reply in replies)
        return self.counts

    def below(self) -> Row:
        """max − z of the candidates here; the largest logit must be known."""
        assert self.largest is not None  # ours
        with np.errstate(over="ignore"):
            return self.largest - self.candidates.logits

    def own_mass(self) -> tuple[Exact, bytes]:
        """The weights of the candidates here, and what the others need for `mass_of`."""
        below = self.below()
        numbers = np.exp(-below)
        weights = Exact.of(numbers)
        return weights, pack_sums(weights.sum(), exact_sum(_products(numbers, below)))

    def find_mass(self) -> Talk[tuple[Exact, Mass]]:
        """Find the weights of the candidates here and, by one exchange, the mass of all."""
        weights, message = self.own_mass()
        replies = yield message
        return weights, mass_of(replies)


def mass_of(replies: list[bytes], start: int = 0) -> Mass:
    """The mass that the processes told, each from the same place of its reply on."""
    return Mass(*add_sums(replies, start, 2))


def _products(numbers: Row, below: Row) -> Row:
    """w · (max − z), 0 where w is."""
    products: Row = np.where(numbers > 0.0, numbers * np.minimum(below, 1e3), 0.0)
    return products


def part_of(logits: Row, first: int, rank: int) -> RowPart:
    """The part of a row: the slice of one process, whose first token id is `first`."""
    ids: NDArray[Any] = np.arange(first, first + len(logits))
    alive = logits > -np.inf
    candidates = Candidates(ids, logits)
    return RowPart(rank, candidates if alive.all() else candidates.only(alive))
