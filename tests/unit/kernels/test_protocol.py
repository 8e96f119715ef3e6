"""Every backend has the protocol of `decoding.kernels.backends.Kernel`, word for word."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import numpy as np
import pytest

from decoding.kernels.backends import Kernel
from decoding.kernels.result import TOP, tuples_of_top

BACKENDS = {
    "decoding.kernels.vector.step": "VectorKernel",
    "decoding.kernels.compiled.kernel": "CompiledKernel",
    "decoding.kernels.tensor.kernel": "TensorKernel",
    "decoding.kernels.gpu.kernel": "TritonKernel",
}
METHODS = [name for name in vars(Kernel) if not name.startswith("_")]


def parameters(method: Any) -> list[tuple[str, Any, Any]]:
    found = inspect.signature(method).parameters.values()
    return [(item.name, item.kind, item.default) for item in found]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("module", BACKENDS)
def test_a_backend_takes_what_the_protocol_says(module: str, method: str) -> None:
    try:
        kernel = getattr(importlib.import_module(module), BACKENDS[module])
    except ImportError as error:
        pytest.skip(f"not installed: {error}")
    assert parameters(getattr(kernel, method)) == parameters(getattr(Kernel, method))


def test_the_protocol_has_methods() -> None:
    assert METHODS == ["step", "edit", "regrouped"]


def test_entries_of_the_likeliest_tokens_are_unpacked_as_numpy_lists_them() -> None:
    generator = np.random.default_rng(1)
    top = np.frombuffer(generator.bytes(40 * TOP.itemsize), TOP)
    finite = top[np.isfinite(top["raw_logprob"]) & np.isfinite(top["processed_logprob"])]
    assert len(finite) > 20
    assert list(tuples_of_top(finite[3:])) == finite[3:].tolist()
