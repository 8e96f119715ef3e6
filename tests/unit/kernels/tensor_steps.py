"""Helpers for tests of the torch kernels: instructions, and steps beside NumPy's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from decoding.history import History
from decoding.kernels.program import (
    Batch,
    Instruction,
    Opcode,
    Part,
    Term,
    assemble,
    cut,
    fit_bitmasks,
    words_of,
)
from decoding.kernels.result import StepResult
from decoding.kernels.vector.step import VectorKernel

torch = pytest.importorskip("torch")

from decoding.kernels.tensor.kernel import TensorKernel

ROW = np.log(np.array([[0.1, 0.4, 0.4, 0.1]]))
INF = np.inf
TEMPERATURE = Instruction(Opcode.TEMPERATURE, 0.5)
TOP_K = Instruction(Opcode.TOP_K, 2, 1.0)
TOP_P = Instruction(Opcode.TOP_P, 0.9)
MIN_P = cut(Term(math.log(0.1)))
TYPICAL_P = Instruction(Opcode.TYPICAL_P, 0.9)
REPETITION = Instruction(Opcode.REPETITION_PENALTY, 1.5)
FREQUENCY = Instruction(Opcode.FREQUENCY_PENALTY, 0.5, part=Part.GENERATED)
PRESENCE = Instruction(Opcode.PRESENCE_PENALTY, 0.5, part=Part.GENERATED)
BIAS = Instruction(Opcode.LOGIT_BIAS, token_ids=(1, 2), values=(1.0, -1.0))
BITMASK = Instruction(Opcode.BITMASK, bitmask=np.array([0b0111], np.int32))
BITMASK_BIAS = Instruction(Opcode.BITMASK_BIAS, 1.0, bitmask=np.array([0b0010], np.int32))
EVERYTHING = (
    *(TEMPERATURE, REPETITION, FREQUENCY, PRESENCE, BIAS, BITMASK, BITMASK_BIAS),
    *(TYPICAL_P, TOP_K, TOP_P, MIN_P),
)


def batch_of(
    rows: Sequence[Sequence[Instruction]], *, greedy: bool = False, top_n: int = 0
) -> Batch:
    size = len(rows)
    return Batch(
        assemble(rows),
        np.arange(size, dtype=np.uint64),
        np.full(size, greedy),
        np.full(size, top_n, np.int64),
    )


def step(
    kernel: Any,
    batch: Batch,
    logits: Any,
    history: History | None = None,
    *,
    raw: Any = None,
    describe: bool = True,
) -> StepResult:
    seen = history or History.empty(len(logits))
    return kernel.step(
        logits,
        logits if raw is None else raw,
        fit_bitmasks(list(batch.program.bitmasks), words_of(logits.shape[1])),
        seen.token_ids,
        seen.lengths,
        seen.prompt_lengths,
        describe=describe,
    )


def both(
    rows: Sequence[Sequence[Instruction]], logits: Any, *, capacity: int = 1024, **options: Any
) -> tuple[StepResult, StepResult]:
    batch = batch_of(rows, **options)
    kernel = TensorKernel(batch, capacity=capacity)
    return step(kernel, batch, logits), step(VectorKernel(batch), batch, logits)


def assert_alike(results: tuple[StepResult, StepResult]) -> None:
    got, want = results
    for name in ("status", "fault_position", "fault_count", "token_id", "rank", "support_size"):
        assert got.rows[name].tolist() == want.rows[name].tolist(), name
    for name in ("raw_logprob", "processed_logprob", "entropy"):
        assert got.rows[name] == pytest.approx(want.rows[name], rel=1e-12, abs=1e-12), name
    for row in range(len(got.rows)):
        one, other = (
            result.top[result.rows[row]["top_start"] :][: result.rows[row]["top_count"]]
            for result in results
        )
        assert one["token_id"].tolist() == other["token_id"].tolist()
        assert one["raw_logprob"] == pytest.approx(other["raw_logprob"], rel=1e-12)
