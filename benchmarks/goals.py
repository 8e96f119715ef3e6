"""Performance goals, and whether measured figures meet them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from benchmarks.logits import HOSTILE_KINDS
from benchmarks.results import FLOOR, TWO_THREADS, Figures, Place, Row
from benchmarks.workloads import MIXED, WORKLOADS


class Target(NamedTuple):
    """At most so many floors; so many times faster than a peer, at least."""

    x_floor: float
    llama_cpp: float | None
    transformers: float | None


TARGETS = {
    "greedy": Target(1.9, 12, None),
    "draw": Target(5, None, None),
    "temperature": Target(9, 12, 40),
    "min_p": Target(5, None, 70),
    "chain": Target(6, 13, 130),
    "top_p": Target(11, None, 120),
    "typical": Target(16, None, 110),
    "everything": Target(10, None, 110),
}
BATCH = 64
BATCHED = 1.2
"""A row of a batch costs at most so many times one alone, both over their own floor: that of a
batch is read from memory."""
SPEEDUP = 1.8
HALF_PRECISION = 1.1
"""bfloat16 against float32: as fast, but for the noise."""
FLAT_OR_TIES = 1.5
CHANGE_US = 60.0
"""Microseconds by which a row that joins or leaves a batch of 32 delays a step."""
HOSTILE = 5.0
HOSTILE_WIDTHS = (1, 2**20)
MEMORY = 1.0
"""Of a step, in bytes a token of the vocabulary: less than any array of its size."""


class Verdict(NamedTuple):
    """A goal and what was measured; None where nothing was.

    A figure without a goal, for comparison with one, wants nothing and is not met or missed.
    """

    goal: str
    logits: str
    wanted: str
    value: float | None
    met: bool | None


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Every goal, in the order of the workloads, then of the batches and the kinds of rows."""
    figures = Figures(rows)
    found: list[Verdict] = []
    for place in figures.main_places():
        found += [*_targets(figures, place), *_batches(figures, place)]
    return [*found, *_relative(figures)]


def change_verdict(us_per_change: float | None) -> Verdict:
    """The goal for a row that joins or leaves a batch."""
    return _at_most("a row joins or leaves a batch of 32, µs", "", CHANGE_US, us_per_change)


def compared(figures: Mapping[str, float]) -> list[Verdict]:
    """Figures that say what this machine allows."""
    return [Verdict(name, "", "", value, None) for name, value in figures.items()]


def _targets(figures: Figures, place: Place) -> Iterator[Verdict]:
    for workload, target in TARGETS.items():
        row = figures.find(workload, place)
        value = None if row is None else row["x_floor"]
        yield _at_most(f"{workload}, × floor", place.logits, target.x_floor, value)
        for peer in ("llama_cpp", "transformers"):
            wanted = getattr(target, peer)
            if wanted is not None:
                value = None if row is None else row["faster_than"].get(peer)
                name = f"{workload}, × faster than {peer}"
                yield _at_least(name, place.logits, wanted, value)


def _batches(figures: Figures, place: Place) -> Iterator[Verdict]:
    alone = [figures.floors(item.name, place) for item in WORKLOADS.values() if not item.alone]
    together = figures.floors(MIXED, place, batch=BATCH) * len(alone) / sum(alone)
    one = figures.cost(MIXED, place, batch=BATCH)
    doubled = figures.cost(MIXED, place, batch=BATCH, implementation=TWO_THREADS)
    name, logits = f"{MIXED}, batch {BATCH}", place.logits
    yield _at_most(f"{name}, floors a row: × alone", logits, BATCHED, together)
    yield _at_least(f"{name}, two threads: × one", logits, SPEEDUP, one / doubled)
    floors = [figures.cost(MIXED, place, batch=BATCH, implementation=FLOOR)]
    floors += [figures.cost(item.name, place, implementation=FLOOR) for item in WORKLOADS.values()]
    if not math.isnan(sum(floors)):
        rows_floor = floors[0] * len(floors[1:]) / sum(floors[1:])
        yield Verdict(f"{name}, to read a row: × alone", logits, "", rows_floor, None)
    halves = [
        figures.cost(name, place, dtype="bfloat16") / figures.cost(name, place)
        for name in WORKLOADS
    ]
    yield _at_most("slowest in bfloat16, × float32", logits, HALF_PRECISION, _worst(halves))
    found = [figures.find(name, place) for name in WORKLOADS]
    peaks = [row["peak_bytes"] / place.vocab for row in found if row is not None]
    yield _at_most("most memory a step, bytes a token", logits, MEMORY, _worst(peaks))


def _relative(figures: Figures) -> Iterator[Verdict]:
    limits = {"flat": FLAT_OR_TIES, "ties": FLAT_OR_TIES} | dict.fromkeys(HOSTILE_KINDS, HOSTILE)
    for logits, limit in limits.items():
        for place in figures.places(logits):
            value = _worst(_ratios(figures, place, Place("gaussian", place.vocab)))
            yield _at_most(f"slowest, × gaussian, {place.vocab:,} tokens", logits, limit, value)
    usual = figures.main_places()[:1]
    for place in figures.places("gaussian"):
        if place.vocab in HOSTILE_WIDTHS and usual:
            scale = max(1.0, place.vocab / usual[0].vocab)
            value = _worst([ratio / scale for ratio in _ratios(figures, place, usual[0])])
            name = f"slowest at {place.vocab:,} tokens, × {usual[0].vocab:,}"
            unit = ", a token" if scale > 1.0 else ""
            yield _at_most(f"{name}{unit}", place.logits, HOSTILE, value)


def _ratios(figures: Figures, place: Place, usual: Place) -> list[float]:
    """Every workload's cost over that at another place."""
    return [figures.cost(name, place) / figures.cost(name, usual) for name in WORKLOADS]


def _worst(values: Sequence[float]) -> float | None:
    """The largest that is there."""
    return max((value for value in values if not math.isnan(value)), default=None)


def _at_most(goal: str, logits: str, limit: float, value: float | None) -> Verdict:
    there = value is not None and not math.isnan(value)
    met = value <= limit if value is not None and there else None
    return Verdict(goal, logits, f"≤ {limit:g}", value if there else None, met)


def _at_least(goal: str, logits: str, limit: float, value: float | None) -> Verdict:
    there = value is not None and not math.isnan(value)
    met = value >= limit if value is not None and there else None
    return Verdict(goal, logits, f"≥ {limit:g}", value if there else None, met)
