"""With an empty cache masks come at once, and nobody compiles a second time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")
pytestmark = [pytest.mark.slow, pytest.mark.nightly]

PROGRAM = """
import logging, sys
from decoding.grammar import Machine, compile_gbnf, compile_json_schema, compile_regex, warmup
from decoding.grammar.tokens.table import token_table
from decoding.kernels.grammar import earley_walk, walk
from decoding.vocabulary import Vocabulary

logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
spelled = [bytes([byte]) for byte in range(256)] + [b'",', b"ab", b"true", b""]
table = token_table(Vocabulary(spelled), [len(spelled) - 1])
SCHEMA = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 9}}}
RULES = 'root ::= "[" root? "]" | text  text ::= "\\\\"" [^"]* "\\\\""'
made = [
    (compile_json_schema(SCHEMA, Machine(table)).matcher(), b'{"a": "ab'),
    (compile_regex("(ab|c)+d", Machine(table)).matcher(), b"ababc"),
    (compile_gbnf(RULES, Machine(table)).matcher(), b'[["ab'),
]
masks = []
for step in range(4):
    for matcher, text in made:
        masks.append(matcher.mask().tobytes())
        matcher.advance(text[step])
print(walk.walk.is_compiled, earley_walk.walk.is_compiled)
warmup()
print(walk.walk.is_compiled, earley_walk.walk.is_compiled)
for matcher, text in made:
    matcher.rollback(4)
for step in range(4):
    for matcher, text in made:
        assert masks.pop(0) == matcher.mask().tobytes()
        matcher.advance(text[step])
"""


def test_masks_come_at_once_and_stay_the_same(tmp_path: Path) -> None:
    environment = {**os.environ, "DECODING_CACHE": str(tmp_path), "DECODING_COMPILE": "aside"}

    def run() -> tuple[list[str], list[str]]:
        asked = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(asked, check=True, capture_output=True, text=True, env=environment)
        return done.stdout.splitlines(), done.stderr.splitlines()

    printed, told = run()
    assert printed == ["False False", "True True"]
    about = [line.split(",")[0] for line in told]
    titles = ("kernels of context-free grammars", "kernels of schemas and regular expressions")
    assert sorted(about) == sorted(
        [f"compiling {title}" for title in titles] + [f"{title} are compiled" for title in titles]
    )
    kept = sorted(path.name for path in tmp_path.rglob("*.nbc"))
    printed, told = run()
    assert printed[-1] == "True True"
    assert told == []
    assert sorted(path.name for path in tmp_path.rglob("*.nbc")) == kept
