"""Tables of the long checks: the laws of processors, and masks against an exact oracle.

`benchmarks.law_run` and `benchmarks.mask_yardstick` write the results, `benchmarks.tables` puts
these tables into `docs/testing.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

LAW_MARKS = "<!-- laws:begin -->", "<!-- laws:end -->"
MASK_MARKS = "<!-- exact masks:begin -->", "<!-- exact masks:end -->"

FOR_NOTHING = "compiled, though nothing is valid"
"""What becomes of a schema without a valid value that an engine compiles all the same."""

Engine = Mapping[str, Any]
"""An engine's counts: by what became of schemas, and of tokens."""


def counted(count: str, name: str) -> Callable[[Engine], int]:
    """One count of an engine; counts of 0 are not written down."""
    return lambda engine: int(engine[count].get(name, 0))


ROWS: tuple[tuple[str, Callable[[Engine], int]], ...] = (
    ("schemas that compile", counted("schemas", "compiled")),
    ("refused though something is valid", counted("schemas", "refused")),
    ("compiled though nothing is valid", counted("schemas", FOR_NOTHING)),
    ("schemas with exact masks", counted("schemas", "exact")),
    ("schemas with an over-constraint", counted("schemas", "over")),
    ("schemas with an under-constraint", counted("schemas", "under")),
    ("tokens that must be allowed", counted("tokens", "required")),
    ("of these refused (over-constraint)", counted("tokens", "over")),
    ("tokens that must be refused", counted("tokens", "forbidden")),
    ("of these allowed (under-constraint)", counted("tokens", "under")),
)
"""What is shown of an engine, and how it is counted."""


def mask_table(engines: Mapping[str, Engine]) -> str:
    """The counts of every engine over the same schemas and texts."""
    lines = [[name, *(f"{show(engine):,}" for engine in engines.values())] for name, show in ROWS]
    return table(["", *engines], lines)


def render_masks(results: Mapping[str, Any]) -> str:
    """The table of `benchmarks.mask_yardstick`."""
    versions = results["versions"]
    shown = ", ".join(f"{name} {versions[name]}" for name in ("llguidance", "xgrammar"))
    return (
        f"{results['drawn']:,} schemas drawn with seed {results['seed']} and"
        f" {results['published']:,} parts of schemas from packages; {shown};"
        f" jsonschema {versions['jsonschema']} says which values are valid.\n\n"
        f"{mask_table(results['engines'])}\n"
    )


def render_laws(runs: Iterable[Mapping[str, Any]]) -> str:
    """The table of `benchmarks.law_run`: rows and violations by backend, way and format."""
    listed = list(runs)
    formats = list(dict.fromkeys(run["format"] for run in listed))
    places = list(dict.fromkeys((run["backend"], run["way"]) for run in listed))
    lines = []
    for backend, way in places:
        mine = [run for run in listed if (run["backend"], run["way"]) == (backend, way)]
        counts = [sum(run["rows"] for run in mine if run["format"] == name) for name in formats]
        violations = sum(bool(run["broken"]) for run in mine)
        shown = [f"{count:,}" if count else "–" for count in counts]
        lines.append([f"{backend}, {way}", *shown, f"{violations:,}"])
    total = sum(run["rows"] for run in listed)
    broken = sum(bool(run["broken"]) for run in listed)
    seeds = [run["seed"] for run in listed]
    return (
        f"{total:,} rows, {broken:,} violations; seeds {min(seeds)} to {max(seeds)}."
        f"\n\n{table(['', *formats, 'violations'], lines)}\n"
    )


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; all columns but the first are numbers."""
    ruler = ["---", *("---:" for _ in header[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ruler, *lines))
