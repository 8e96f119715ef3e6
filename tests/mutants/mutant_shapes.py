"""`Mutant` and `Group`: an error in the code, and the tests that must fail because of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Mutant(NamedTuple):
    """One error: this text, which the file holds once, becomes that."""

    file: str
    old: str
    new: str
    what: str
    equivalent: str = ""


@dataclass(frozen=True)
class Group:
    """Mutants that the same tests kill.

    name: of the group. tests: files or node ids, the quickest first. chosen: pytest's `-k`.
    marks: pytest's `-m`.
    """

    name: str
    tests: tuple[str, ...]
    mutants: tuple[Mutant, ...]
    chosen: str = ""
    lane: str = "interpreted"
    marks: str = "not slow and not model and not kernels and not nightly"


def mutants_in(file: str, *changes: tuple[str, ...]) -> tuple[Mutant, ...]:
    """Mutants of one file."""
    return tuple(Mutant(file, *change) for change in changes)
