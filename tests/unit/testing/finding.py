"""What a check of the kit must say of a fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from decoding.testing import CheckFailedError, check_engine


def assert_found(law: str, check: Callable[..., Any], *given: Any, **options: Any) -> None:
    """Assert that a check fails, and that it names the broken law."""
    with pytest.raises(CheckFailedError) as caught:
        check(*given, **options)
    assert caught.value.finding.law == law


_HISTORIES = 400
"""Of engines. At 50, 8 of 30 runs miss the rarest fault, at 400 none; one that is found ends a run."""


def assert_engine_found(engine: Any, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Assert that `check_engine` fails, and what it says."""
    with pytest.raises(AssertionError, match=said):
        check_engine(engine, examples=_HISTORIES, shrink=False)
    capsys.readouterr()  # what Hypothesis prints of the history
