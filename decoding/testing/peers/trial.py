"""`Trial`: a check of one law on one function of another engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Trouble(Enum):
    """What a trial says that its broken law means: a defect, a convention or a limit.

    DEFECT: the peer breaks what it documents, the standard that it names, or what every sampler
    must keep. CONVENTION: a choice that differs from this library's, made on purpose. LIMIT:
    arithmetic or an input at the edge of what a user meets, or what the peer warns of.
    """

    DEFECT = "defect"
    CONVENTION = "convention"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Trial:
    """A check of one law on one function of another engine, the peer.

    peer: the peer and its version. subject: the function. law: in words.
    check: raises `AssertionError`, or what the peer raises, where the law is broken.
    trouble: what it means if it is.
    source: whether the peer's own code runs ("installed") or a transcription of its rule.
    """

    peer: str
    subject: str
    law: str
    check: Callable[[], object]
    trouble: Trouble = Trouble.DEFECT
    source: str = "installed"


def demand(holds: bool, shown: str) -> None:
    """Raise `AssertionError` with a counterexample unless a law holds."""
    if not holds:
        raise AssertionError(shown)
