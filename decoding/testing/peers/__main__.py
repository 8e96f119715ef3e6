"""Prints a table of laws and engines, and whether each engine keeps or breaks the law."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from decoding.testing.peers.page import render, written
from decoding.testing.peers.trial import Trouble, all_trials, run_trial


def main() -> int:
    """Run every trial, print the results as a table or JSON, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m decoding.testing.peers", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--peer", help="only peers whose name contains this")
    parser.add_argument("--page", type=Path, help="write the table into a page, between its marks")
    given = parser.parse_args()
    trials, missing = all_trials()
    results = [run_trial(item) for item in trials if not given.peer or given.peer in item.peer]
    rows = [
        {
            "peer": result.trial.peer,
            "subject": result.trial.subject,
            "law": result.trial.law,
            "source": result.trial.source,
            "outcome": result.trial.trouble.value if result.broken else "holds",
            "counterexample": result.shown,
        }
        for result in results
    ]
    if given.page:
        today = datetime.now(UTC).date().isoformat()
        page = given.page.read_text("utf-8")
        given.page.write_text(written(page, render(rows, missing, today)), "utf-8")
    if given.json:
        sys.stdout.write(json.dumps({"results": rows, "missing": missing}, indent=1) + "\n")
        return 0
    lines = []
    for result in results:
        trial = result.trial
        outcome = trial.trouble.value.upper() if result.broken else "holds"
        lines.append(f"{outcome:11} {trial.peer:22} {trial.subject:32} {trial.law}")
    for trouble in Trouble:
        broken = [item for item in results if item.broken and item.trial.trouble is trouble]
        if broken:
            lines.append(f"\n{len(broken)} {trouble.value}s\n")
        for number, result in enumerate(broken, start=1):
            trial = result.trial
            lines.append(f"{number}. {trial.peer}, {trial.subject} ({trial.source}): {trial.law}")
            lines += [f"     {line}" for line in result.shown.splitlines()]
    lines += [f"\nnot installed: {peer} ({why})" for peer, why in missing.items()]
    count = Counter(result.trial.trouble.value if result.broken else "holds" for result in results)
    sources = sum(
        item.broken and item.trial.trouble is Trouble.DEFECT and item.trial.source == "installed"
        for item in results
    )
    lines.append(f"\n{dict(count)}; {sources} defects are of installed code")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
