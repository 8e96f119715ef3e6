"""Summaries of the mask benchmark, and their table in README.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from benchmarks.mask_cases import Case

BEGIN, END = "<!-- masks:begin -->", "<!-- masks:end -->"

Answers: TypeAlias = Mapping[str, Mapping[str, Any]]
"""A worker's answer by the name of the case."""


def summary(answers: Answers, cases: Sequence[Case], limit_s: float) -> dict[str, Any]:
    """The figures of one engine; a schema that took too long to compile counts with the limit."""
    compiled = [case for case in cases if _compiled(answers[case.name])]
    tested = [case for case in cases if case.texts]
    walked = [answers[case.name] for case in compiled if "failed" not in answers[case.name]]
    late = [
        answer
        for answer in answers.values()
        if answer.get("failed") == "time" and answer["stage"] == "compile"
    ]
    compile_ms = [answers[case.name]["compile_ns"] / 1e6 for case in compiled]
    wrong = [case.name for case in compiled if answers[case.name].get("wrong")]
    passing = [
        case for case in tested if _compiled(answers[case.name]) and _right(answers[case.name])
    ]
    cold_ns = sum(
        answer.get("compile_ns", 0) + sum(answer.get("mask_ns", ())) for answer in answers.values()
    )
    return {
        "schemas": len(cases),
        "compiled": len(compiled),
        "tested": len(tested),
        "passing": len(passing),
        "wrong": wrong,
        "mismatches": sum(answer["mismatches"] for answer in walked),
        "refused": {
            name: found["refused"] for name, found in answers.items() if "refused" in found
        },
        "failed": {
            name: f"{found['stage']}: {found['failed']}"
            for name, found in answers.items()
            if "failed" in found
        },
        "compile_ms": _spread([*compile_ms, *(1e3 * limit_s for _ in late)]),
        "mask_us": _spread(_microseconds(walked, "mask_ns")),
        "again_us": _spread(_microseconds(walked, "again_ns")),
        "advance_us": _spread(_microseconds(walked, "advance_ns")),
        "cold_s": cold_ns / 1e9 + limit_s * len(late),
    }


def ratios(ours: Answers, theirs: Answers) -> dict[str, float]:
    """How many times as long a peer takes as we do, over the schemas that both finish."""
    both = [
        name
        for name, answer in ours.items()
        if "mask_ns" in answer and "mask_ns" in theirs.get(name, {})
    ]
    mine, yours = ([answers[name] for name in both] for answers in (ours, theirs))
    found: dict[str, float] = {"schemas": len(both)}
    for shown, key in (("mask", "mask_ns"), ("mask again", "again_ns")):
        pairs = [_spread(_microseconds(answers, key)) for answers in (mine, yours)]
        for name in ("mean", "p50", "p99"):
            found[f"{shown} {name}"] = _over(pairs[1][name], pairs[0][name])
    compiles = [[answer["compile_ns"] for answer in answers] for answers in (mine, yours)]
    found["compile p50"] = _over(_median(compiles[1]), _median(compiles[0]))
    totals = [
        sum(answer["compile_ns"] + sum(answer["mask_ns"]) for answer in answers)
        for answers in (mine, yours)
    ]
    found["cold total"] = _over(totals[1], totals[0])
    return found


def table(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The header and the lines that a terminal and README.md show."""
    engines = results["engines"]
    header = ["", *engines]
    lines = [[shown, *(show(figures) for figures in engines.values())] for shown, show in _ROWS]
    return header, lines


def render(results: Mapping[str, Any]) -> str:
    """README.md's table of masks, with what it was measured on."""
    machine, floor = results["machine"], results["floor"]
    versions = [
        f"{name} {machine[name]}" for name in ("numba", "llguidance", "xgrammar") if machine[name]
    ]
    header, lines = table(results)
    ruler = ["---", *("---:" for _ in header[1:])]
    rows = "\n".join(f"| {' | '.join(line)} |" for line in (header, ruler, *lines))
    return (
        f"Measured on {machine['date']} at {machine['commit']}: {machine['cpu']}, one thread;"
        f" Python {machine['python']}, {', '.join(versions)}. {results['schemas']:,} schemas"
        f" ({results['cases']}), {results['tokens']:,} tokens. Times are of the thread's processor;"
        f" asking the clock takes {floor['clock_us']:.1f} µs of each, and copying a mask takes"
        f" {floor['copy_us']:.1f} µs, below which no engine can be.\n\n{rows}\n"
    )


def _compiled(answer: Mapping[str, Any]) -> bool:
    return "refused" not in answer and "compile_ns" in answer


def _right(answer: Mapping[str, Any]) -> bool:
    return "failed" not in answer and answer["wrong"] == 0


def _microseconds(answers: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    return [nanoseconds / 1e3 for answer in answers for nanoseconds in answer[key]]


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Mean and quantiles; nothing of nothing."""
    if not values:
        return dict.fromkeys(("mean", "p50", "p90", "p99", "max"), float("nan"))
    quantiles = np.quantile(values, (0.5, 0.9, 0.99, 1)).tolist()
    named = dict(zip(("p50", "p90", "p99", "max"), quantiles, strict=True))
    return {"mean": float(np.mean(values)), **named}


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else float("nan")


def _over(theirs: float, ours: float) -> float:
    return theirs / ours if ours else float("nan")


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _times(figures: Mapping[str, Any], kind: str, names: Sequence[str]) -> str:
    return " / ".join(_number(figures[kind][name]) for name in names)


def _number(value: float) -> str:
    if not np.isfinite(value):
        return "–"
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


_ROWS = (
    ("schemas that compile", lambda found: _share(found["compiled"], found["schemas"])),
    ("schemas that pass, of those with texts",
     lambda found: _share(found["passing"], found["tested"])),
    ("schemas with a wrong verdict", lambda found: str(len(found["wrong"]))),
    ("mask, schema never seen: mean / p50 / p99 µs",
     lambda found: _times(found, "mask_us", ("mean", "p50", "p99"))),
    ("mask, same schema again: mean / p50 / p99 µs",
     lambda found: _times(found, "again_us", ("mean", "p50", "p99"))),
    ("compile: p50 / p99 / max ms",
     lambda found: _times(found, "compile_ms", ("p50", "p99", "max"))),
    ("all schemas, cold: compile and masks, s", lambda found: _number(found["cold_s"])),
)  # fmt: skip
