"""Helpers for tests of the Triton kernels: batches, and steps in Triton's interpreter."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import warnings
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
from backend_oracle import bitmasks_for, instructions_of, rows_of

from decoding.history import History
from decoding.kernels.program import Batch, assemble
from decoding.kernels.result import StepResult
from decoding.pipeline import Pipeline

torch = pytest.importorskip("torch")
triton = pytest.importorskip("triton")
from triton.runtime import interpreter

if isinstance(triton.language.sum, triton.JITFunction):
    pytest.skip(
        "something imported triton before TRITON_INTERPRET was set", allow_module_level=True
    )

from decoding.kernels.gpu.kernel import TritonKernel

BAND = 1e-5
"""How far what is counted in float32 may be off."""
WHOLE: dict[str, int] = {}
SLICED = {"tile": 32, "room": 128, "narrow_room": 64}
"""Rows of the strategies fit one program as they are; this makes several of them, and searches for
candidates, and leaves rows undecided."""


@contextlib.contextmanager
def as_on_a_device() -> Iterator[None]:
    """Interpret without what a device does not do either, which would take most of the time.

    No integer is checked for overflow, and the language is patched once a launch, not once a call.
    NumPy warns of what a device does silently, in lanes that nobody reads.
    """
    builder, patch, launched = interpreter.interpreter_builder, interpreter._patch_lang, []

    def patch_once(function: Any) -> Any:
        if launched:
            return None
        launched.extend([patch(function), patch(triton.language.sum.fn)])
        return mock.Mock(restore=restore)

    def restore() -> None:
        while launched:
            launched.pop().restore()

    options = dataclasses.replace(builder.options, sanitize_overflow=False)
    with (
        np.errstate(all="ignore"),
        warnings.catch_warnings(),
        mock.patch.object(builder, "options", options),
        mock.patch.object(interpreter, "_patch_lang", patch_once),
    ):
        warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
        yield


def run_step(
    kernel: TritonKernel, batch: Batch, rows: Any, history: History, *, describe: bool = True
) -> StepResult:
    """A step on a tensor, which is what it was before."""
    before = rows.clone()
    with as_on_a_device():
        result = kernel.step(
            rows,
            rows,
            bitmasks_for(batch.program, rows.shape[1]),
            history.token_ids,
            history.lengths,
            history.prompt_lengths,
            describe=describe,
        )
    assert torch.equal(rows.view(torch.uint8), before.view(torch.uint8))
    return result


def tensor_of(logits: np.ndarray[Any, Any], dtype: str) -> Any:
    """Logits as a tensor of a dtype, and padded: its rows do not stand side by side."""
    bits = rows_of(logits, dtype)
    kind = getattr(torch, dtype)
    tensor = torch.from_numpy(bits if dtype == "float32" else bits.view(np.int16)).view(kind)
    return torch.nn.functional.pad(tensor, (0, 3), value=math.nan)[:, : tensor.shape[1]]


def batch_of(
    pipelines: list[Pipeline], seeds: list[int], greedy: list[bool], top_n: list[int]
) -> Batch:
    program = assemble([instructions_of(pipeline) for pipeline in pipelines])
    return Batch(program, np.array(seeds, np.uint64), np.array(greedy), np.array(top_n, np.int64))


def assert_close(got: float, want: float) -> None:
    assert abs(got - want) <= BAND * max(1.0, abs(want))


def simple(
    pipeline: Pipeline, logits: np.ndarray[Any, Any], *, top_n: int = 0, seed: int | None = 7
) -> tuple[TritonKernel, Batch]:
    size = len(logits)
    batch = batch_of([pipeline] * size, [seed or 0] * size, [seed is None] * size, [top_n] * size)
    return TritonKernel(batch), batch


def vars_of(history: History) -> tuple[Any, Any, Any]:
    return history.token_ids, history.lengths, history.prompt_lengths
