"""`make mutants`: judges every published mutant, and keeps the verdicts in `results.json`.

A verdict stands while neither the mutated file nor the test that decided it changes; so a run that
was stopped goes on where it was, and a run without changes takes a second. Prints a line for each
mutant and a table by group. The exit status is 1 where a mutant survives that is not known to be
equivalent, or no longer applies.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from mutant_judging import ROOT, Verdict, copy_package, import_what_tests_need, place_of, run_tests
from mutant_shapes import Group, Mutant
from table import GROUPS

RESULTS = Path(__file__).parent / "results.json"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a mutant.

    outcome: killed, survived, equivalent, stale (its text is gone), slow (out of time) or broken.
    why: the test that failed, or why nobody can see the mutant.
    code: a digest of the mutant, its file and its tests. commit: where it was judged.
    """

    group: str
    file: str
    what: str
    outcome: str
    why: str
    seconds: float
    code: str
    commit: str


Key = tuple[str, str]
"""The file and the description of a mutant."""


def read_results(path: Path = RESULTS) -> dict[Key, Result]:
    """The verdicts that are kept."""
    rows = json.loads(path.read_text("utf-8")) if path.exists() else []
    return {(row["file"], row["what"]): Result(**row) for row in rows}


def write_results(results: Iterable[Result], path: Path = RESULTS) -> None:
    """Keep verdicts, in the order of the table."""
    places = {
        (mutant.file, mutant.what): place
        for place, (_, mutant) in enumerate(
            (group, mutant) for group in GROUPS for mutant in group.mutants
        )
    }
    rows = [item for item in results if (item.file, item.what) in places]
    rows.sort(key=lambda item: places[item.file, item.what])
    lines = ",\n ".join(json.dumps(asdict(row), ensure_ascii=False) for row in rows)
    path.write_text(f"[\n {lines}\n]\n", "utf-8")


def digest_of(group: Group, mutant: Mutant) -> str:
    """A digest of what a verdict depends on: the mutant, its file and its tests."""
    digest = hashlib.sha256(repr((mutant[1:3], group.marks, group.lane)).encode())
    for name in (mutant.file, *group.tests):
        digest.update((ROOT / name.partition("::")[0]).read_bytes())
    return digest.hexdigest()[:16]


def commit_now() -> str:
    """The short name of the checkout's commit, with a plus where files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude", "*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def judge(folder: Path, group: Group, mutant: Mutant, limit: float, first: list[str]) -> Verdict:
    """Apply a mutant to the copy, run the tests, and undo it."""
    path = place_of(folder, mutant)
    text = path.read_text("utf-8") if path.exists() else ""
    if text.count(mutant.old) != 1:
        return Verdict("stale", f"the text occurs {text.count(mutant.old)} times, not once")
    path.write_text(text.replace(mutant.old, mutant.new), "utf-8")
    try:
        return run_tests(folder, group, limit, first)
    finally:
        path.write_text(text, "utf-8")


def result_of(group: Group, mutant: Mutant, verdict: Verdict, seconds: float) -> Result:
    """The verdict about a mutant, in the words of the table."""
    outcome, why = verdict.outcome, verdict.test
    if outcome == "failed":
        outcome = "killed"
    elif outcome in ("passed", "slow"):
        outcome, why = "survived" if outcome == "passed" else "slow", "every test passed"
        if mutant.equivalent:
            outcome, why = "equivalent", mutant.equivalent
    code = digest_of(group, mutant) if outcome != "stale" else ""
    return Result(
        group.name,
        mutant.file,
        mutant.what,
        outcome,
        why[-300:],
        round(seconds, 1),
        code,
        commit_now(),
    )


def stands(kept: Result | None, group: Group, mutant: Mutant) -> bool:
    """Whether a verdict need not be found again."""
    return (
        kept is not None
        and kept.outcome in ("killed", "equivalent")
        and kept.code == digest_of(group, mutant)
    )


def judge_group(folder: Path, group: Group, limit: float, results: dict[Key, Result]) -> list[str]:
    """Judge a group's mutants, and keep each verdict; returns why tests fail without a mutant."""
    # A test that killed once goes first. What kills must pass on the code as it is.
    sound: set[str] = set()
    complaints = []
    for mutant in group.mutants:
        key = (mutant.file, mutant.what)
        kept = results.get(key)
        if stands(kept, group, mutant):
            continue
        started = time.monotonic()
        first = [kept.why] if kept is not None and kept.outcome == "killed" else []
        first = [name for name in first if "::" in name]
        verdict = judge(folder, group, mutant, limit, first)
        if verdict.outcome == "slow":
            verdict = hanging(folder, group, verdict, limit)
        elif verdict.outcome == "failed" and "::" in verdict.test and verdict.test not in sound:
            alone = run_tests(folder, _only(group, verdict.test), limit)
            if alone.outcome != "passed":
                complaints.append(f"{verdict.test} fails without a mutant: {alone.test}")
                verdict = Verdict("broken", complaints[-1])
            else:
                sound.add(verdict.test)
        result = result_of(group, mutant, verdict, time.monotonic() - started)
        results[key] = result
        write_results(results.values())
        sys.stdout.write(
            f"{result.outcome:10} {result.seconds:6.1f} s  {group.name}: {mutant.what}"
            f" ({mutant.file}) {result.why}\n"
        )
        sys.stdout.flush()
    return complaints


