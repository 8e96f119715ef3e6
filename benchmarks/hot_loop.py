"""Benchmark of one decoding step: this library and its peers on all workloads.

Without options it measures what the goals speak of, in some ten minutes: gaussian and real logits
at every batch size and, at batch 1, in bfloat16; the other kinds at batch 1, and all of them also
at the width of real logits; and what a row costs that joins or leaves a batch. An option for batch
sizes or dtypes holds for everything. On hostile rows, and for a drawn token alone, there are no
peers.

Exits with 1 if a check failed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import goals, machine, report, threads
from benchmarks.figures import Absence, Case, measure_case, own_openers, peer_openers
from benchmarks.logits import HOSTILE_KINDS, KINDS, captured
from benchmarks.membership import change_cost
from benchmarks.ours import OURS
from benchmarks.peers import PEERS
from benchmarks.results import TWO_THREADS
from benchmarks.workloads import MIXED, NAMES
from decoding import DecodingError


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the JSON file."""
    options = _parser().parse_args(arguments)
    measured_on = machine.describe(options.threads)
    rows: list[dict[str, Any]] = []
    absences: list[Absence] = []
    kinds = list(options.logits)
    real_width = None
    if "real" in kinds:
        try:
            real_width = captured(max(options.batch or [1])).shape[1]
        except (DecodingError, ImportError, ValueError) as error:
            absences.append(Absence("real logits", "every workload", str(error)))
            kinds.remove("real")
    compared = dict.fromkeys(_cases(options, kinds, real_width))
    alone = dict.fromkeys(_hostile_cases(options)) if options.hostile else {}
    chosen = list(compared | alone)
    for number, case in enumerate(chosen, 1):
        print(f"{number}/{len(chosen)} {' '.join(map(str, case))}", file=sys.stderr, flush=True)
        every_batch = options.batch is not None
        own = own_openers(options.implementations, case, options.threads, every_batch=every_batch)
        peers = peer_openers(options.peers if case in compared else [], case, options.threads)
        try:
            figures, missing = measure_case(
                case, own, peers, seconds=options.seconds, rounds=options.rounds
            )
        except ImportError as error:
            absences.append(Absence(case.dtype, case.workload, str(error)))
            continue
        rows += figures
        absences += missing
    membership = _membership(options)
    absent = _grouped(absences)
    print(report.tables(rows, options.peers))
    print(report.errors(rows))
    if absent:
        print("\n" + report.absences(absent))
    verdicts = [*goals.verdicts(rows), goals.change_verdict(membership.get("us_per_change"))]
    limits = {}
    if any(row["implementation"] == TWO_THREADS for row in rows):
        limits = threads.gains(
            options.vocab, goals.BATCH, seconds=options.seconds, rounds=options.rounds
        )
        verdicts += goals.compared(limits)
    print("\n" + report.goals(verdicts))
    if options.json is not None:
        result = {"machine": measured_on, "rows": rows, "absent": absent}
        result["membership"], result["two_threads"] = membership, limits
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return int(any("error" in row for row in rows))


def _membership(options: Any) -> dict[str, Any]:
    """What `change_cost` says; why it says nothing where Numba is not installed."""
    try:
        return change_cost(seconds=options.seconds, rounds=options.rounds)
    except ImportError as error:
        return {"absent": str(error)}


def _cases(options: Any, kinds: list[str], real_width: int | None) -> Iterator[Case]:
    for kind in kinds:
        widths = [real_width] if kind == "real" else [options.vocab, real_width]
        for width in filter(None, widths):
            main = kind == "real" or (kind == "gaussian" and width == options.vocab)
            batches = options.batch or ((1, 8, 64) if main else (1,))
            for dtype in options.dtype or (("float32", "bfloat16") if main else ("float32",)):
                for batch in batches if options.dtype or dtype == "float32" else batches[:1]:
                    for name in options.workloads:
                        if name != MIXED or batch > 1:
                            yield Case(name, kind, width, batch, dtype)


def _hostile_cases(options: Any) -> Iterator[Case]:
    """Rows that are hard, and gaussian ones to compare them with."""
    names = [name for name in options.workloads if name != MIXED]
    for kind in ("gaussian", *HOSTILE_KINDS):
        for name in names:
            # Denormal logits are equally likely: rounding alone says how typical each is.
            if (name, kind) != ("typical", "denormal"):
                yield Case(name, kind, options.vocab, 1, "float32")
    for width in goals.HOSTILE_WIDTHS:
        yield from (Case(name, "gaussian", width, 1, "float32") for name in names)


def _grouped(absences: Sequence[Absence]) -> list[dict[str, Any]]:
    """One entry for every implementation and reason."""
    workloads: dict[tuple[str, str], dict[str, None]] = {}
    for name, workload, reason in absences:
        workloads.setdefault((name, reason), {})[workload] = None
    return [
        {"implementation": name, "reason": reason, "workloads": list(items)}
        for (name, reason), items in workloads.items()
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hot_loop", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="F", help="where to write the results")
    parser.add_argument("--vocab", type=int, default=128_256, help="tokens of a row")
    parser.add_argument("--batch", type=integers, help="batch sizes")
    parser.add_argument("--workloads", type=some_of(NAMES), default=list(NAMES))
    parser.add_argument("--peers", type=some_of(tuple(PEERS)), default=list(PEERS))
    parser.add_argument("--logits", type=some_of(KINDS), default=list(KINDS))
    parser.add_argument("--dtype", type=some_of(("float32", "bfloat16")))
    parser.add_argument("--implementations", type=some_of(tuple(OURS)), default=list(OURS))
    parser.add_argument("--threads", type=int, default=1, help="of peers and of ours")
    parser.add_argument("--seconds", type=float, default=0.3, help="for each figure")
    parser.add_argument("--rounds", type=int, default=5, help="in which all take turns")
    parser.add_argument("--hostile", action="store_true", help="rows that are hard, too")
    return parser


def integers(text: str) -> list[int]:
    """A type of argument: integers, separated by commas."""
    return [int(item) for item in text.split(",")]


def some_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A type of argument: some of the known names, separated by commas; none where empty."""

    def parse(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return names

    return parse


if __name__ == "__main__":
    sys.exit(main())
