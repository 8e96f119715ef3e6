"""After the warm-up every kernel of grammars is compiled."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("numba")

PROGRAM = """
import importlib, pkgutil
import decoding.grammar, decoding.kernels.grammar as package
from decoding.kernels.grammar.entries import Entry
decoding.grammar.warmup()
for found in pkgutil.iter_modules(package.__path__):
    module = importlib.import_module(f"{package.__name__}.{found.name}")
    for each in vars(module).values():
        if isinstance(each, Entry) and each.__module__ == module.__name__:
            print(found.name, each.__name__, each.is_compiled, each.lets_others_run)
"""


@pytest.mark.slow
def test_every_kernel_is_compiled_and_lets_other_threads_run() -> None:
    asked = [sys.executable, "-c", PROGRAM]
    printed = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in printed.splitlines()]
    assert len(rows) >= 28
    assert [row for row in rows if row[2:] != ["True", "True"]] == []
