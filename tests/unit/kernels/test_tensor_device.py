"""The torch kernels: as many device operations for many rows as for few, and no waits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from profiles import amount, spread
from tensor_steps import EVERYTHING, TOP_P, assert_alike, batch_of, step

from decoding.history import History
from decoding.kernels.vector.step import VectorKernel

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode  # torch is there

from decoding.kernels.tensor.kernel import TensorKernel, launch


@pytest.mark.slow
def test_a_row_that_needs_more_than_the_capacity_is_run_again_alone() -> None:
    logits = np.random.default_rng(0).standard_normal((3, 500))
    logits[[0, 2], 7] = 30.0
    batch = batch_of([(TOP_P,)] * 3, top_n=2)
    assert_alike(
        (
            step(TensorKernel(batch, capacity=8), batch, logits),
            step(VectorKernel(batch), batch, logits),
        )
    )
    kernel = TensorKernel(batch, capacity=8)
    with Operations() as seen:
        step(kernel, batch, logits)
    assert ("sort", (1, 500)) in seen.shapes
    assert ("sort", (3, 500)) not in seen.shapes


class Operations(TorchDispatchMode):
    """Records what torch is asked to do, and how large the first operand is."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.shapes: set[tuple[str, tuple[int, ...]]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.names.append(name)
        if args and isinstance(args[0], torch.Tensor):
            self.shapes.add((name, tuple(args[0].shape)))
        return func(*args, **(kwargs or {}))


def operations_of(size: int, capacity: int) -> list[str]:
    logits = np.random.default_rng(0).standard_normal((size, 300)).astype(np.float32)
    logits[:, 3] = 20.0
    batch = batch_of([EVERYTHING] * size, top_n=3)
    history = History.of([[1, 2, 3]] * size, [[1, 1, 250]] * size)
    kernel = TensorKernel(batch, capacity=capacity)
    step(kernel, batch, logits, history)
    with Operations() as seen:
        step(kernel, batch, logits, history)
    return seen.names


@pytest.mark.slow
@pytest.mark.parametrize("capacity", spread([16, 1024], 1))
def test_more_rows_are_not_more_operations(capacity: int) -> None:
    few, many = operations_of(2, capacity), operations_of(amount(check=8, full=64), capacity)
    assert few == many
    waiting = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "unique", "equal"}
    assert waiting.isdisjoint(few)


@pytest.mark.slow
def test_nothing_on_the_device_depends_on_a_value() -> None:
    """Tensors on the meta device have no values: what looks at one raises."""
    size, width = 3, 2000
    batch = batch_of([EVERYTHING] * size, top_n=3)
    kernel = TensorKernel(batch)
    logits = torch.zeros((size, width), device="meta", dtype=torch.bfloat16)
    history = History.of([[1, 2, 3]] * size)
    [group] = kernel._groups_for(batch, logits)
    around = kernel._surroundings(
        [group],
        logits.device,
        batch.program.bitmasks,
        history.token_ids,
        history.lengths,
        history.prompt_lengths,
    )
    for capacity in (1024, None):
        for described in (True, False):
            table = launch(group, logits, logits, around, capacity, described=described)
            assert table.device.type == "meta"
            assert table.dtype == torch.int64
