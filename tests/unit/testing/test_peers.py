"""The trials of peers run, and tell defects from conventions."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from decoding.errors import ParameterError
from decoding.testing.peers import Trial, Trouble, run_trial
from decoding.testing.peers.page import BEGIN, END, render, written
from decoding.testing.peers.tgi_trials import trials


def test_a_trial_that_holds_and_one_that_does_not() -> None:
    def broken() -> None:
        raise ValueError("[1] -> [2]")

    assert not run_trial(Trial("peer", "f", "law", lambda: None)).broken
    result = run_trial(Trial("peer", "f", "law", broken, Trouble.CONVENTION))
    assert result.broken
    assert result.shown == "ValueError: [1] -> [2]"


@pytest.mark.parametrize("trial", trials(), ids=lambda trial: trial.subject)
def test_the_rules_of_tgi_are_broken_as_known(trial: Trial) -> None:
    assert run_trial(trial).broken


@pytest.mark.slow
def test_the_table() -> None:
    pytest.importorskip("transformers")
    command = [sys.executable, "-m", "decoding.testing.peers", "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows = json.loads(done.stdout)["results"]
    defects = [row for row in rows if row["outcome"] == "defect" and row["source"] == "installed"]
    assert len(defects) >= 12
    assert all(row["counterexample"] for row in defects)


def test_a_page_gets_the_table_between_its_marks() -> None:
    row = {
        "peer": "peer 1.0",
        "subject": "f",
        "law": "keeps a | b",
        "source": "installed",
        "outcome": "defect",
        "counterexample": "[1]\n[2] " + "x" * 300,
    }
    held = {**row, "outcome": "holds"}
    table = render([held, {**row, "outcome": "convention"}, row], {"other": "no"}, "2026-01-02")
    assert "3 trials; 1 hold, 1 are defects" in table
    assert table.index("| defect |") < table.index("| convention |")
    assert "keeps a \\| b" in table
    assert max(map(len, table.splitlines())) < 260
    page = written(f"before\n{BEGIN}\nold\n{END}\nafter\n", table)
    assert page.startswith(f"before\n{BEGIN}\nRun on 2026-01-02")
    assert page.endswith(f"{END}\nafter\n")
    assert written(page, table) == page
    with pytest.raises(ParameterError, match="once each"):
        written("no marks", table)
