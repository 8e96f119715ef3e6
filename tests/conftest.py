"""What every test runs under.

`DECODING_TEST_WITHOUT=numba,torch` makes these packages look as if they were not installed.
Tests marked `model` fetch the weights once, and are skipped where these cannot be had.
"""

import functools
import gc
import os
import sys

import profiles
import pytest
from hypothesis import settings

from decoding import compilation
from decoding.errors import FetchError
from decoding.models import LanguageModel, load
from decoding.models.fetch import fetch

# Of what is made while tests are collected nearly nothing is garbage.
gc.disable()

for package in filter(None, os.environ.get("DECODING_TEST_WITHOUT", "").split(",")):
    assert package not in sys.modules, f"{package} was imported before it could be hidden"
    sys.modules[package] = None  # an import of it now raises

# Without a device Triton's kernels are interpreted; that is settled where triton is imported.
os.environ.setdefault("TRITON_INTERPRET", "1")

profiles.register()
if "CI" not in os.environ:
    settings.load_profile("full")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("model") is not None:
        reason = why_there_is_no_model()
        if reason is not None:
            pytest.skip(reason)


def pytest_sessionstart() -> None:
    """NumPy and Python serve what is drawn while tests are collected: nothing is compiled then."""
    os.environ[compilation.VARIABLE] = compilation.When.NEVER


def pytest_collection_finish() -> None:
    """From now on, what draws or masks waits for compiled kernels, also in child processes.

    So a run uses the same kernels from its first test on, where Numba is there, and a run that
    draws and masks nothing compiles nothing.
    """
    os.environ[compilation.VARIABLE] = compilation.When.WAIT
    # The collector of garbage passes over what stays: packages, and tests by the thousand. It does
    # not look for garbage among them now: that takes a second, and there is nearly none.
    gc.freeze()
    gc.enable()


@functools.cache
def why_there_is_no_model() -> str | None:
    """Why SmolLM2-135M-Instruct cannot be had; None where it is in the cache."""
    try:
        fetch("smollm2")
    except FetchError as error:
        return str(error)
    return None


@pytest.fixture(scope="session")
def smollm2() -> LanguageModel:
    """The model in float32, for tests marked `model`; `forward` is a `CachedModel`."""
    pytest.importorskip("torch")
    return load("smollm2")
