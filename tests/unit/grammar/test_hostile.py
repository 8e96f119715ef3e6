"""Hostile grammars come to an end, in bounded time and memory, or are refused by a typed error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hostile_grammars import HOSTILE, HUGE

SECONDS = 5
# What is mapped is more than what is used: stores reserve room that they may never touch.
MEMORY = 768 << 20
PROGRAM = Path(__file__).with_name("hostile_grammars.py")
# Each of these takes more than a second.
SLOW = {
    "alternatives of a rule", "characters of a rule", "rules", "exponential look-aheads",
    "counts in one another", "three counts in one another", "a counted rule", "properties",
    "left recursion of all rules", "brackets in one another",
    "characters of a schema's pattern", "alternatives that begin alike",
}  # fmt: skip

pytestmark = [
    pytest.mark.kernels,
    pytest.mark.skipif(sys.platform != "linux", reason="limits of processes are Linux's"),
]


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in (*HUGE, *HOSTILE)],
)
def test_a_hostile_grammar_is_followed_or_refused(name: str) -> None:
    command = [sys.executable, str(PROGRAM), name, str(SECONDS), str(MEMORY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    said = done.stdout.split()[0]
    assert said in {
        "compiled", "GrammarLimitError", "GrammarSyntaxError", "GrammarUnsupportedError"
    }, done.stdout  # fmt: skip
