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
    assert doctest.testmod(importlib.import_module(name)).failed == 0
