"""The programs of docs/audit.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "audit.md").read_text(encoding="utf-8")
PROGRAMS = [
    (section.partition("\n")[0], program)
    for section in PAGE.split("\n## ")[1:]
    for program in re.findall(r"```python\n([^`]*)```", section)
]


def test_the_programs_are_found() -> None:
    assert len(PROGRAMS) == PAGE.count("```python") == 5


@pytest.mark.slow
@pytest.mark.parametrize(("title", "program"), PROGRAMS, ids=[title for title, _ in PROGRAMS])
def test_a_program_runs(title: str, program: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(program, title, "exec"), {})
    said = capsys.readouterr().out
    assert said or "assert" in program
    if title == "Verify":
        assert "temperature 1.2 explains the tokens" in said
