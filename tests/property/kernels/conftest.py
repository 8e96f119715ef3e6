"""The compiled kernels are loaded before these tests use them by their class."""

from __future__ import annotations

import importlib.util
import os

import pytest

from decoding import compilation
from decoding.kernels.compiled.loading import GROUPS

HIDDEN = os.environ.get("DECODING_TEST_WITHOUT", "").split(",")
IS_THERE = "numba" not in HIDDEN and importlib.util.find_spec("numba") is not None


@pytest.fixture(scope="session", autouse=True)
def kernels() -> None:
    """Else the first step would compile them without keeping the machine code."""
    if IS_THERE:
        compilation.loader().wait(GROUPS["float32"])
