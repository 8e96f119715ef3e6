"""Marks for tests, and for the cases of a parametrised one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import pytest

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def mostly_slow(cases: Iterable[Any]) -> list[Any]:
    """The cases, of which each but every fourth is marked `slow`: `make check` runs a quarter."""
    return [
        pytest.param(case, marks=pytest.mark.slow) if number % 4 else case
        for number, case in enumerate(cases)
    ]
