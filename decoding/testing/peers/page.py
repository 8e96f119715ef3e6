"""Renders the laws that engines break as a Markdown table, and puts it into a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from decoding.errors import ParameterError

BEGIN, END = "<!-- peers:begin -->", "<!-- peers:end -->"
_LONGEST = 160


def render(rows: Sequence[Mapping[str, Any]], missing: Mapping[str, str], date: str) -> str:
    """Render the broken laws as a Markdown table, defects first, under a line of counts.

    rows, missing: as `python -m decoding.testing.peers --json` prints them. date: of the run.
    """
    kinds = ("defect", "limit", "convention")
    broken = [row for kind in kinds for row in rows if row["outcome"] == kind]
    held = sum(row["outcome"] == "holds" for row in rows)
    defects = sum(row["outcome"] == "defect" and row["source"] == "installed" for row in rows)
    summary = (
        f"Run on {date}: {len(rows)} trials; {held} hold, {defects} are defects of installed code."
        " A transcription is of a rule whose code is no Python package."
    )
    lines = [
        summary,
        "",
        "| | peer | function | law that is broken | smallest case |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in broken:
        source = "" if row["source"] == "installed" else f" ({row['source']})"
        cells = (
            row["outcome"],
            row["peer"] + source,
            row["subject"],
            row["law"],
            _short(row["counterexample"]),
        )
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    if missing:
        lines += ["", f"Not installed: {', '.join(missing)}."]
    return "\n".join(lines)


def written(page: str, table: str) -> str:
    """Put the table between the two marks of a page; return the page.

    Raises:
        ParameterError: the page has not both marks, once each.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in after or END in after:
        raise ParameterError("page", page[:80], f"a page with {BEGIN} and {END}, once each")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
