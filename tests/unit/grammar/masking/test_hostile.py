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
# One of each kind; a child takes most of a second to begin, so that all are many.
QUICK = {
    "required keys", "words of an enum", "characters of a pattern", "ambiguity",
    "exponential automaton", "schemas in one another", "palindromes", "a loop of references",
}  # fmt: skip

pytestmark = [
    pytest.mark.kernels,
    pytest.mark.skipif(sys.platform != "linux", reason="limits of processes are Linux's"),
]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[pytest.mark.slow] if n not in QUICK else [])
        for n in (*HUGE, *HOSTILE)
    ],
)
def test_a_hostile_grammar_is_followed_or_refused(name: str) -> None:
    command = [sys.executable, str(PROGRAM), name, str(SECONDS), str(MEMORY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    said = done.stdout.split()[0]
    assert said in {
        "compiled", "GrammarLimitError", "GrammarSyntaxError", "GrammarUnsupportedError"
    }, done.stdout  # fmt: skip
