"""Timing: runs several implementations in turn and reports medians and spreads."""

from __future__ import annotations

import gc
import math
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

Step: TypeAlias = Callable[[int], object]
"""One call, given its number, which says what is new about it."""
Clock: TypeAlias = Callable[[], int]
"""Nanoseconds since some moment."""

ROUNDS = 5
_FEWEST_ROUNDS = 2
_MOST_CALLS = 4000


@dataclass(frozen=True, slots=True)
class Timing:
    """Nanoseconds a call.

    spread: the distance between the quartiles, divided by the median.
    """

    median: float
    spread: float
    calls: int


def measure(
    steps: Mapping[str, Step],
    *,
    seconds: float,
    rounds: int = ROUNDS,
    clock: Clock = time.perf_counter_ns,
) -> dict[str, Timing]:
    """Time every step for about `seconds`, in rounds in which each has a block of its own.

    The first call of a step warms it up: a peer may compile in it. Where the second takes longer
    than `seconds`, too, there is no third, and both count. The garbage collector is off.

    clock: `time.process_time_ns` counts what this process computes, in all its threads, and not how
        long other programs kept it waiting.
    """
    with _no_garbage_collection():
        plans = {name: _plan(step, seconds, rounds, clock) for name, step in steps.items()}
        spent = {name: list(plan.spent) for name, plan in plans.items()}
        for number in range(rounds):
            for name, step in steps.items():
                if number < plans[name].rounds:
                    spent[name] += _block(step, plans[name].calls, clock)
    return {name: _timing(times) for name, times in spent.items()}


def peak_bytes(step: Step) -> int:
    """The most memory that Python and NumPy held beyond the start of one call, not the first.

    What compiled code and torch allocate is not seen.
    """
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        step(1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return max(0, peak - before)


class _Plan(NamedTuple):
    """How many rounds a step has, of how many calls, and the times that count already."""

    rounds: int
    calls: int
    spent: list[int]


def _plan(step: Step, seconds: float, rounds: int, clock: Clock) -> _Plan:
    budget = seconds * 1e9
    first, cost = _block(step, 2, clock)
    if min(first, cost) > budget:
        return _Plan(0, 0, [first, cost])
    affordable = budget / max(cost, 1)
    own_rounds = min(rounds, max(_FEWEST_ROUNDS, math.ceil(affordable)))
    return _Plan(own_rounds, min(_MOST_CALLS, max(1, round(affordable / own_rounds))), [])


def _block(step: Step, calls: int, clock: Clock) -> list[int]:
    times = []
    for number in range(calls):
        start = clock()
        step(number)
        times.append(clock() - start)
    return times


def _timing(times: list[int]) -> Timing:
    low, median, high = np.quantile(times, (0.25, 0.5, 0.75))
    return Timing(float(median), float((high - low) / median), len(times))


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
