"""After the warm-up no grammar waits for the compiler."""

from __future__ import annotations

import json
import subprocess
import sys

import jsonschema
import pytest

from decoding.grammar.warming import SCHEMA, TEXT

pytest.importorskip("numba")

PROGRAM = """
import importlib
import decoding.grammar
decoding.grammar.warmup()
for name in ("paths", "products", "subsets", "walk", "earley_step", "earley_walk"):
    module = importlib.import_module("decoding.kernels.grammar." + name)
    for each in vars(module).values():
        if getattr(each, "__module__", "") != module.__name__ or not hasattr(each, "signatures"):
            continue
        if "no_cpython_wrapper" not in each.targetoptions and not each.signatures:
            print("not compiled:", name, each.__name__)
        if not each.targetoptions.get("nogil"):
            print("stops other threads:", name, each.__name__)
"""


@pytest.mark.slow
def test_every_kernel_is_compiled_and_lets_other_threads_run() -> None:
    asked = [sys.executable, "-c", PROGRAM]
    printed = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    assert printed.split() == []


def test_the_text_is_one_of_the_schema() -> None:
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(json.loads(TEXT))
