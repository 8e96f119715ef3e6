"""The compiled kernels equal NumPy's on a few hundred hostile rows (quick; in `make check`).

The same as `test_compiled_equals_reference`, which is slow, on fewer cases; and each kind of
operation alone, so that a wrong one is told by its test.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backend_oracle import bitmasks_for
from compiled_cases import check_case

from decoding.history import History
from decoding.kernels.program import Batch, Instruction, Opcode, Part, assemble
from decoding.kernels.vector.step import VectorKernel
from decoding.processors import EpsilonCutoff, EtaCutoff, MinP, TopNSigma

kernel = pytest.importorskip("decoding.kernels.compiled.kernel", reason="numba is not installed")
SIZE = 24
WORDS = np.random.default_rng(8).integers(-(2**31), 2**31, (3, 640)).astype(np.int32)
"""Bitmasks of half of 20,480 tokens."""
MASK, GREEN, OTHER = (
    Instruction(Opcode.BITMASK, bitmask=WORDS[0]),
    Instruction(Opcode.BITMASK_BIAS, 2.0, bitmask=WORDS[1]),
    Instruction(Opcode.BITMASK_BIAS, -0.7, bitmask=WORDS[2]),
)
FEW = Instruction(Opcode.TOP_K, 20.0, 1.0)
COLD = Instruction(Opcode.TEMPERATURE, 0.7)
SEEN = Instruction(Opcode.REPETITION_PENALTY, 1.3)
KINDS = {
    "nothing": (),
    "edit": (
        Instruction(Opcode.REPETITION_PENALTY, 1.3),
        Instruction(Opcode.FREQUENCY_PENALTY, 0.4, part=Part.GENERATED),
    ),
    "bias": (Instruction(Opcode.LOGIT_BIAS, token_ids=(2, 5, 9), values=(3.0, -2.0, 1.5)),),
    "temperature": (Instruction(Opcode.TEMPERATURE, 1.7),),
    "top-k": (Instruction(Opcode.TOP_K, 20.0, 1.0),),
    "top-p": (Instruction(Opcode.TOP_P, 0.8),),
    "min-p": MinP(0.05).lower(),
    "typical-p": (Instruction(Opcode.TYPICAL_P, 0.7),),
    "top-h": (Instruction(Opcode.TOP_H, 0.6),),
    "top-n-sigma": TopNSigma(1.5).lower(),
    "epsilon": EpsilonCutoff(3e-3).lower(),
    "eta": EtaCutoff(0.2).lower(),  # √ε · e^−H is the smaller one on these rows
    "cutoffs": (*EpsilonCutoff(1e-3).lower(), *EtaCutoff(0.2).lower()),
    "twice": (*MinP(0.01).lower(), Instruction(Opcode.TOP_P, 0.8)),
    "xtc": (Instruction(Opcode.XTC, 0.02, 1.0, 0.8, seed=3),),
    "a penalty, top-k": (SEEN, Instruction(Opcode.TOP_K, 40.0, 1.0)),
    "a bias, top-k": (GREEN, FEW),
    "a mask, top-k": (MASK, FEW),
    "a bias, penalties, a mask, temperature, top-k": (GREEN, SEEN, MASK, COLD, FEW),
    "masks, min-p": (GREEN, MASK, *MinP(0.05).lower()),
    "three masks, top-k": (GREEN, OTHER, MASK, FEW),
    "temperature, a mask, a bias, top-k": (COLD, MASK, OTHER, FEW),
    "masks, top-p": (GREEN, MASK, Instruction(Opcode.TOP_P, 0.8)),
    "a mask alone": (MASK,),
    "a mask, more than can be listed": (MASK, Instruction(Opcode.TOP_K, 18_000.0)),
}


BY_MASS = ("top-p", "typical-p", "top-h", "epsilon", "eta", "cutoffs", "twice", "masks, top-p")


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("width", [60, 1_000, 20_000])
@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_operation_is_that_of_numpy(name: str, width: int, greedy: bool) -> None:
    generator = np.random.default_rng([width, greedy])
    rows = generator.standard_normal((SIZE, width)) * 3.0
    check_operation(name, generator, rows, greedy, least=0.9 * SIZE)


@pytest.mark.parametrize("limit", [16, 16_384])
@pytest.mark.parametrize("width", [60, 1_000, 4_096, 20_000])
@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_operation_on_equal_logits_is_that_of_numpy(
    name: str, width: int, limit: int
) -> None:
    generator = np.random.default_rng(width)
    rows = np.repeat(generator.choice([-7.25, 0.5, 11.0], (SIZE, 1)), width, axis=1)
    # Of three rows in four one logit differs, of one of them by as little as it can.
    places = generator.integers(0, width, SIZE)
    places[::6] = width - 1
    rows[np.arange(SIZE), places] += np.tile([0.0, 2.0, -2.0, -1e-6], SIZE // 4)
    # A share of the mass often ends where a token does, of equal ones: there it may fall on either.
    check_operation(name, generator, rows, greedy=False, least=0.5 * SIZE, limit=limit)


def check_operation(
    name: str,
    generator: np.random.Generator,
    rows: Any,
    greedy: bool,
    *,
    least: float,
    limit: int = 16_384,
) -> None:
    """Compare all that a step says of some rows under the instructions of a name with NumPy.

    least: so many rows at least must not be in doubt. limit: of the candidates that are listed.
    """
    rows, width = rows.astype(np.float32), rows.shape[1]
    texts = [generator.integers(0, width, 30).tolist() for _ in range(2 * SIZE)]
    history = History.of(texts[:SIZE], texts[SIZE:])
    program = assemble([KINDS[name]] * SIZE)
    seeds = generator.integers(0, 2**64, SIZE, np.uint64)
    batch = Batch(program, seeds, np.full(SIZE, greedy), np.full(SIZE, 4))
    arrays = bitmasks_for(program, width), history.token_ids, history.lengths
    arrays = (*arrays, history.prompt_lengths)
    got = kernel.CompiledKernel(batch, 1, limit).step(rows, rows, *arrays, describe=True)
    want = VectorKernel(batch).step(rows, rows, *arrays, describe=True)
    # A cut by mass may fall on either side of a token where a sum is that near.
    differ = np.abs(got.rows["support_size"] - want.rows["support_size"])
    assert differ.max() <= (1 if name in BY_MASS else 0)
    clear = np.flatnonzero(differ == 0)
    assert len(clear) >= least
    for field in ("status", "token_id", "rank", "top_count"):
        assert got.rows[field][clear].tolist() == want.rows[field][clear].tolist(), field
    for field in ("raw_logprob", "processed_logprob", "entropy"):
        assert_close(got.rows[field][clear], want.rows[field][clear], field)
    for row in clear.tolist():
        start, count = got.rows[row]["top_start"], got.rows[row]["top_count"]
        first = want.rows[row]["top_start"]
        ours, theirs = got.top[start : start + count], want.top[first : first + count]
        assert ours["token_id"].tolist() == theirs["token_id"].tolist()
        for field in ("raw_logprob", "processed_logprob"):
            assert_close(ours[field], theirs[field], field)
    drawn = kernel.CompiledKernel(batch, 1, limit).step(rows, rows, *arrays, describe=False).rows
    assert drawn["token_id"][clear].tolist() == want.rows["token_id"][clear].tolist()


def assert_close(got: Any, want: Any, name: str) -> None:
    np.testing.assert_allclose(got, want, 1e-5, 1e-5, err_msg=name)


def test_some_wide_and_hostile_rows_are_those_of_numpy() -> None:
    # Of the two formats that a run has ready; `test_compiled_equals_reference` has the narrow ones.
    assert sum(check_case(seed, ("float32", "float64")) for seed in range(40)) > 40


@pytest.mark.parametrize("width", [65, 97, 255, 1_000])
def test_bits_of_a_bias_beyond_the_row_stand_for_no_token(width: int) -> None:
    rows = np.random.default_rng(width).standard_normal((1, width)).astype(np.float32)
    bias = Instruction(Opcode.BITMASK_BIAS, 2.0, bitmask=np.full(-(-width // 32), -1, np.int32))
    program = assemble([[bias, Instruction(Opcode.TOP_K, 9.0, 1.0)]])
    nobody = np.zeros(1, np.int64)
    batch = Batch(program, nobody.astype(np.uint64), nobody > 0, nobody + 9)
    history = History.empty(1)
    seen = history.token_ids, history.lengths, history.prompt_lengths
    steps = [
        made.step(rows, rows, program.bitmasks, *seen, describe=True)
        for made in (kernel.CompiledKernel(batch), VectorKernel(batch))
    ]
    ours, theirs = (step.top["token_id"][:9].tolist() for step in steps)
    assert ours == theirs


@pytest.mark.parametrize("first", ["mask", "penalty"])
@pytest.mark.parametrize("penalty", [1.0, -1.0])
@pytest.mark.parametrize("ties", [0.0, 1.0])
@pytest.mark.parametrize("differs", [False, True])
def test_a_block_whose_only_tie_is_edited_is_counted_as_it_was(
    first: str, penalty: float, ties: float, differs: bool
) -> None:
    # Token 3, which the text has, is the only one that the mask leaves of its block of 256.
    width, allowed = 4_096, np.zeros(4_096, np.uint8)
    allowed[[3, *range(256, width, 2)]] = 1
    mask = Instruction(
        Opcode.BITMASK, bitmask=np.packbits(allowed, bitorder="little").view(np.int32)
    )
    items = [mask, Instruction(Opcode.FREQUENCY_PENALTY, penalty)]
    if first == "penalty":
        items.reverse()
    program = assemble([[*items, Instruction(Opcode.TOP_K, 10.0, ties)]])
    rows = np.full((1, width), 0.5, np.float32)
    rows[0, 5] -= 3.5 * differs
    nobody, history = np.zeros(1, np.int64), History.of([[]], [[3]])
    batch = Batch(program, nobody.astype(np.uint64) + 7, nobody > 0, nobody + 3)
    seen = history.token_ids, history.lengths, history.prompt_lengths
    for limit in (16, 64):
        ours, theirs = (
            made.step(rows, rows, program.bitmasks, *seen, describe=True).rows[0]
            for made in (kernel.CompiledKernel(batch, 1, limit), VectorKernel(batch))
        )
        assert ours["support_size"] == theirs["support_size"]
        assert ours["token_id"] == theirs["token_id"]
        kept, expected = (
            made.edit(rows, program.bitmasks, *seen)[0] > -np.inf
            for made in (kernel.CompiledKernel(batch, 1, limit), VectorKernel(batch))
        )
        assert np.array_equal(kept, expected)


def test_a_budget_that_the_rounding_of_a_sum_just_misses_keeps_no_more_than_a_token_more() -> None:
    # 30 or more tokens that are equally likely, of several logits so near each other that bins of
    # them are summed: with shares of tenths the budget falls on the end of a token.
    generator = np.random.default_rng(5)
    size, width = 400, 33
    near = np.array([0.0, 1e-40, -1e-40, 1.4e-45, -1.4e-45, -104.0], np.float32)
    rows = near[generator.choice(6, (size, width), p=[0.2, 0.2, 0.2, 0.15, 0.15, 0.1])]
    shares = generator.integers(1, 10, size) / 10.0
    opcodes = generator.choice([Opcode.TOP_H, Opcode.TOP_P], size)
    program = assemble(
        [
            [Instruction(Opcode(opcode), share)]
            for opcode, share in zip(opcodes, shares, strict=True)
        ]
    )
    batch = Batch(program, np.zeros(size, np.uint64), np.ones(size, np.bool_), np.full(size, width))
    history = History.empty(size)
    arrays = bitmasks_for(program, width), history.token_ids, history.lengths
    arrays = (*arrays, history.prompt_lengths)
    got = kernel.CompiledKernel(batch).step(rows, rows, *arrays, describe=True)
    want = VectorKernel(batch).step(rows, rows, *arrays, describe=True)
    assert np.abs(got.rows["support_size"] - want.rows["support_size"]).max() <= 1
