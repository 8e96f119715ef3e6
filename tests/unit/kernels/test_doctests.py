"""The doctests of the kernels, under the name their package has: `decoding.kernels`."""

import doctest
import importlib
import pkgutil

import pytest

import decoding.kernels

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(decoding.kernels.__path__, "decoding.kernels.")
)


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"needs a package that is not installed: {error}")
    assert doctest.testmod(module).failed == 0
