"""Benchmark results as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from benchmarks.goals import Verdict

GOAL_HEADER = ("workload", "goal, × floor", "× floor", "what it needs, × floor", "these are")
_HEADER = ("workload", "implementation", "µs/row", "spread", "× floor", "peak bytes")


def tables(rows: Sequence[Mapping[str, Any]], peers: Sequence[str]) -> str:
    """A table for every kind of logits, width, dtype and batch size."""

    def place(row: Mapping[str, Any]) -> tuple[Any, ...]:
        return row["logits"], row["vocab"], row["dtype"], row["batch"]

    parts = []
    for (logits, vocab, dtype, batch), group in groupby(rows, key=place):
        header = [*_HEADER, *(f"vs {peer}" for peer in peers)]
        lines = table(header, (_cells(row, peers) for row in group))
        parts.append(f"{logits}, {vocab:,} tokens, {dtype}, batch {batch}\n{lines}")
    return "\n\n".join(parts)


def errors(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line a failed check; nothing where none failed."""
    places = ("implementation", "workload", "logits", "vocab", "dtype", "batch")
    lines = [[*(str(row[name]) for name in places), row["error"]] for row in rows if "error" in row]
    return "\n" + table((*places, "what is wrong"), lines) + "\n" if lines else ""


def goals(verdicts: Sequence[Verdict]) -> str:
    """One line a goal."""
    cells = (
        (
            verdict.goal,
            verdict.logits,
            verdict.wanted,
            _number(verdict.value),
            _result(verdict),
        )
        for verdict in verdicts
    )
    return table(("goal", "logits", "wanted", "measured", ""), cells)


def _result(verdict: Verdict) -> str:
    if verdict.met is None:
        return "not measured" if verdict.value is None else "for comparison"
    return "met" if verdict.met else "NOT met"


def absences(absent: Sequence[Mapping[str, Any]]) -> str:
    """One line an implementation and reason."""
    cells = ((item["implementation"], item["reason"], item["workloads"]) for item in absent)
    return table(("absent", "because", "workloads"), ((*a, ", ".join(b)) for *a, b in cells))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns of equal width."""
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cells(row: Mapping[str, Any], peers: Sequence[str]) -> list[str]:
    name = [row["workload"], row["implementation"]]
    if row.get("error"):
        return [*name, "ERROR", *("" for _ in _HEADER[3:]), *("" for _ in peers)]
    figures = [f"{row['us_per_row']:,.1f}", f"{row['spread']:.0%}", _number(row["x_floor"])]
    peak = "" if row["peak_bytes"] is None else f"{row['peak_bytes']:,}"
    ratios = [_number(row["faster_than"].get(peer)) for peer in peers]
    return [*name, *figures, peak, *ratios]


def _number(value: float | None) -> str:
    """Two digits below ten, else as many as stand before the point."""
    if value is None:
        return ""
    return f"{value:.2g}" if abs(value) < 10 else f"{value:,.0f}"


def goal_cells(goals: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """A line a workload of `benchmarks.parts`: its goal, its cost, and the sum of what it needs."""
    return [
        [
            goal["workload"],
            f"{goal['goal']:g}",
            f"{goal['x_floor']:.1f}",
            f"{goal['x_floor_of_needs']:.1f}",
            "; ".join(goal["needs"]),
        ]
        for goal in goals
    ]
