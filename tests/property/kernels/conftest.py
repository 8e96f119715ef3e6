"""The compiled kernels as these tests use them: by their class, past what gets them ready."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from decoding.sampling import backends

HIDDEN = os.environ.get("DECODING_TEST_WITHOUT", "").split(",")
IS_THERE = "numba" not in HIDDEN and importlib.util.find_spec("numba") is not None


@pytest.fixture(scope="session", autouse=True)
def each_step_waits_for_the_kernels_of_its_rows() -> Iterator[None]:
    """Else the first step would compile them without keeping the machine code."""
    if not IS_THERE:
        yield
        return
    from decoding.kernels.compiled.kernel import CompiledKernel

    patch = pytest.MonkeyPatch()
    for name in ("step", "edit"):
        patch.setattr(CompiledKernel, name, waiting(getattr(CompiledKernel, name)))
    yield
    patch.undo()


def waiting(method: Any) -> Any:
    def wait(kernel: Any, logits: Any, *arguments: Any, **named: Any) -> Any:
        loader = backends._loader()
        if threading.current_thread() not in loader._threads.values():  # which runs a step itself
            loader.wait(logits.dtype)
        return method(kernel, logits, *arguments, **named)

    return wait
