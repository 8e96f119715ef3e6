"""Hostile grammars come to an end, in bounded time and memory, or are refused by a typed error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_grammars import FAMILIES, FURTHER, HOSTILE, HUGE

# Each takes less than 5 seconds of an idle core; two that share a core's units take more.
SECONDS = 8
# What is mapped is more than what is used: stores reserve room that they may never touch.
MEMORY = 768 << 20
PROGRAM = Path(__file__).with_name("hostile_grammars.py")
# One of each kind: all take a minute.
QUICK = {
    "required keys", "words of an enum", "characters of a pattern", "ambiguity",
    "exponential automaton", "schemas in one another", "palindromes", "a loop of references",
    "one of: lengths", "one of: arrays", "one of: tags", "conditions: lengths",
    "conditions in one another", "more characters than are counted", "loops that read nothing", "optional letters in a row",
    "spans that may be empty",
}  # fmt: skip

pytestmark = [
    pytest.mark.kernels,
    pytest.mark.skipif(sys.platform != "linux", reason="limits of processes are Linux's"),
]


@pytest.fixture(scope="module")
def endings(request: pytest.FixtureRequest) -> dict[str, str]:
    """How each grammar ended that this run has a test for."""
    chosen = [
        item.callspec.params["name"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path
    ]
    command = [sys.executable, str(PROGRAM), str(SECONDS), str(MEMORY), *chosen]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[pytest.mark.slow] if n not in QUICK else [])
        for n in (*HUGE, *HOSTILE, *FAMILIES, *FURTHER)
    ],
)
def test_a_hostile_grammar_is_followed_or_refused(name: str, endings: dict[str, str]) -> None:
    assert endings[name].split()[0] in {
        "compiled", "GrammarLimitError", "GrammarSyntaxError", "GrammarUnsupportedError",
        "GrammarUnsatisfiableError",
    }, endings[name]  # fmt: skip
