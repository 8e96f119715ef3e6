"""Damaged chat templates give a prompt or a typed error, in bounded time and memory.

`make nightly` runs every case, other runs the first of each kind.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from profiles import amount

pytest.importorskip("jinja2")

CASES, FIRST_CASES = 5_000, 200
"""Examples that the profile `nightly` asks for."""


def outcomes_of(kind: str, first: int, count: int) -> list[str]:
    """An outcome for each case; a child that dies is the outcome of the case that it died of."""
    outcomes: list[str] = []
    while len(outcomes) < count:
        done = len(outcomes)
        child = subprocess.run(
            [
                sys.executable,
                Path(__file__).with_name("chat_child.py"),
                kind,
                str(first + done),
                str(count - done),
            ],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        outcomes += child.stdout.splitlines()
        if child.returncode:
            outcomes.append(f"the process ended with {child.returncode}: {child.stderr[-500:]}")
    return outcomes


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's here")
@pytest.mark.parametrize("kind", ["template", "config"])
def test_damage_costs_an_error_and_nothing_else(kind: str) -> None:
    count = amount(check=FIRST_CASES, full=FIRST_CASES, nightly=CASES)
    outcomes = outcomes_of(kind, 0, count)
    counts = Counter(outcomes)
    faults = [
        f"{kind} {number}: {outcome}"
        for number, outcome in enumerate(outcomes)
        if outcome not in ("rendered", "refused")
    ]
    assert not faults, f"{len(faults)} of {count}: " + "\n".join(faults[:20])
    # Damage that never shows, or always, would say nothing.
    assert counts["rendered"] > count // 50
    assert counts["refused"] > count // 50
