"""The suite in `docs/testing.md` is 25 lines, passes, and finds a planted off-by-one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from decoding.testing import CheckFailedError

PAGE = (Path(__file__).parents[3] / "docs" / "testing.md").read_text(encoding="utf-8")
SUITE = PAGE.split("```python\n")[1].split("```")[0]


def run(program: str) -> None:
    names: dict[str, Any] = {}
    exec(program, names)
    names["test_mine"]()


def test_it_has_25_lines() -> None:
    assert len([line for line in SUITE.splitlines() if line.strip()]) <= 25


@pytest.mark.slow
def test_it_passes() -> None:
    quick = SUITE.replace("TopP(0.9))", "TopP(0.9), examples=300)")
    assert quick != SUITE
    run(quick)


def test_it_finds_an_off_by_one() -> None:
    planted = SUITE.replace("- probs < 0.9", "- 2 * probs < 0.9")
    assert planted != SUITE
    with pytest.raises(CheckFailedError) as caught:
        run(planted)
    shown = PAGE.split("```text\n")[1].split("```")[0]
    assert re.sub(r"example .*", "", str(caught.value)) == re.sub(r"example .*", "", shown.strip())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("* totals[:, -1:] < totals", "* totals[:, -1:] > totals"),
        ("logits / 0.7), axis", "logits / 0.735), axis"),
        ("text.find(stop) for stop", "text.find(stop) + 1 for stop"),
    ],
)
def test_it_finds_other_faults(right: str, wrong: str) -> None:
    planted = SUITE.replace(right, wrong)
    assert planted != SUITE
    with pytest.raises(CheckFailedError):
        run(planted)
