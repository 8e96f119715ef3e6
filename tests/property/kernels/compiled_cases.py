"""Random batches of hostile rows for the compiled kernels, against NumPy and the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backend_oracle import (
    DTYPES,
    Precision,
    bitmasks_for,
    instructions_of,
    nudged,
    rows_of,
)

from decoding.history import History
from decoding.kernels.program import Batch, Instruction, Opcode, Part, assemble
from decoding.kernels.rows import widen
from decoding.kernels.vector.step import VectorKernel
from decoding.pipeline import Pipeline, chain
from decoding.processors import (
    Bitmask,
    BitmaskBias,
    EpsilonCutoff,
    EtaCutoff,
    FrequencyPenalty,
    LogitBias,
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopNSigma,
    TopP,
    TypicalP,
)
from decoding.testing import laws

kernel = pytest.importorskip("decoding.kernels.compiled.kernel", reason="numba is not installed")
PRECISION = Precision(band=2e-6, error=1e-5)
LIMITS = (4, 64, 16_384)
"""Few listed candidates, so that small rows take the ways of large ones too."""


def gaussian(generator: np.random.Generator, width: int) -> Any:
    return generator.standard_normal(width) * generator.choice([0.01, 1.0, 3.0, 8.0])


def zipf(generator: np.random.Generator, width: int) -> Any:
    return -1.1 * np.log(generator.permutation(width) + 1.0)


def tied(generator: np.random.Generator, width: int) -> Any:
    return np.round(generator.standard_normal(width) * 3.0 * 2.0) / 2.0


def flat(generator: np.random.Generator, width: int) -> Any:
    return np.full(width, generator.choice([0.0, -7.25, 1e4]))


def neighbouring(generator: np.random.Generator, width: int) -> Any:
    base = np.float32(generator.uniform(-20.0, 20.0))
    ladder = np.array([base, np.nextafter(base, np.float32(np.inf))])
    return ladder[generator.integers(0, 2, width)]


def denormal(generator: np.random.Generator, width: int) -> Any:
    return generator.standard_normal(width) * 1e-40


def huge(generator: np.random.Generator, width: int) -> Any:
    return generator.choice([3e38, -3e38, 1.0, 2e38], width)


def masked(generator: np.random.Generator, width: int) -> Any:
    row = generator.standard_normal(width) * 3.0
    row[generator.random(width) < 0.9] = -np.inf
    return row


def lone(generator: np.random.Generator, width: int) -> Any:
    row = np.full(width, -np.inf)
    row[generator.integers(width)] = generator.standard_normal()
    return row


def offset(generator: np.random.Generator, width: int) -> Any:
    return generator.standard_normal(width) + generator.choice([-1e4, 1e4])


KINDS = (gaussian, zipf, tied, flat, neighbouring, denormal, huge, masked, lone, offset)
WIDTHS = (1, 2, 255, 256, 257, 640, 1000, 4096, 20_000)


def random_pipeline(generator: np.random.Generator, width: int) -> Pipeline:
    """Some processors in any order, each anywhere in its range."""
    some = generator.choice(width, min(width, 9), replace=False).tolist()
    half = generator.choice(width, (width + 1) // 2, replace=False).tolist()
    options = [
        Temperature(float(generator.choice([0.05, 0.8, 1.0, 1.7, 50.0]))),
        TopK(int(generator.choice([1, 5, 50, 600])), bool(generator.integers(2))),
        TopP(float(generator.choice([1e-9, 0.1, 0.5, 0.9, 0.999]))),
        MinP(float(generator.choice([1e-6, 0.05, 0.5, 1.0]))),
        TypicalP(float(generator.choice([0.1, 0.5, 0.9, 0.99]))),
        EpsilonCutoff(float(generator.choice([1e-5, 3e-3, 0.2]))),
        EtaCutoff(float(generator.choice([1e-5, 3e-3, 0.2]))),
        TopNSigma(float(generator.choice([0.3, 1.0, 2.0, 4.0]))),
        RepetitionPenalty(float(generator.choice([0.7, 1.1, 3.0]))),
        FrequencyPenalty(float(generator.uniform(-2, 2))),
        PresencePenalty(float(generator.uniform(-2, 2))),
        LogitBias(dict.fromkeys(some[:8], float(generator.choice([-4.0, 3.0, -np.inf])))),
        Bitmask.of(half),
        BitmaskBias.of(half, float(generator.choice([-1.0, 2.0]))),
    ]
    count = int(generator.integers(0, 7))
    return chain(*(options[place] for place in generator.permutation(len(options))[:count]))


def random_instructions(generator: np.random.Generator, width: int) -> tuple[Instruction, ...]:
    """What such a pipeline lowers to, with what needs the entropy or changes with the step."""
    items = list(instructions_of(random_pipeline(generator, width)))
    [further] = generator.spawn(1)
    ids = tuple(further.choice(width, min(width, 9), replace=False).tolist())
    named = {"token_ids": ids, "values": (0.0,) * len(ids)}
    for item in (
        Instruction(Opcode.TOP_H, float(further.choice([0.05, 0.4, 0.8, 0.99]))),
        Instruction(Opcode.DYNAMIC_TEMPERATURE, float(further.choice([0.0, 0.5])), 2.0, 1.5),
        Instruction(Opcode.XTC, float(further.choice([0.0, 1e-3, 0.1])), 1.0, 0.8, **named),
        Instruction(Opcode.LOGIT_SCALE, float(further.choice([-1.5, 0.5, 1.2])), 1.2, **named),
        Instruction(Opcode.REPETITION_PENALTY, 1.3, part=Part.PROMPT, last_n=9, **named),
        Instruction(Opcode.FREQUENCY_PENALTY, 0.4, part=Part.ALL, **named),
        Instruction(Opcode.NO_REPEAT_NGRAM, 1.0, part=Part.GENERATED),
        Instruction(Opcode.DRY, 0.8, 1.5, 1.0),
    ):
        if further.random() < 0.25:
            items.insert(int(further.integers(len(items) + 1)), item)
    return tuple(items)


def supports(batch: Batch, rows: Any, history: History) -> Any:
    edited, emptied = VectorKernel(batch).edit(
        rows,
        bitmasks_for(batch.program, rows.shape[1]),
        history.token_ids,
        history.lengths,
        history.prompt_lengths,
    )
    return edited, emptied


def check_case(seed: int, dtypes: tuple[str, ...] = DTYPES) -> int:
    """One random case: how many of its rows lie outside the rounding band, and were compared."""
    generator = np.random.default_rng(seed)
    width, size = int(generator.choice(WIDTHS)), int(generator.integers(1, 5))
    kinds = [KINDS[place] for place in generator.integers(0, len(KINDS), size)]
    dtype = dtypes[generator.integers(len(dtypes))]
    rows = rows_of(np.stack([kind(generator, width) for kind in kinds]), dtype)
    instructions = [random_instructions(generator, width) for _ in range(size)]
    history = History.of(
        [generator.integers(0, width + 2, 30).tolist() for _ in range(size)],
        [generator.integers(0, width + 2, 20).tolist() for _ in range(size)],
    )
    nobody = np.zeros(size, np.int64)
    seeds = generator.integers(0, 2**64, size, np.uint64)
    wide = widen(rows).astype(np.float64)

    def batch_of(programs: Any) -> Batch:
        return Batch(assemble(programs), seeds, nobody > 0, nobody + 3)

    batch = batch_of(instructions)
    limit = int(generator.choice(LIMITS))
    compiled = kernel.CompiledKernel(batch, int(generator.integers(1, 3)), limit)
    bitmasks = bitmasks_for(batch.program, width)
    arrays = (bitmasks, history.token_ids, history.lengths, history.prompt_lengths)
    before = rows.copy()
    edited, emptied = compiled.edit(rows, *arrays)
    want, want_emptied = supports(batch, wide, history)
    clear = (wide > -np.inf).any(axis=1)
    for direction in (-PRECISION.band, PRECISION.band):
        # Equal logits move together, so that ties stay ties; the nearest others move apart.
        ranks = np.stack([np.unique(row, return_inverse=True)[1] for row in wide])
        moved = wide + direction * np.sin(1.7 * ranks)
        other, other_emptied = supports(
            batch_of([nudged(i, 1 + direction) for i in instructions]), moved, history
        )
        clear &= other_emptied == want_emptied
        clear &= ((other > -np.inf) == (want > -np.inf)).all(axis=1)
    for row in range(size):
        # Nearly equal logits are equally likely: rounding alone says how typical each of them is.
        opcodes = [item.opcode for item in instructions[row]]
        alike = kinds[row] in (denormal, neighbouring)
        clear[row] &= not (alike and Opcode.TYPICAL_P in opcodes)
    assert np.array_equal(emptied[clear], want_emptied[clear]), (seed, emptied, instructions)
    clear &= emptied == -1
    got = compiled.step(rows, rows, *arrays, describe=True).rows.copy()
    drawn = VectorKernel(batch).step(wide, wide, *arrays, describe=True).rows
    assert np.array_equal(rows, before)
    for row in np.flatnonzero(clear):
        name = f"seed {seed} row {row}: {kinds[row].__name__} {dtype} {width} {instructions[row]}"
        both = [laws.log_softmax(array[row : row + 1]) for array in (edited, want)]
        assert laws.same_distribution(*both, 1e-5), f"law, {name}"
        assert got[row]["support_size"] == drawn[row]["support_size"], f"support, {name}"
        assert got[row]["token_id"] == drawn[row]["token_id"], f"token, {name}"
        assert got[row]["rank"] == drawn[row]["rank"], f"rank, {name}"
        for field in ("raw_logprob", "processed_logprob", "entropy"):
            error = abs(got[row][field] - drawn[row][field])
            assert error <= 1e-5 * max(1.0, abs(drawn[row][field])), f"{field} {error}, {name}"
    return int(clear.sum())
