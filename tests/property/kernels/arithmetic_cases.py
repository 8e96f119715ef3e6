"""Random edits of small hostile rows, and a bitwise comparison of two kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from backend_oracle import DTYPES, bitmasks_for, rows_of
from profiles import amount

from decoding.history import History
from decoding.kernels.backends import Kernel
from decoding.kernels.program import Batch, Instruction, Opcode, Part, assemble, words_of
from decoding.kernels.rows import widen
from decoding.kernels.vector.step import VectorKernel

SIZE = 50
BATCHES = amount(check=8, full=100, nightly=20_000)
"""Of `SIZE` rows each."""
BY_DEFINITION = 40
"""Up to which width the definition, which is plain Python, is asked as well."""
WIDTHS = (1, 2, 5, 17, 32, 40, 40, 40, 256, 257, 640)

Rows = np.ndarray[Any, Any]


class Case(NamedTuple):
    """A batch of rows of one format, and what edits them."""

    rows: Rows
    wide: Rows
    instructions: list[list[Instruction]]
    history: History
    batch: Batch


def gaussian(generator: np.random.Generator, width: int) -> Rows:
    return generator.standard_normal(width) * generator.choice([0.1, 3.0, 20.0])


def tied(generator: np.random.Generator, width: int) -> Rows:
    return generator.integers(-3, 4, width) / 2.0


def neighbouring(generator: np.random.Generator, width: int) -> Rows:
    base = np.float32(generator.uniform(-20.0, 20.0))
    steps = np.array([base, np.nextafter(base, np.float32(np.inf))], np.float64)
    return steps[generator.integers(0, 2, width)]


def denormal(generator: np.random.Generator, width: int) -> Rows:
    return generator.choice([1e-40, -1e-40, 1.4e-45, -1.4e-45, 0.0, -0.0, 6e-8, 1e-310], width)


def huge(generator: np.random.Generator, width: int) -> Rows:
    return generator.choice([3e38, -3e38, 1.0, 2.9e38, -1e-40], width)


def offset(generator: np.random.Generator, width: int) -> Rows:
    return generator.standard_normal(width) + generator.choice([-1e4, 1e4, 3e9])


KINDS = (gaussian, tied, neighbouring, denormal, huge, offset)


def instructions(generator: np.random.Generator, width: int) -> list[Instruction]:
    """Up to five edits in any order, each anywhere in its range."""
    some = tuple(generator.choice(width, min(width, 5), replace=False).tolist())
    named = {"token_ids": some, "values": (0.0,) * len(some)}
    part, last_n = Part(generator.integers(3)), int(generator.choice([0, 0, 7]))
    bits = generator.integers(-(2**31), 2**31, words_of(width)).astype(np.int32)
    amount = float(generator.choice([generator.uniform(-3.0, 3.0), 1e-40, -3e38, 1e-9]))
    factor = float(generator.choice([0.7, 1.1, 1.2, 3.0, generator.uniform(0.1, 9.0)]))
    heat = float(generator.choice([0.7, 0.8, 1.3, 1e-3, 50.0, generator.uniform(0.05, 5.0)]))
    options = (
        Instruction(Opcode.REPETITION_PENALTY, factor),
        Instruction(Opcode.REPETITION_PENALTY, factor, part=part, last_n=last_n, **named),
        Instruction(Opcode.FREQUENCY_PENALTY, amount, part=Part.GENERATED),
        Instruction(Opcode.FREQUENCY_PENALTY, amount, part=part, last_n=last_n),
        Instruction(Opcode.PRESENCE_PENALTY, amount, part=Part.GENERATED),
        Instruction(Opcode.LOGIT_BIAS, token_ids=some, values=(amount,) * len(some)),
        Instruction(Opcode.LOGIT_SCALE, -factor, heat, **named),
        Instruction(Opcode.BITMASK, bitmask=bits | np.int32(1)),
        Instruction(Opcode.BITMASK_BIAS, amount, bitmask=bits),
        Instruction(Opcode.NO_REPEAT_NGRAM, 2.0, part=part),
        Instruction(Opcode.DRY, 0.8, 1.75, 1.0, part=part),
        Instruction(Opcode.TEMPERATURE, heat),
        Instruction(Opcode.TEMPERATURE, factor),
    )
    chosen = generator.integers(0, len(options), generator.integers(1, 6))
    return [options[place] for place in chosen]


def shadowed(
    generator: np.random.Generator, wide: Rows, dtype: str, program: Any, history: History
) -> Rows:
    """The rows with other tokens where their format would round what the edits leave of some."""
    nobody = np.zeros(len(wide), np.int64)
    batch = Batch(program, nobody.astype(np.uint64), nobody == 0, nobody)
    edited, _ = VectorKernel(batch).edit(wide, *arrays_of(program, wide, history))
    result = wide.copy()
    for row in np.flatnonzero(generator.random(len(wide)) < 0.5):
        finite = edited[row][np.isfinite(edited[row])]
        if len(finite):
            places = generator.integers(0, wide.shape[1], 3)
            result[row, places] = generator.choice(finite, 3).clip(-3e38, 3e38)
    return widen(rows_of(result, dtype)).astype(np.float64)


def cases() -> Iterator[Case]:
    for number in range(BATCHES):
        generator = np.random.default_rng([30, number])
        width, dtype = int(generator.choice(WIDTHS)), DTYPES[number % len(DTYPES)]
        rows = np.stack([KINDS[generator.integers(6)](generator, width) for _ in range(SIZE)])
        rows[generator.random(rows.shape) < 0.05] = -np.inf
        rows[:, 0] = np.where(np.isneginf(rows).all(axis=1), 1.0, rows[:, 0])
        # Few programs a batch, so that torch's kernels have groups.
        few = [instructions(generator, width) for _ in range(4)]
        chosen = [few[place] for place in generator.integers(0, 4, SIZE)]
        program = assemble(chosen)
        texts = [generator.integers(0, width + 1, 12).tolist() for _ in range(2 * SIZE)]
        history = History.of(texts[:SIZE], texts[SIZE:])
        wide = widen(rows_of(rows, dtype)).astype(np.float64)
        wide = shadowed(generator, wide, dtype, program, history)
        nobody = np.zeros(SIZE, np.int64)
        greedy = Batch(program, nobody.astype(np.uint64), nobody == 0, nobody + 3)
        yield Case(rows_of(wide, dtype), wide, chosen, history, greedy)


def arrays_of(program: Any, rows: Rows, history: History) -> tuple[Any, ...]:
    bitmasks = bitmasks_for(program, rows.shape[1])
    return bitmasks, history.token_ids, history.lengths, history.prompt_lengths


def bits_of(logits: Rows) -> Rows:
    """What is compared: a zero has no sign."""
    return (logits + 0.0).view(np.int64)


def check(open_kernel: Callable[[Batch], Kernel], found: Case, number: int) -> None:
    """A backend edits the rows to the bits that NumPy's kernels do, and is as greedy."""
    arrays = arrays_of(found.batch.program, found.rows, found.history)
    by_numpy = VectorKernel(found.batch)
    want, want_emptied = by_numpy.edit(found.rows, *arrays)
    got, emptied = open_kernel(found.batch).edit(found.rows, *arrays)
    assert got.dtype == want.dtype == np.float64
    assert emptied.tolist() == want_emptied.tolist(), number
    for row in np.flatnonzero(emptied == -1):
        same = bits_of(got[row]) == bits_of(want[row])
        place = int(same.argmin())
        described = (number, row, place, got[row, place], want[row, place])
        assert same.all(), (described, found.instructions[row])
    drawn = by_numpy.step(found.rows, found.rows, *arrays, describe=True)
    for describe in (True, False):
        other = open_kernel(found.batch).step(found.rows, found.rows, *arrays, describe=describe)
        assert other.rows["token_id"].tolist() == drawn.rows["token_id"].tolist(), number
        if describe:
            assert tops_of(other) == tops_of(drawn), number


def tops_of(result: Any) -> list[list[int]]:
    """The likeliest tokens of each row, in their order."""
    spans = zip(result.rows["top_start"], result.rows["top_count"], strict=True)
    return [result.top["token_id"][start : start + count].tolist() for start, count in spans]
