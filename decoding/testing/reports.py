"""Results of checks: counterexamples, expected failures, and how both are printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from decoding.checks import checked_integer
from decoding.errors import ParameterError, require
from decoding.testing.cases import Case

_MOST_SHOWN = 24


@dataclass(frozen=True, slots=True)
class Finding:
    """A counterexample to one law.

    candidate, claim: who was checked, and against what. law: its name. rule: the law in words.
    why: what is wrong here. case: the input, in lines. kept, expected: the tokens that stay and
    those that should, for each row. found: where it was found, so that it can be found again.
    """

    candidate: str
    claim: str
    law: str
    rule: str
    why: str
    case: tuple[str, ...] = ()
    kept: list[list[int]] | None = None
    expected: list[list[int]] | None = None
    found: str = ""

    def __str__(self) -> str:
        claimed = f" is not {self.claim}" if self.claim else " breaks a law"
        lines = [
            f"{self.candidate}{claimed}",
            f"  law       {self.law}: {self.rule}",
            f"  here      {self.why}",
            *(f"  {line}" for line in self.case),
        ]
        if self.kept is not None:
            lines.append(f"  kept      {_sets(self.kept)}")
        if self.expected is not None:
            lines.append(f"  expected  {_sets(self.expected)}")
        if self.found:
            lines.append(f"  found     {self.found}")
        return "\n".join(lines)


class CheckFailedError(AssertionError):
    """A check found a counterexample; `finding` holds it, `str()` shows it."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a passed check: how many cases ran, and the failures that were expected.

    examples: how many. findings: counterexamples to laws whose failure was expected.
    reasons: from these laws to the reasons.
    notes: error rates and sizes, in words.
    rows: how many rows the batches had; 0 where the examples are no batches.

    Raises `AssertionError` at construction if an expected failure did not occur.
    """

    examples: int
    findings: tuple[Finding, ...] = ()
    reasons: Mapping[str, str] | None = None
    notes: tuple[str, ...] = ()
    rows: int = 0

    def __post_init__(self) -> None:
        missing = set(self.reasons or {}) - {finding.law for finding in self.findings}
        if missing:
            raise AssertionError(
                f"expected to fail and did not, in {self.examples:,} examples: {sorted(missing)}"
            )


def check_expected(expected: Mapping[str, str] | None, laws: Iterable[str]) -> Mapping[str, str]:
    """The expected failures; each must name a law and give a reason."""
    is_mapping = expected is None or isinstance(expected, Mapping)
    require("expected_failures", expected, is_mapping, "a mapping of laws to reasons")
    known = list(laws)
    for law, reason in (expected or {}).items():
        if law not in known:
            raise ParameterError("expected_failures", law, f"a law: {', '.join(known)}")
        if not isinstance(reason, str) or not reason.strip():
            raise ParameterError(f"expected_failures[{law!r}]", reason, "a reason in words")
    return dict(expected or {})


def checked_seed(seed: object) -> int:
    """The seed of a check; raises `ParameterError` unless it is an integer in [0, 2**64)."""
    return checked_integer("seed", seed, 0, 2**64 - 1, "in [0, 2**64)")


def described(case: Case) -> tuple[str, ...]:
    """The lines that show a case; a wide row is cut short."""
    lines = []
    for row in range(len(case)):
        where = f" row {row}" if len(case) > 1 else ""
        lines.append(f"logits   {where} {shown_row(case.logits[row], case.format)}")
        if case.prompts[row]:
            lines.append(f"prompt   {where} {list(case.prompts[row])}")
        if case.generated[row]:
            lines.append(f"generated{where} {list(case.generated[row])}")
    return tuple(lines)


def shown_row(row: np.ndarray[tuple[int], np.dtype[np.floating]], name: str) -> str:
    """A row as it is typed in, cut short if it is wide."""
    texts = [_number(value) for value in row[:_MOST_SHOWN]]
    rest = f", ... {len(row)} in all" if len(row) > _MOST_SHOWN else ""
    return f"[{', '.join(texts)}{rest}] {name}"


def _number(value: np.floating) -> str:
    whole = abs(value) < 1e6 and value == int(value)
    return str(int(value)) if whole else str(value)


def _sets(rows: list[list[int]]) -> str:
    shown = [
        "{" + ", ".join(map(str, row[:_MOST_SHOWN])) + (", ..." * (len(row) > _MOST_SHOWN)) + "}"
        for row in rows
    ]
    return " ".join(shown)
