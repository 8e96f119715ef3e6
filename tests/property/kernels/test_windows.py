"""Truncations that leave more tokens than the compiled kernels list equal NumPy's.

Such a row is drawn from as it is stored, within bounds of its logits, and so is what follows.
Edited tokens stand beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backend_oracle import DTYPES, bitmasks_for, rows_of

from decoding.history import History
from decoding.kernels.program import Batch, Instruction, Opcode, assemble
from decoding.kernels.rows import widen
from decoding.kernels.vector.step import VectorKernel
from decoding.processors import MinP

kernel = pytest.importorskip("decoding.kernels.compiled.kernel", reason="numba is not installed")
SIZE, TOP_N = 12, 6
TOP_P, TYPICAL = Instruction(Opcode.TOP_P, 0.8), Instruction(Opcode.TYPICAL_P, 0.6)
COLD = Instruction(Opcode.TEMPERATURE, 0.7)
WORDS = np.random.default_rng(3).integers(-(2**31), 2**31, (2, 629)).astype(np.int32)
"""Bitmasks of half of 20,128 tokens."""
MASK = Instruction(Opcode.BITMASK, bitmask=WORDS[0])
GREEN = Instruction(Opcode.BITMASK_BIAS, 2.0, bitmask=WORDS[1])
BIAS = Instruction(Opcode.LOGIT_BIAS, token_ids=tuple(range(0, 900, 9)), values=(0.5, -2.0) * 50)
PROGRAMS = {
    "bias, top-k of ties": (BIAS, Instruction(Opcode.TOP_K, 40.0, 1.0)),
    "bias, temperature, exactly k, top-p": (BIAS, COLD, Instruction(Opcode.TOP_K, 60.0), TOP_P),
    "bias, min-p": (BIAS, *MinP(1e-4).lower()),
    "bias, min-p, temperature": (BIAS, *MinP(1e-4).lower(), COLD),
    "mask, bias, top-k, top-k": (
        MASK,
        BIAS,
        Instruction(Opcode.TOP_K, 60.0, 1.0),
        Instruction(Opcode.TOP_K, 55.0),
    ),
    "mask, min-p": (MASK, *MinP(1e-4).lower()),
    "green, mask, temperature, min-p": (GREEN, MASK, COLD, *MinP(1e-4).lower()),
    "mask, green, mask, top-k of ties": (
        MASK,
        GREEN,
        Instruction(Opcode.BITMASK, bitmask=WORDS[1] | 255),
        Instruction(Opcode.TOP_K, 40.0, 1.0),
    ),
    "green, bias of a mask, mask, min-p": (
        GREEN,
        Instruction(Opcode.BITMASK_BIAS, -0.5, bitmask=WORDS[0]),
        MASK,
        *MinP(1e-4).lower(),
    ),
    "green, bias, mask, temperature, top-k, top-p": (
        GREEN,
        BIAS,
        MASK,
        COLD,
        Instruction(Opcode.TOP_K, 50.0, 1.0),
        TOP_P,
    ),
    "bias, top-k, bias": (BIAS, Instruction(Opcode.TOP_K, 40.0, 1.0), BIAS),
    "green, top-k, typical-p": (GREEN, Instruction(Opcode.TOP_K, 40.0, 1.0), TYPICAL),
    "top-p": (TOP_P,),
    "temperature, top-p": (COLD, TOP_P),
    "top-p, temperature": (TOP_P, COLD),
    "top-p, top-k": (TOP_P, Instruction(Opcode.TOP_K, 900.0, 1.0)),
    "typical-p": (TYPICAL,),
    "temperature, typical-p": (COLD, TYPICAL),
    "typical-p, temperature, min-p": (TYPICAL, COLD, *MinP(0.3).lower()),
    "min-p": MinP(1e-4).lower(),
    "min-p, temperature, temperature": (*MinP(1e-4).lower(), COLD, COLD),
    "top-k of ties": (Instruction(Opcode.TOP_K, 700.0, 1.0),),
    "exactly k": (Instruction(Opcode.TOP_K, 700.0, 0.0),),
    "exactly k, top-p": (Instruction(Opcode.TOP_K, 700.0, 0.0), TOP_P),
    "top-k, exactly k, typical-p": (
        Instruction(Opcode.TOP_K, 700.0, 1.0),
        Instruction(Opcode.TOP_K, 300.0, 0.0),
        TYPICAL,
    ),
}


def normal(generator: np.random.Generator, width: int) -> Any:
    return generator.standard_normal(width)


def tied(generator: np.random.Generator, width: int) -> Any:
    return np.round(generator.standard_normal(width) * 2.0) / 2.0


def flat(generator: np.random.Generator, width: int) -> Any:
    return np.full(width, generator.choice([0.0, -3.5, 20.0]))


def two_valued(generator: np.random.Generator, width: int) -> Any:
    return generator.choice([1.0, 1.25], width, p=[0.9, 0.1])


def masked(generator: np.random.Generator, width: int) -> Any:
    return np.where(generator.random(width) < 0.3, -np.inf, generator.standard_normal(width))


KINDS = (normal, tied, flat, two_valued, masked)


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize(("width", "limit"), [(1_003, 4), (20_100, 64)])
@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_not_listed_is_drawn_and_described(
    name: str, width: int, limit: int, greedy: bool
) -> None:
    generator = np.random.default_rng([width, greedy])
    rows = np.stack([KINDS[row % len(KINDS)](generator, width) for row in range(SIZE)])
    stored = rows_of(rows, DTYPES[sorted(PROGRAMS).index(name) % len(DTYPES)])
    wide = widen(stored).astype(np.float64)
    program, history = assemble([PROGRAMS[name]] * SIZE), History.empty(SIZE)
    seeds = generator.integers(0, 2**64, SIZE, np.uint64)
    batch = Batch(program, seeds, np.full(SIZE, greedy), np.full(SIZE, TOP_N))
    arrays = bitmasks_for(program, width), history.token_ids, history.lengths
    arrays = (*arrays, history.prompt_lengths)
    ready = kernel.CompiledKernel(batch, 1, limit)
    got = ready.step(stored, stored, *arrays, describe=True)
    want = VectorKernel(batch).step(wide, wide, *arrays, describe=True)
    # A cut by mass may fall on either side of a token where a sum is that near.
    differ = np.abs(got.rows["support_size"] - want.rows["support_size"])
    assert differ.max() <= 1
    clear = np.flatnonzero(differ == 0)
    assert len(clear) >= SIZE - 2
    for field in ("status", "token_id", "rank", "top_count"):
        assert got.rows[field][clear].tolist() == want.rows[field][clear].tolist(), field
    for field in ("raw_logprob", "processed_logprob", "entropy"):
        np.testing.assert_allclose(got.rows[field][clear], want.rows[field][clear], 1e-5, 1e-5)
    for row in clear.tolist():
        start, count = got.rows[row]["top_start"], got.rows[row]["top_count"]
        first = want.rows[row]["top_start"]
        ours, theirs = got.top[start : start + count], want.top[first : first + count]
        assert ours["token_id"].tolist() == theirs["token_id"].tolist()
    drawn = ready.step(stored, stored, *arrays, describe=False).rows
    assert drawn["token_id"][clear].tolist() == want.rows["token_id"][clear].tolist()
    edited, _ = ready.edit(stored, *arrays)
    by_numpy, _ = VectorKernel(batch).edit(wide, *arrays)
    assert ((edited > -np.inf) == (by_numpy > -np.inf))[clear].all()
