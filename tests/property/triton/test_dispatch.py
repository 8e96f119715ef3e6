"""Which steps the Triton kernels run, and which torch runs instead."""

from __future__ import annotations

import math

import numpy as np
import pytest
from backend_oracle import bitmasks_for
from triton_oracle import assert_close, run_step, simple, vars_of

from decoding.history import History
from decoding.kernels.backends import Backend, open_kernel
from decoding.kernels.vector.step import VectorKernel
from decoding.pipeline import Pipeline, chain
from decoding.processors import (
    Dry,
    FrequencyPenalty,
    LogitBias,
    MinP,
    NoRepeatNgram,
    RepetitionPenalty,
    Scoped,
    Temperature,
    TopK,
    TopP,
    TypicalP,
)

torch = pytest.importorskip("torch")

from decoding.kernels.gpu.kernel import TritonKernel
from decoding.kernels.gpu.plans import plan

WIDE = chain(TopP(0.9)), chain(TypicalP(0.5)), chain(MinP(0.02)), chain(TopK(50), TopP(0.9))


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", [*WIDE, chain(), chain(Temperature(2.0), TopK(300, False))])
@pytest.mark.parametrize("seed", [None, 11])
def test_a_wide_row_is_done_without_torch(pipeline: Pipeline, seed: int | None) -> None:
    # Seven slices at the sizes that a device uses, with likely tokens side by side.
    generator = np.random.default_rng(4)
    logits = (generator.standard_normal((1, 25_003)) * 2.0).astype(np.float32)
    logits[0, 500:800] += 4.0
    kernel, batch = simple(pipeline, logits, top_n=5, seed=seed)
    history = History.of([[3, 4]])
    got = run_step(kernel, batch, torch.from_numpy(logits), history)
    assert kernel._torch is None
    row = got.rows[0]
    want = VectorKernel(batch).step(
        logits, logits, bitmasks_for(batch.program, 25_003), *vars_of(history), describe=True
    )
    for name in ("status", "token_id", "rank", "support_size", "top_count"):
        assert row[name] == want.rows[0][name]
    for name in ("raw_logprob", "processed_logprob", "entropy"):
        assert_close(row[name], want.rows[0][name])
    assert got.top["token_id"].tolist() == want.top["token_id"].tolist()


@pytest.mark.parametrize(
    "pipeline",
    [
        chain(TopK(5), RepetitionPenalty(1.3)),
        chain(Temperature(0.5), LogitBias({1: 2.0})),
        chain(Temperature(1e-40), TopP(0.5)),
        chain(FrequencyPenalty(3e38)),
        chain(Scoped(RepetitionPenalty(1.3), "all", last_n=1)),
        chain(Scoped(FrequencyPenalty(0.5), "prompt", exempt=(3,))),
        chain(NoRepeatNgram(1), Dry(0.8, dry_allowed_length=1)),
    ],
)
def test_other_chains_go_to_torch(pipeline: Pipeline) -> None:
    logits = np.linspace(-1.0, 1.0, 20, dtype=np.float32)[np.newaxis]
    kernel, batch = simple(pipeline, logits)
    assert plan(batch) is None
    history = History.of([[3, 4]], [[5]])
    got = run_step(kernel, batch, torch.from_numpy(logits), history).rows[0]
    assert kernel._torch is not None
    want = VectorKernel(batch).step(
        logits, logits, bitmasks_for(batch.program, 20), *vars_of(history), describe=True
    )
    assert got["token_id"] == want.rows[0]["token_id"]
    assert_close(got["processed_logprob"], want.rows[0]["processed_logprob"])


def test_float64_goes_to_torch() -> None:
    logits = np.array([[0.0, 1.0, 1.0 + 1e-12]])
    kernel, batch = simple(chain(), logits, seed=None)
    assert run_step(kernel, batch, torch.from_numpy(logits), History.empty(1)).rows[0][3] == 2
    assert kernel._torch is not None


def test_more_kept_tokens_than_there_is_room_for_go_to_torch() -> None:
    logits = np.zeros((2, 10_000), np.float32)
    logits[1, 123] = 20.0
    kernel, batch = simple(chain(TopP(0.95)), logits)
    got = run_step(kernel, batch, torch.from_numpy(logits), History.empty(2)).rows
    assert got["support_size"].tolist() == [9500, 1]
    assert got["token_id"][1] == 123
    assert kernel._torch is not None


def test_edits_alone_are_those_of_torch() -> None:
    logits = np.array([[1.0, 2.0, 3.0]], np.float32)
    kernel, batch = simple(chain(LogitBias({0: 5.0}), TopK(2)), logits)
    history = History.empty(1)
    rows, emptied = kernel.edit(
        torch.from_numpy(logits), bitmasks_for(batch.program, 3), *vars_of(history)
    )
    assert rows.tolist() == [[6.0, -math.inf, 3.0]]
    assert emptied.tolist() == [-1]


def test_the_registry_opens_it() -> None:
    _, batch = simple(chain(), np.zeros((1, 3)))
    assert isinstance(open_kernel(batch, Backend.TRITON), TritonKernel)
