"""`make mutants`: applies every published mutant to a copy and runs the tests that must fail.

Prints a line for each mutant and a table by group; `--json FILE` writes the same. The exit status is
1 where a mutant survives that is not known to be equivalent, or no longer applies.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from table import GROUPS, Group, Mutant

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Result:
    """What became of a mutant: killed, survived, equivalent, stale or slow (out of time)."""

    group: str
    file: str
    what: str
    outcome: str
    why: str
    seconds: float


def copy_package(folder: Path) -> None:
    """A copy that Python imports before the installed package, and the tests beside it."""
    ignored = shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc")
    shutil.copytree(ROOT / "decoding", folder / "decoding", ignore=ignored)
    shutil.copytree(ROOT / "kernels", folder / "decoding" / "kernels", ignore=ignored)
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=ignored)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("docs", "benchmarks"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)


def place_of(folder: Path, mutant: Mutant) -> Path:
    return folder / ("decoding" if mutant.file.startswith("kernels/") else "") / mutant.file


def run_tests(folder: Path, group: Group, limit: float) -> tuple[str, str]:
    """ "killed" and the test that failed, "survived", or "slow"."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    environment.pop("CI", None)
    if group.lane != "compiled":
        environment["DECODING_TEST_WITHOUT"] = "numba"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    command += ["--hypothesis-profile=check"]
    command += ["-m", "not slow and not model and not kernels and not nightly"]
    command += [
        "--rootdir",
        str(folder),
        *group.tests,
        *(["-k", group.chosen] * bool(group.chosen)),
    ]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "slow", f"no test failed in {limit:g} s"
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode == 0:
        return "survived", "every test passed"
    if done.returncode in (1, 2) and failed:
        return "killed", failed[0].split(" - ")[0]
    return "error", (done.stdout + done.stderr)[-400:]


def try_mutant(folder: Path, group: Group, mutant: Mutant, limit: float) -> Result:
    path = place_of(folder, mutant)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    started = time.monotonic()
    if text.count(mutant.old) != 1:
        outcome, why = "stale", f"the text occurs {text.count(mutant.old)} times, not once"
    else:
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        try:
            outcome, why = run_tests(folder, group, limit)
        finally:
            path.write_text(text, encoding="utf-8")
        if outcome == "survived" and mutant.equivalent:
            outcome, why = "equivalent", mutant.equivalent
    seconds = round(time.monotonic() - started, 1)
    return Result(group.name, mutant.file, mutant.what, outcome, why, seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--group", action="append", help="only this group; may be repeated")
    parser.add_argument("--lane", action="append", help="interpreted (default), triton or compiled")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for a mutant's tests")
    parser.add_argument("--trust", action="store_true", help="do not run tests without a mutant")
    parser.add_argument("--json", type=Path, help="where to write the results")
    given = parser.parse_args()
    lanes = given.lane or ["interpreted"]
    results: list[Result] = []
    broken: list[str] = []
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        copy_package(folder)
        for group in GROUPS:
            if group.lane not in lanes or (given.group and group.name not in given.group):
                continue
            outcome, why = ("survived", "") if given.trust else run_tests(folder, group, 1800.0)
            if outcome != "survived":
                print(f"{group.name}: its tests fail without a mutant: {why}", flush=True)
                broken.append(group.name)
                continue
            for mutant in group.mutants:
                result = try_mutant(folder, group, mutant, given.limit)
                results.append(result)
                print(
                    f"{result.outcome:10} {result.seconds:6.1f} s  {group.name}: {mutant.what}"
                    f" ({mutant.file}) {result.why}",
                    flush=True,
                )
                if given.json:
                    rows = [asdict(item) for item in results]
                    given.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    count = Counter(result.outcome for result in results)
    judged = count["killed"] + count["survived"]
    rate = count["killed"] / judged if judged else 0.0
    print(f"{len(results)} mutants: {dict(count)}; {rate:.1%} of those judged are killed")
    return int(
        bool(broken) or any(result.outcome not in ("killed", "equivalent") for result in results)
    )


if __name__ == "__main__":
    sys.exit(main())
