"""Every published mutant applies to the code as it is, and each group names tests that exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from mutant_shapes import Group, Mutant
from table import GROUPS

ROOT = Path(__file__).parents[2]
MUTANTS = [mutant for group in GROUPS for mutant in group.mutants]


def test_there_are_a_hundred() -> None:
    assert len(MUTANTS) >= 100
    assert len({(mutant.file, mutant.old) for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("file", sorted({mutant.file for mutant in MUTANTS}))
def test_mutants_apply(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    for mutant in MUTANTS:
        if mutant.file == file:
            assert text.count(mutant.old) == 1, mutant.what
            assert mutant.old != mutant.new
            ast.parse(text.replace(mutant.old, mutant.new))


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_groups_name_tests(group: Group) -> None:
    assert all((ROOT / test.partition("::")[0]).exists() for test in group.tests)
    assert all(isinstance(mutant, Mutant) for mutant in group.mutants)
