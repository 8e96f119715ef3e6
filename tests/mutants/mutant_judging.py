"""Judges a mutant: applies it to a copy of the package and runs its group's tests there.

The tests run in a fork of a process that has imported the large packages but nothing of this one,
so that a mutant costs about as long as the test that kills it.
"""

from __future__ import annotations

import compileall
import json
import os
import py_compile
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from mutant_shapes import Group, Mutant

ROOT = Path(__file__).parents[2]
PROFILE = "mutants"
"""Hypothesis: sixty examples, the same in each run; a failing one is not shrunk."""

settings.register_profile(
    PROFILE,
    deadline=None,
    max_examples=60,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the tests said: passed, failed, slow (out of time), none (none was selected) or broken."""

    outcome: str
    test: str = ""
    """The test that failed, the file that was out of time, or what pytest wrote."""


@dataclass(slots=True, eq=False)
class _Failure:
    """A plug-in of pytest that keeps the first test that failed."""

    test: str = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.test:
            self.test = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.test:
            self.test = f"collection of {report.nodeid}"


def copy_package(folder: Path) -> None:
    """A copy that Python imports before the installed package, and the tests beside it.

    Its byte code is bound to the contents of the sources: times of change are too coarse.
    """
    ignored = shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc")
    shutil.copytree(ROOT / "decoding", folder / "decoding", ignore=ignored)
    shutil.copytree(ROOT / "kernels", folder / "decoding" / "kernels", ignore=ignored)
    for name in ("tests", "docs", "benchmarks"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    checked = py_compile.PycInvalidationMode.CHECKED_HASH
    for name in ("decoding", "tests/unit", "tests/property"):
        compileall.compile_dir(folder / name, quiet=2, invalidation_mode=checked)


def place_of(folder: Path, mutant: Mutant) -> Path:
    """Where the copy in a folder has the file of a mutant."""
    return folder / ("decoding" if mutant.file.startswith("kernels/") else "") / mutant.file


def import_what_tests_need() -> None:
    """Import the large packages that tests import; nothing of this one, nor Numba, which some hide."""
    os.environ.setdefault("TRITON_INTERPRET", "1")
    plugins = ("_hypothesis_pytestplugin", "anyio.pytest_plugin")
    large = ("numpy", "scipy.stats", "torch", "tokenizers", "transformers", "jsonschema", "jinja2")
    for name in (*large, "hypothesis.strategies", "hypothesis.extra.numpy", *plugins):
        with suppress(ImportError):
            __import__(name)
    found = {"decoding", "numba"} & set(sys.modules)
    assert not found, f"imported too early: {found}"


def run_tests(folder: Path, group: Group, limit: float, first: Sequence[str] = ()) -> Verdict:
    """Run a group's tests until one fails, those of `first` before the others.

    Each file has a fork of its own, so that no file is read that is not needed.
    """
    until = time.monotonic() + limit
    none = True
    for test in dict.fromkeys((*first, *group.tests)):
        verdict = _run_file(folder, group, test, until - time.monotonic())
        if verdict.outcome not in ("passed", "none"):
            return verdict
        none = none and verdict.outcome == "none"
    return Verdict("broken", "no test was selected") if none else Verdict("passed")


def _run_file(folder: Path, group: Group, test: str, limit: float) -> Verdict:
    """Run one file, or one test, in a fork."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _run_in_child(folder, group, test, writer)
    os.close(writer)
    deadline = time.monotonic() + limit
    written = b""
    with os.fdopen(reader, "rb", buffering=0) as answer:
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([answer], [], [], left)[0]:
                break
            part = answer.read(65536)
            if not part:
                break
            written += part
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if not written:
        return Verdict("slow" if time.monotonic() >= deadline else "broken", test)
    return Verdict(**json.loads(written))


def _run_in_child(folder: Path, group: Group, test: str, writer: int) -> None:
    """The child's whole life: run pytest on the copy, write the verdict, end."""
    verdict: dict[str, Any] = {"outcome": "broken"}
    try:
        os.setsid()
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        sys.dont_write_bytecode = True
        if group.lane != "compiled":
            os.environ["DECODING_TEST_WITHOUT"] = "numba"
        os.environ.pop("CI", None)
        # What children of tests import, and where compiled kernels of a mutant are kept.
        os.environ["PYTHONPATH"] = str(folder)
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        os.environ["DECODING_CACHE"] = str(folder / "cache")
        seen = _Failure()
        with tempfile.TemporaryFile("w+") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            arguments = ["-q", "-x", "--assert=plain", "-p", "no:cacheprovider"]
            arguments += ["-p", "no:schemathesis", f"--hypothesis-profile={PROFILE}"]
            arguments += ["-m", group.marks, "--rootdir", str(folder)]
            arguments += ["-k", group.chosen] * bool(group.chosen)
            status = int(pytest.main([*arguments, test], plugins=[seen]))
            output.flush()
            output.seek(0)
            said = output.read()[-600:]
        if status == pytest.ExitCode.OK:
            verdict = {"outcome": "passed"}
        elif status == pytest.ExitCode.NO_TESTS_COLLECTED:
            verdict = {"outcome": "none"}
        elif seen.test:
            verdict = {"outcome": "failed", "test": seen.test}
        else:
            verdict = {"outcome": "broken", "test": said}
    except BaseException as error:
        verdict = {"outcome": "broken", "test": repr(error)[:600]}
    finally:
        os.write(writer, json.dumps(verdict).encode())
        os._exit(0)
