"""Fixtures: the checkout's `benchmarks`, and a model for the command `decoding`.

The checkout is not on the path for them: there the folder `kernels` would be a top-level package,
and another distribution has that name.
"""

import importlib.util
import sys
from pathlib import Path

import pytest
from speaker import Speaker, model_of

from decoding.cli import main as cli

FOLDER = Path(__file__).parents[2] / "benchmarks"

spec = importlib.util.spec_from_file_location(
    "benchmarks", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
)
assert spec is not None
assert spec.loader is not None
module = importlib.util.module_from_spec(spec)
sys.modules["benchmarks"] = module
spec.loader.exec_module(module)


@pytest.fixture
def speaker(monkeypatch: pytest.MonkeyPatch) -> Speaker:
    """Makes every model one that says "Bonjour, ça va?"."""
    forward = Speaker("Bonjour, ça va?")
    monkeypatch.setattr(cli, "load", lambda source: model_of(forward))
    return forward