def hanging(folder: Path, group: Group, verdict: Verdict, limit: float) -> Verdict:
    """The verdict about a mutant that was out of time: killed where it alone made tests hang."""
    started = time.monotonic()
    alone = run_tests(folder, _only(group, verdict.test), limit / 4)
    if alone.outcome != "passed":
        return verdict
    seconds = time.monotonic() - started
    return Verdict("failed", f"{verdict.test} does not end; it takes {seconds:.0f} s without")


def _only(group: Group, test: str) -> Group:
    return Group(group.name, (test,), (), marks=group.marks, lane=group.lane)


def table(results: Iterable[Result]) -> str:
    """Killed and all by group, and the names of what was not killed."""
    found = list(results)
    lines = []
    for name in dict.fromkeys(result.group for result in found):
        count = Counter(result.outcome for result in found if result.group == name)
        lines.append(f"{name:12} {count['killed']:4} of {count.total():4} killed")
    count = Counter(result.outcome for result in found)
    judged = count.total() - count["equivalent"]
    rate = count["killed"] / judged if judged else 0.0
    lines += [f"{item.outcome}: {item.what} ({item.file}): {item.why}" for item in found
              if item.outcome != "killed"]  # fmt: skip
    lines.append(f"{len(found)} mutants: {dict(count)}; {rate:.1%} of those that differ are killed")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--group", action="append", help="only this group; may be repeated")
    parser.add_argument("--lane", action="append", help="interpreted, triton or compiled")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for a mutant's tests")
    parser.add_argument("--again", action="store_true", help="judge what was judged, too")
    given = parser.parse_args()
    chosen = [
        group
        for group in GROUPS
        if (not given.group or group.name in given.group)
        and (not given.lane or group.lane in given.lane)
    ]
    results = read_results()
    if given.again:
        names = {group.name for group in chosen}
        results = {key: item for key, item in results.items() if item.group not in names}
    complaints: list[str] = []
    import_what_tests_need()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        copy_package(folder)
        for group in chosen:
            complaints += judge_group(folder, group, given.limit, results)
    shown = [
        results[mutant.file, mutant.what]
        for group in chosen
        for mutant in group.mutants
        if (mutant.file, mutant.what) in results
    ]
    sys.stdout.write("\n".join((table(shown), *complaints)) + "\n")
    return int(any(item.outcome not in ("killed", "equivalent") for item in shown))


if __name__ == "__main__":
    sys.exit(main())
