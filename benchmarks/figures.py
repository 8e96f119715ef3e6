"""One measurement: checks every implementation of a problem, then times all in turn."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Protocol

from benchmarks import peer_checks
from benchmarks.checks import Expected, Output
from benchmarks.harness import ROUNDS, Step, Timing, measure, peak_bytes
from benchmarks.ours import OURS, OurStep, UnavailableError
from benchmarks.peers import PeerStep, open_peer
from benchmarks.results import FLOOR
from benchmarks.workloads import Problem, make_problem


class Case(NamedTuple):
    """What is measured; every implementation has a figure for it."""

    workload: str
    logits: str
    vocab: int
    batch: int
    dtype: str


class OwnStep(Protocol):
    """An implementation of ours on one problem."""

    def __call__(self, number: int) -> Any:  # tokens or samples
        """One step."""
        ...

    def output(self) -> list[Output]:
        """What is checked."""
        ...


OpenOwn = Callable[[Problem], OwnStep]
OpenPeer = Callable[[Problem], PeerStep]


class Absence(NamedTuple):
    """An implementation without a figure, and why."""

    implementation: str
    workload: str
    reason: str


def measure_case(
    case: Case,
    own: Mapping[str, OpenOwn],
    peers: Mapping[str, OpenPeer],
    *,
    seconds: float,
    rounds: int = ROUNDS,
) -> tuple[list[dict[str, Any]], list[Absence]]:
    """The rows of a case as they stand in the JSON file, and who is absent.

    A row whose check fails has an `error` and no figures; nothing of it is timed.
    """
    workload, kind, width, batch, dtype = case
    problem = make_problem(workload, kind=kind, batch=batch, width=width, dtype=dtype)
    expected = Expected(problem)
    steps: dict[str, Step] = {FLOOR: _Floor(problem)}
    errors: dict[str, str] = {}
    absent: list[Absence] = []

    def check_own(step: OwnStep) -> str | None:
        return expected.own_error(kind, dtype) or expected.difference(step.output())

    def check_peer(step: PeerStep) -> str | None:
        return peer_checks.difference(problem, step)

    checked: list[tuple[str, Callable[[Problem], Any], Callable[[Any], str | None]]] = [
        *((name, open_step, check_own) for name, open_step in own.items()),
        *((name, open_step, check_peer) for name, open_step in peers.items()),
    ]
    for name, open_step, check in checked:
        try:
            step = open_step(problem)
            error = check(step)
        except UnavailableError as reason:
            absent.append(Absence(name, workload, str(reason)))
        except Exception as raised:  # one that fails must not end the others
            errors[name] = f"raised {type(raised).__name__}: {raised}"
        else:
            if error is None:
                steps[name] = step
            else:
                errors[name] = error
    timings = measure(steps, seconds=seconds, rounds=rounds)
    rows = [_figure(case, name, timings, steps, peers) for name in timings]
    rows += [_failure(case, name, error) for name, error in errors.items()]
    return rows, absent


def own_openers(
    names: Sequence[str], case: Case, threads: int, *, every_batch: bool
) -> dict[str, OpenOwn]:
    """Ours that a case has, each with at least so many threads.

    every_batch: whether batches are measured that take seconds.
    """
    found: dict[str, OpenOwn] = {}
    for name in names:
        item = OURS[name]
        if item.smallest_batch <= case.batch and (every_batch or case.batch <= item.usual_batch):
            threaded = replace(item, threads=max(item.threads, threads))
            found[name] = partial(OurStep, implementation=threaded)
    return found


def peer_openers(names: Sequence[str], case: Case, threads: int) -> dict[str, OpenPeer]:
    """The peers that a case has: they compute in float32, and are asked for what they describe."""
    is_compared = case.dtype == "float32" and case.workload != "draw"
    compared = names if is_compared else ()
    return {name: partial(open_peer, name, threads=threads) for name in compared}


class _Floor:
    """The largest logit of every row: each is read once."""

    def __init__(self, problem: Problem) -> None:
        self._rows = list(problem.rows)

    def __call__(self, number: int) -> None:
        del number
        for row in self._rows:
            row.max()


def _figure(
    case: Case,
    name: str,
    timings: Mapping[str, Timing],
    steps: Mapping[str, Step],
    peers: Mapping[str, OpenPeer],
) -> dict[str, Any]:
    timing = timings[name]
    ours = name not in peers and name != FLOOR
    return {
        **_key(case, name),
        "us_per_row": round(timing.median / 1000 / case.batch, 3),
        "spread": round(timing.spread, 3),
        "calls": timing.calls,
        "x_floor": round(timing.median / timings[FLOOR].median, 2),
        "faster_than": {
            peer: round(timings[peer].median / timing.median, 2)
            for peer in peers
            if ours and peer in timings
        },
        "peak_bytes": peak_bytes(steps[name]) if ours else None,
    }


def _failure(case: Case, name: str, error: str) -> dict[str, Any]:
    figures = dict.fromkeys(("us_per_row", "spread", "calls", "x_floor", "peak_bytes"))
    print(f"wrong: {name}, {case}: {error}", file=sys.stderr)
    return {**_key(case, name), **figures, "faster_than": {}, "error": error}


def _key(case: Case, name: str) -> dict[str, Any]:
    return {**case._asdict(), "implementation": name}
