"""Benchmark of token masks for JSON Schemas: this engine and its peers on the same texts.

    python -m benchmarks.masks [--tokenizer DIR] [--cases DIR] [--engines ours,llguidance,...]

DIR of the tokenizer holds a byte-level `tokenizer.json` and `tokenizer_config.json`, by default it
is SmolLM2's; DIR of the cases holds files of MaskBench, by default there is a small set of our own.
The engines take turns at each case, each in a process of its own that is killed when a case takes
too long. A text is accepted if every one of its tokens was allowed and it may end there; every mask
is compared with what `advance` says of the next token. All texts are walked once, their schema
never seen before, and once more. Times are thread CPU times.

`interpreted` is this engine where there is no Numba. Exits with 1 if a verdict or a mask of ours is
wrong. `Engine` is this engine for other scorers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.mask_cases import BUILT_IN, Case, read_cases
from benchmarks.mask_engines import ENGINES, INTERPRETED, OURS, Engine
from benchmarks.mask_scores import ratios, summary, table
from benchmarks.mask_worker import Worker
from benchmarks.report import table as columns

__all__ = ["Engine"]


def measure(
    workers: Mapping[str, Worker], cases: Sequence[Case]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Every engine's answer to every case; who comes first at a case changes."""
    names = list(workers)
    answers: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in names}
    for number, case in enumerate(cases):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            answers[name][case.name] = workers[name].run(case)
        _progress(number + 1, len(cases))
    return answers


def report(results: Mapping[str, Any]) -> str:
    """All of it for a terminal."""
    parts = [columns(*table(results))]
    for peer, found in results["ratios"].items():
        shown = ", ".join(
            f"{name} {value:.2f}" for name, value in found.items() if name != "schemas"
        )
        parts.append(f"{peer} takes times as long as ours on {found['schemas']} schemas: {shown}")
    floor = results["floor"]
    parts.append(
        f"floor: {floor['copy_us']:.2f} µs to copy a mask, {floor['clock_us']:.2f} µs for the clock"
    )
    for name, found in results["engines"].items():
        parts.append(
            f"{name}: {found['mismatches']} masks that advance contradicts;"
            f" wrong: {', '.join(found['wrong']) or 'none'};"
            f" failed: {', '.join(found['failed']) or 'none'}; {len(found['refused'])} refused"
        )
    return "\n\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.masks", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--tokenizer", type=Path, help="a folder; SmolLM2's if absent")
    parser.add_argument("--cases", type=Path, help="a folder; a small set of our own if absent")
    parser.add_argument("--engines", default=",".join(ENGINES), help="comma-separated")
    parser.add_argument("--limit", type=float, default=20.0, help="seconds to compile, or to walk")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args(arguments)
    names = options.engines.split(",")
    if not set(names) <= ENGINES.keys():
        parser.error(f"--engines must be of {', '.join(ENGINES)}, got {options.engines}")
    cases = list(BUILT_IN) if options.cases is None else read_cases(options.cases)
    workers = {name: Worker.of_engine(name, options.tokenizer, options.limit) for name in names}
    try:
        started = [worker.start() for worker in workers.values()]
        answers = measure(workers, cases)
    finally:
        for worker in workers.values():
            worker.stop()
    results = {
        "machine": machine.describe(1),
        "cases": "built in" if options.cases is None else options.cases.resolve().name,
        "schemas": len(cases),
        "tokens": started[0]["tokens"],
        "limit_s": options.limit,
        "floor": {name: started[0][name] for name in ("copy_us", "clock_us")},
        "engines": {name: summary(answers[name], cases, options.limit) for name in names},
        "ratios": {
            name: ratios(answers[OURS], answers[name])
            for name in names
            if OURS in names and name != OURS
        },
    }
    print(report(results))
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    ours = [results["engines"][name] for name in (OURS, INTERPRETED) if name in names]
    return int(any(found["wrong"] or found["mismatches"] for found in ours))


def _progress(done: int, count: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done}/{count}", end="\n" if done == count else "", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
