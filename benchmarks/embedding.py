"""Benchmark of the adapters: what a step of ours adds to an engine, and what its own sampler takes.

Both get the same rows and parameters (`benchmarks.embedding_given`) and take turns in one call.
Before anything is timed, ours must leave the tokens that `BatchSampler` alone draws from these rows
(a processor: the tokens that the pipeline keeps by definition), and the engine's own sampler must
keep to the tokens that its parameters leave. An engine that is not installed is named with the
reason. The floor is one `max` over each row: each logit is read once. Times are those that the
process computes: on a busy machine the waits of steps of milliseconds would hide the steps.

Exits with 1 if a check failed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, report
from benchmarks.embedding_engines import ENGINES
from benchmarks.embedding_given import AbsentError, Engine, Side
from benchmarks.harness import ROUNDS, Step, measure
from benchmarks.hot_loop import integers, some_of
from decoding.errors import MissingDependencyError
from decoding.sampling.backends import warmup

VOCABULARY = 49_152
OURS, ITS_OWN, FLOOR = "ours", "its own", "floor"


def measure_engine(
    name: str, engine: Engine, batch: int, vocab: int, *, seconds: float, rounds: int = ROUNDS
) -> tuple[list[dict[str, Any]], str | None]:
    """The rows of an engine and batch size as they stand in the JSON file; why a side is absent.

    A side whose check fails has an `error` and no figures; nothing of it is timed.
    """
    given = engine.given(batch, vocab)
    sides: dict[str, Side] = {}
    absent: list[str] = []
    for side, make in ((OURS, engine.ours), (ITS_OWN, engine.its_own)):
        try:
            sides[side] = make(given)
        except AbsentError as reason:
            absent.append(f"{side}: {reason}")
    faults = {side: item.fault() for side, item in sides.items()}
    steps: dict[str, Step] = {FLOOR: lambda _: [row.max() for row in given.rows]}
    steps |= {side: item.step for side, item in sides.items() if faults[side] is None}
    timings = measure(steps, seconds=seconds, rounds=rounds, clock=time.process_time_ns)
    floor = timings.pop(FLOOR).median
    rows: list[dict[str, Any]] = []
    for side in sides:
        row: dict[str, Any] = {
            "engine": name, "call": engine.calls, "implementation": side, "batch": batch,
            "vocab": vocab, "us_per_step": None, "spread": None, "x_floor": None,
        }  # fmt: skip
        if side in timings:
            timing = timings[side]
            row["us_per_step"] = round(timing.median / 1e3, 2)
            row["spread"] = round(timing.spread, 3)
            row["x_floor"] = round(timing.median / floor, 2)
        else:
            row["error"] = faults[side]
            print(f"wrong: {name}, {side}, batch {batch}: {faults[side]}", file=sys.stderr)
        rows.append(row)
    return rows, "; ".join(absent) or None


def cells(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """A line for each engine and batch size: ours, its own, their ratio, and ours in floors."""
    found: dict[tuple[str, int], dict[str, dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["engine"], row["batch"]), {})[row["implementation"]] = row
    lines = []
    for (engine, batch), sides in found.items():
        ours, own = (_figure(sides, side, "us_per_step") for side in (OURS, ITS_OWN))
        ratio = own / ours if ours and own else None
        floors = _figure(sides, OURS, "x_floor")
        lines.append([engine, str(batch), *map(_shown, (ours, own, ratio, floors))])
    return lines


HEADER = ("engine", "batch", "ours, µs", "its own, µs", "its own / ours", "ours, × floor")


def _figure(sides: dict[str, dict[str, Any]], side: str, name: str) -> float | None:
    return sides[side][name] if side in sides else None


def _shown(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, measure, print, and write the JSON file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embedding", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="F", help="where to write the results")
    parser.add_argument("--vocab", type=int, default=VOCABULARY, help="tokens of a row")
    parser.add_argument("--batch", type=integers, default=[1, 8, 32], help="batch sizes")
    parser.add_argument("--engines", type=some_of(tuple(ENGINES)), default=list(ENGINES))
    parser.add_argument("--seconds", type=float, default=0.5, help="for each figure")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="in which all take turns")
    options = parser.parse_args(arguments)
    _prepare()
    rows: list[dict[str, Any]] = []
    absent: dict[str, str] = {}
    for name in options.engines:
        for batch in options.batch:
            found, reason = measure_engine(
                name, ENGINES[name], batch, options.vocab,
                seconds=options.seconds, rounds=options.rounds,
            )  # fmt: skip
            rows += found
            if reason is not None:
                absent[name] = reason
    print(report.table(HEADER, cells(rows)))
    for name, reason in absent.items():
        print(f"absent: {name}, {reason}")
    if options.json is not None:
        result = {
            "machine": machine.describe(1),
            "rows": rows,
            "absent": [{"engine": name, "reason": reason} for name, reason in absent.items()],
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return int(any("error" in row for row in rows))


def _prepare() -> None:
    """Compiled kernels, where there is a compiler, and one thread for torch, where it is."""
    with contextlib.suppress(MissingDependencyError):
        warmup()
    with contextlib.suppress(ImportError):
        import torch

        torch.set_num_threads(1)


if __name__ == "__main__":
    sys.exit(main())
