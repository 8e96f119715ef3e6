"""Edited logits in the Triton kernels, run by their interpreter, are the same float64 as NumPy's.

What a kernel computes for tokens of the history and of a bias is compared bit for bit; what it
computes for all others is seen in the greedy token and in the order of the likeliest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from arithmetic_cases import KINDS, arrays_of, bits_of, shadowed, tops_of
from profiles import amount
from triton_oracle import SLICED, WHOLE, run_step, tensor_of

from decoding.history import History
from decoding.kernels.gpu.kernel import TritonKernel
from decoding.kernels.program import Batch, Instruction, Opcode, Part, assemble, words_of
from decoding.kernels.vector.step import VectorKernel

BATCHES = amount(check=2, full=6, nightly=400)
"""Of `SIZE` rows each: an interpreter is slow."""
SIZE = amount(check=12, full=50)
WIDTHS = (5, 40, 40, 257)


def edits(generator: np.random.Generator, width: int) -> list[Instruction]:
    """Up to four of the edits that the fused kernels take, then perhaps a temperature."""
    some = tuple(generator.choice(width, min(width, 5), replace=False).tolist())
    bits = generator.integers(-(2**31), 2**31, words_of(width)).astype(np.int32)
    amount = float(generator.choice([generator.uniform(-3.0, 3.0), 1e-40, 1e-9, 0.1]))
    factor = float(generator.choice([0.7, 1.1, 3.0, generator.uniform(0.1, 9.0)]))
    options = (
        Instruction(Opcode.REPETITION_PENALTY, factor),
        Instruction(Opcode.FREQUENCY_PENALTY, amount, part=Part.GENERATED),
        Instruction(Opcode.PRESENCE_PENALTY, amount, part=Part.GENERATED),
        Instruction(Opcode.LOGIT_BIAS, token_ids=some, values=(amount,) * len(some)),
        Instruction(Opcode.BITMASK, bitmask=bits | np.int32(1)),
        Instruction(Opcode.BITMASK_BIAS, amount, bitmask=bits),
        Instruction(Opcode.BITMASK_BIAS, factor, bitmask=~bits),
    )
    chosen = generator.integers(0, len(options), generator.integers(1, 5))
    heat = Instruction(Opcode.TEMPERATURE, float(generator.uniform(0.05, 5.0)))
    return [*(options[place] for place in chosen), *[heat] * int(generator.integers(2))]


@pytest.mark.slow
def test_triton_is_numpy() -> None:
    patched = 0
    for number in range(BATCHES):
        generator = np.random.default_rng([31, number])
        width, dtype = int(generator.choice(WIDTHS)), ("float32", "float16", "bfloat16")[number % 3]
        rows = np.stack([KINDS[generator.integers(6)](generator, width) for _ in range(SIZE)])
        few = [edits(generator, width) for _ in range(5)]
        program = assemble([few[place] for place in generator.integers(0, 5, SIZE)])
        texts = [generator.integers(0, width, 12).tolist() for _ in range(2 * SIZE)]
        history = History.of(texts[:SIZE], texts[SIZE:])
        wide = shadowed(generator, rows, dtype, program, history)
        nobody = np.zeros(SIZE, np.int64)
        batch = Batch(program, nobody.astype(np.uint64), nobody == 0, nobody + 3)
        tensor = tensor_of(wide, dtype)
        assert np.array_equal(tensor.to(torch.float64).numpy(), wide)
        kernel = TritonKernel(batch)
        got = run_step(kernel, batch, tensor, history)
        arrays = arrays_of(program, wide, history)
        want = VectorKernel(batch).step(wide, wide, *arrays, describe=True)
        assert got.rows["status"].tolist() == want.rows["status"].tolist(), number
        assert got.rows["token_id"].tolist() == want.rows["token_id"].tolist(), number
        assert tops_of(got) == tops_of(want), number
        patched += check_patches(kernel, batch, wide, arrays)
        # Where nothing is described, contenders alone are candidates.
        silent = batch._replace(top_n=nobody)
        for sizes in (WHOLE, SLICED):
            other = run_step(TritonKernel(silent, **sizes), silent, tensor, history, describe=False)
            assert other.rows["token_id"].tolist() == want.rows["token_id"].tolist(), number
    assert patched > 20


def check_patches(kernel: TritonKernel, batch: Batch, wide: Any, arrays: Any) -> int:
    """The logits that the sparse edits left are NumPy's; how many were compared."""
    [launcher] = kernel._launchers.values()
    if not launcher._plan.sparse:
        return 0
    size, width = wide.shape
    patches = launcher._patches.view(size, width).numpy()
    words = launcher._touched.view(size, -1).numpy().view(np.uint32)
    bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, :width] == 1
    edited, emptied = VectorKernel(batch).edit(wide, *arrays)
    heated = np.array(
        [
            Opcode.TEMPERATURE in batch.program.opcodes[start:stop]
            for start, stop in zip(batch.program.firsts, batch.program.lasts, strict=True)
        ]
    )
    compared = bits & (edited > -np.inf) & ~heated[:, np.newaxis] & (emptied == -1)[:, np.newaxis]
    assert (bits_of(patches[compared]) == bits_of(edited[compared])).all()
    return int(compared.sum())
