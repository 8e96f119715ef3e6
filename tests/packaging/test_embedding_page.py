"""Every program of `docs/embedding.md` runs, prints what stands under it, and is public."""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from reference_page import PACKAGES, exported

PAGE = Path(__file__).parents[2] / "docs" / "embedding.md"
PROGRAM = re.compile(r"^```python\n(.*?)^```\n\n^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MOST_LINES = 25


class Program(NamedTuple):
    """A program of the page, under the heading that it stands under."""

    title: str
    source: str
    output: str


def programs() -> Iterator[Program]:
    text = PAGE.read_text(encoding="utf-8")
    for found in PROGRAM.finditer(text):
        heading = text.rfind("\n## ", 0, found.start())
        title = text[heading:].split("\n")[1].removeprefix("## ")
        yield Program(title, *found.groups())


PROGRAMS = list(programs())
NAMES = [f"{index}-{item.title}" for index, item in enumerate(PROGRAMS)]
each = pytest.mark.parametrize("program", PROGRAMS, ids=NAMES)


def test_every_program_has_its_output_under_it() -> None:
    assert len(PROGRAMS) == PAGE.read_text(encoding="utf-8").count("```python") >= 10


@each
def test_a_program_runs(program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for package in ("torch", "transformers"):
        if f"import {package}\n" in program.source:
            pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program.source, program.title, "exec"), {"__name__": "program"})
    assert printed.getvalue() == program.output


@each
def test_a_program_is_short(program: Program) -> None:
    lines = [line for line in program.source.splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES


@each
def test_a_program_imports_public_names_only(program: Program) -> None:
    assert list(private_imports(program.source)) == []


def test_a_private_import_is_found() -> None:
    source = (
        "import decoding.sampling.batch\n"
        "from decoding.engine.loop import Engine\n"
        "from decoding.sampling import BatchSampler, Stages\n"
    )
    assert list(private_imports(source)) == [
        "decoding.sampling.batch",
        "decoding.engine.loop",
        "decoding.sampling.Stages",
    ]


def private_imports(source: str) -> Iterator[str]:
    """What a program takes of this library that no public package exports."""
    for node in ast.walk(ast.parse(source)):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        for module in modules:
            if module.split(".")[0] != "decoding":
                continue
            if module not in PACKAGES:
                yield module
            elif isinstance(node, ast.ImportFrom):
                public = exported(importlib.import_module(module))
                yield from (
                    f"{module}.{item.name}" for item in node.names if item.name not in public
                )
