"""Inputs and outputs of the torch kernels: arrays, tensors and bitmasks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tensor_steps import (
    BIAS,
    BITMASK,
    EVERYTHING,
    INF,
    REPETITION,
    ROW,
    TEMPERATURE,
    TOP_K,
    TOP_P,
    assert_alike,
    batch_of,
    both,
    step,
)

from decoding.history import History
from decoding.kernels.program import Instruction, Opcode, fit_bitmasks, words_of
from decoding.kernels.vector.step import VectorKernel

torch = pytest.importorskip("torch")

from decoding.kernels.tensor import arrays
from decoding.kernels.tensor.kernel import TensorKernel


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "float64"])
def test_a_tensor_enters_by_pointer(kind: str) -> None:
    tensor = torch.from_numpy(ROW).to(getattr(torch, kind))
    if kind == "bfloat16":
        rows = tensor.view(torch.int16).numpy().view(np.uint16)
    elif kind == "float16":
        rows = tensor.view(torch.int16).numpy()
    else:
        rows = tensor.numpy()
    entered = arrays.as_tensor(rows)
    assert entered.data_ptr() == tensor.data_ptr()
    assert entered.dtype == tensor.dtype
    assert torch.equal(entered, tensor)
    assert arrays.as_tensor(tensor).data_ptr() == tensor.data_ptr()


def test_a_read_only_array_enters_by_pointer_and_without_a_warning() -> None:
    rows = ROW.copy()
    rows.flags.writeable = False
    entered = arrays.as_tensor(rows)
    assert entered.data_ptr() == rows.ctypes.data
    assert np.array_equal(entered.numpy(), rows)


def test_a_reversed_array_is_copied() -> None:
    assert arrays.as_tensor(ROW[:, ::-1]).tolist() == ROW[:, ::-1].tolist()


def test_rows_that_are_part_of_a_wider_array() -> None:
    wide = np.random.default_rng(0).standard_normal((4, 20))
    assert_alike(both([EVERYTHING] * 2, wide[::2, 1:17:3], top_n=3))


def test_a_tensor_and_its_host_array_give_the_same_result() -> None:
    batch = batch_of([(TEMPERATURE, TOP_P)] * 2, top_n=2)
    logits = np.repeat(ROW, 2, axis=0).astype(np.float32)
    tensor = torch.from_numpy(logits).requires_grad_()
    kernel = TensorKernel(batch)
    one, other = step(kernel, batch, logits), step(kernel, batch, tensor)
    assert one.rows.tobytes() == other.rows.tobytes()
    assert one.top.tobytes() == other.top.tobytes()


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
@pytest.mark.parametrize("capacity", [2, 1024])
def test_nothing_given_is_written_to(dtype: Any, capacity: int) -> None:
    rows = np.random.default_rng(0).standard_normal((3, 40)) * 3
    logits = rows.astype(np.float16).view(np.int16) if dtype == np.int16 else rows.astype(dtype)
    batch = batch_of([EVERYTHING, EVERYTHING, (BIAS, REPETITION)])
    history = History.of([[1, 2, 3]] * 3, [[1, 1, 39]] * 3)
    bitmasks = fit_bitmasks(list(batch.program.bitmasks), words_of(40))
    given = (logits, bitmasks, history.token_ids, history.lengths, history.prompt_lengths)
    before = [array.copy() for array in given]
    kernel = TensorKernel(batch, capacity=capacity)
    kernel.step(logits, *given, describe=True)
    edited, _ = kernel.edit(*given)
    edited[:] = 0.0
    for array, copy in zip(given, before, strict=True):
        assert np.array_equal(array, copy)


def test_constants_stay_on_the_device_and_changed_bitmasks_are_seen() -> None:
    batch = batch_of([(BITMASK,)], greedy=True)
    kernel = TensorKernel(batch)
    nobody = np.zeros(1, np.int64)
    bitmasks = np.array([[0b0001]], np.int32)

    def token() -> int:
        seen = (np.zeros((1, 0), np.int32), nobody, nobody)
        return int(kernel.step(ROW, ROW, bitmasks, *seen, describe=False).rows["token_id"][0])

    assert token() == 0
    groups = kernel._groups_for(batch, torch.from_numpy(ROW))
    tensor = kernel._bitmasks.on(torch.device("cpu"), bitmasks)
    assert token() == 0
    assert kernel._groups_for(batch, torch.from_numpy(ROW)) is groups
    assert kernel._bitmasks.on(torch.device("cpu"), bitmasks) is tensor
    assert not np.shares_memory(tensor.numpy(), bitmasks)
    bitmasks[0, 0] = 0b0100
    assert token() == 2


def test_edit_returns_float64_rows_and_who_emptied_them() -> None:
    nothing = Instruction(Opcode.BITMASK, bitmask=np.zeros(1, np.int32))
    rows = [(TEMPERATURE,), (TEMPERATURE, nothing, TOP_K), (TOP_K,), ()]
    batch = batch_of(rows)
    logits = np.repeat(ROW, 4, axis=0).astype(np.float16)
    logits[2:] = -INF
    seen = History.empty(4)
    bitmasks = fit_bitmasks(list(batch.program.bitmasks), 1)
    arguments = (logits.view(np.int16), bitmasks, seen.token_ids, seen.lengths, seen.prompt_lengths)
    edited, emptied = TensorKernel(batch).edit(*arguments)
    want, culprits = VectorKernel(batch).edit(*arguments)
    assert edited.dtype == want.dtype == np.float64
    assert emptied.tolist() == culprits.tolist() == [-1, 1, 0, -1]
    assert np.array_equal(edited, want)


def test_an_empty_batch() -> None:
    batch = batch_of([])
    result = step(TensorKernel(batch), batch, np.zeros((0, 5)))
    assert (len(result.rows), len(result.top)) == (0, 0)


@pytest.mark.parametrize("width", [1, 31, 32, 33, 70])
def test_bits_beyond_the_words_are_not_set(width: int) -> None:
    logits = np.tile(np.arange(width, dtype=np.float64), (2, 1))
    every = np.array([[-1], [-1]], np.int32)
    mask, bias = (Instruction(code, 2.0, bitmask=every[0]) for code in (9, 10))
    batch = batch_of([(mask, bias), (TOP_K, bias)], top_n=2)
    seen = History.empty(2)
    for words in (np.zeros((3, 0), np.int32), np.full((3, 1), -1, np.int32)):
        got, want = (
            kernel(batch).step(
                logits,
                logits,
                words,
                seen.token_ids,
                seen.lengths,
                seen.prompt_lengths,
                describe=True,
            )
            for kernel in (lambda batch: TensorKernel(batch, capacity=4), VectorKernel)
        )
        assert_alike((got, want))


def test_a_device_without_float64_is_served_by_the_host() -> None:
    assert arrays.working_device(torch.device("mps")) == torch.device("cpu")
    assert arrays.working_device(torch.device("cuda", 1)) == torch.device("cuda", 1)
