"""The trials of peers run, and tell defects from conventions."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from decoding.errors import GrammarError, ParameterError
from decoding.grammar import Machine, compile_json_schema
from decoding.testing.peers import Trial, Trouble, run_trial
from decoding.testing.peers.page import BEGIN, END, render, written
from decoding.testing.peers.schema_trials import (
    SCHEMA_TEXTS,
    bytes_table,
    of_xgrammar,
    schema_trials,
)
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


class Sure:
    """A text whose grammar accepts every text, or none."""

    def __init__(self, *, accepts: bool) -> None:
        self.is_accepting = accepts

    def mask(self) -> np.ndarray:
        return np.ones(257, np.bool_)

    def advance(self, token_id: int) -> bool:
        return True

    def rollback(self, count: int) -> None:
        raise AssertionError


def test_schemas_of_trials_decide_their_texts() -> None:
    for item in SCHEMA_TEXTS:
        validator = Draft202012Validator(item.schema)
        assert validator.is_valid(json.loads(item.text)) == item.is_valid, item.name
    for accepts in (True, False):
        found = schema_trials("peer", lambda _, accepts=accepts: Sure(accepts=accepts))
        broken = [run_trial(trial).broken for trial in found]
        assert broken == [item.is_valid != accepts for item in SCHEMA_TEXTS]


def test_a_schema_that_is_refused_breaks_no_law() -> None:
    def refuse(schema: object) -> Sure:
        raise GrammarError("no", "/")

    assert not any(run_trial(trial).broken for trial in schema_trials("peer", refuse))


def test_this_library_breaks_no_law_of_schemas() -> None:
    machine = Machine(bytes_table())
    found = schema_trials("ours", lambda schema: compile_json_schema(schema, machine).matcher())
    assert [run_trial(trial).shown for trial in found if run_trial(trial).broken] == []


def test_a_peer_that_passes_keywords_over_is_found() -> None:
    pytest.importorskip("xgrammar")
    broken = [trial.law for trial in of_xgrammar() if run_trial(trial).broken]
    assert "uniqueItems: an invalid text is refused" in broken
    assert "minProperties: an invalid text is refused" not in broken


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
