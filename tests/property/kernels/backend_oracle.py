"""Oracle for all backends: the float64 reference, and the tokens of the NumPy kernels.

Rounding band: where a cut lies so near a token that moving every parameter and logit by 10⁻⁹ (more
for a backend that says so) changes the reference's own support, either side of the cut is right and
the example is passed over.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from profiles import amount

from decoding.history import History
from decoding.kernels.backends import Kernel
from decoding.kernels.program import (
    Batch,
    Instruction,
    Opcode,
    Part,
    Program,
    assemble,
    fit_bitmasks,
    words_of,
)
from decoding.kernels.reference import step as reference
from decoding.kernels.reference.noise import token_noise
from decoding.kernels.reference.processors import probabilities
from decoding.kernels.result import OK, StepResult
from decoding.kernels.rows import BFLOAT16_BITS, FLOAT16_BITS, widen
from decoding.kernels.vector.dense import narrow
from decoding.kernels.vector.step import VectorKernel
from decoding.pipeline import Fused, Pipeline, chain
from decoding.processors import (
    FrequencyPenalty,
    LogitBias,
    MinP,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
    TypicalP,
)
from decoding.testing import strategies

DTYPES = ("float16", "bfloat16", "float32", "float64")

OpenKernel = Callable[[Batch], Kernel]
"""Makes a batch ready: the class of a backend's kernel is one."""


@dataclass(frozen=True, slots=True)
class Precision:
    """What a backend's arithmetic is held to.

    band: how far parameters and logits are moved to see whether an example is near a cut.
    error: of logprobs, relative to 1 or to the logprob if that is more.
    """

    band: float = 1e-9
    error: float = 1e-9


_CUTS = (
    Opcode.TOP_P,
    Opcode.TYPICAL_P,
    Opcode.TOP_H,
    Opcode.XTC,
)
_BY_MASS = (Opcode.TOP_P, Opcode.TYPICAL_P)
_EXACT = (Opcode.TOP_K, Opcode.LOGIT_BIAS, Opcode.BITMASK, Opcode.NO_REPEAT_NGRAM)
_BY_TWO = (Opcode.DYNAMIC_TEMPERATURE, Opcode.LOGIT_SCALE)
"""Whose second operand is a number like the first."""
_SCALED_BY_SUMS = (Opcode.DYNAMIC_TEMPERATURE,)
"""What computes logits from a sum over the row, which backends add up in different orders."""


def instructions_of(pipeline: Pipeline) -> tuple[Instruction, ...]:
    (fused,) = pipeline.segments
    assert isinstance(fused, Fused)
    return fused.instructions


@cache
@st.composite
def programs(draw: st.DrawFn, vocab_size: int) -> tuple[Instruction, ...]:
    """What a chain of any processors lowers to at some step."""
    items = list(instructions_of(draw(strategies.pipelines(vocab_size))))
    ids = st.sets(st.integers(0, vocab_size - 1), max_size=4).map(tuple)
    for _ in range(draw(st.integers(0, 2))):
        token_ids = draw(ids)
        item = draw(st.sampled_from(FURTHER))(draw)
        if item.opcode != Opcode.NO_REPEAT_NGRAM:
            item = item._replace(token_ids=token_ids, values=(0.0,) * len(token_ids))
        items.insert(draw(st.integers(0, len(items))), item)
    return tuple(items)


def xtc(draw: st.DrawFn) -> Instruction:
    operands = draw(st.floats(0.0, 0.5)), draw(st.integers(1, 4)), draw(st.sampled_from([1.0, 0.5]))
    return Instruction(Opcode.XTC, *operands, seed=draw(st.integers(0, 2**64 - 1)))


def logit_scale(draw: st.DrawFn) -> Instruction:
    return Instruction(Opcode.LOGIT_SCALE, draw(st.floats(-9.0, 9.0)), draw(st.floats(0.1, 9.0)))


def scoped(draw: st.DrawFn) -> Instruction:
    """A penalty on any part of the history."""
    opcode = draw(st.sampled_from(PENALTIES))
    amount = st.floats(0.1, 9.0) if opcode == Opcode.REPETITION_PENALTY else st.floats(-5.0, 5.0)
    part, last_n = draw(st.sampled_from(Part)), draw(st.integers(0, 9))
    return Instruction(opcode, draw(amount), part=part, last_n=last_n)


def no_repeat_ngram(draw: st.DrawFn) -> Instruction:
    size = draw(st.integers(1, 4))
    if draw(st.booleans()):
        return Instruction(Opcode.NO_REPEAT_NGRAM, size, 1.0)
    part, last_n = draw(st.sampled_from(Part)), draw(st.integers(0, 9))
    return Instruction(Opcode.NO_REPEAT_NGRAM, size, part=part, last_n=last_n)


def dry(draw: st.DrawFn) -> Instruction:
    operands = draw(st.floats(0.0, 3.0)), draw(st.floats(1.0, 3.0)), draw(st.integers(1, 3))
    part, last_n = draw(st.sampled_from(Part)), draw(st.integers(0, 9))
    return Instruction(Opcode.DRY, *operands, part=part, last_n=last_n)


PENALTIES = (Opcode.REPETITION_PENALTY, Opcode.FREQUENCY_PENALTY, Opcode.PRESENCE_PENALTY)
FURTHER = (xtc, logit_scale, scoped, no_repeat_ngram, dry)


def rows_of(logits: np.ndarray[Any, Any], dtype: str) -> np.ndarray[Any, Any]:
    """Logits rounded to a dtype, as `decoding.kernels.rows` describes it; finite stays finite."""
    if dtype == "bfloat16":
        bits = logits.astype(np.float32).view(np.uint32)
        bits = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
        return (bits >> np.uint32(16)).astype(BFLOAT16_BITS)
    rounded = narrow(logits.astype(np.float64), np.dtype(dtype))
    return rounded.view(FLOAT16_BITS) if dtype == "float16" else rounded


def bitmasks_for(program: Program, vocab_size: int) -> np.ndarray[Any, Any]:
    return fit_bitmasks(list(program.bitmasks), words_of(vocab_size))


def run_step(
    kernel: Kernel, program: Program, logits: Any, history: History, *, describe: bool = True
) -> StepResult:
    """A step whose raw logits are the logits, and whose bitmasks are the program's own."""
    return kernel.step(
        logits,
        logits,
        bitmasks_for(program, logits.shape[1]),
        history.token_ids,
        history.lengths,
        history.prompt_lengths,
        describe=describe,
    )


def nudged(instructions: tuple[Instruction, ...], factor: float) -> list[Instruction]:
    """Every parameter moved; a cut's fraction stays below 1, and all of the mass is no cut."""
    return [_nudged(item, factor) for item in instructions]


def _nudged(item: Instruction, factor: float) -> Instruction:
    first = item.first * factor
    if item.opcode in _EXACT:
        return item
    if item.opcode in _BY_MASS and first >= 1.0:
        return Instruction(Opcode.LOGIT_BIAS)
    if item.opcode == Opcode.CUT:
        return item._replace(values=tuple(value * factor for value in item.values))
    return item._replace(
        first=min(first, 1.0 if item.opcode in _CUTS else math.inf),
        second=item.second * (factor if item.opcode in _BY_TWO else 1.0),
    )


def by_reference(
    row: np.ndarray[Any, Any],
    instructions: tuple[Instruction, ...],
    history: History,
    index: int,
    band: float = 1e-9,
) -> list[float]:
    """The reference's row; assumes that it has a token left, and is outside the rounding band."""
    prompt, generated = history.prompt(index).tolist(), history.generated(index).tolist()
    values = row.astype(np.float64)
    result = values.tolist()
    for item in instructions:
        before, result = result, reference.run(result, [item], prompt, generated)
        assume(max(result) > -math.inf)
        if item.opcode == Opcode.TYPICAL_P:
            assume(the_cut_is_clear(before, result, band))
    support = [z > -math.inf for z in result]
    for direction in (-band, band):
        # Equal logits move together, so that ties stay ties.
        wave = np.sin(1e6 * np.maximum(values, -1e300))
        moved = values + direction * wave
        parameters = nudged(instructions, 1.0 + direction)
        other = reference.run(moved.tolist(), parameters, prompt, generated)
        assume([z > -math.inf for z in other] == support)
    if band > Precision().band:
        # What is added may be less than a float32 can hold.
        rounded = values.tolist()
        for item in instructions:
            rounded = reference.run(rounded, [item], prompt, generated)
            with np.errstate(over="ignore"):
                rounded = np.array(rounded, np.float32).astype(np.float64).tolist()
        assume([z > -math.inf for z in rounded] == support)
    return result


def the_cut_is_clear(before: list[float], after: list[float], band: float) -> bool:
    """Whether no token but its equals is as typical, to within the band, as the last one kept.

    Two nearly equal tokens lie on either side of the entropy at the same distance, to second order.
    """
    probs = probabilities(before)
    alive = [index for index, prob in enumerate(probs) if prob > 0.0]
    entropy = -math.fsum(probs[index] * math.log(probs[index]) for index in alive)
    distance = {index: abs(-math.log(probs[index]) - entropy) for index in alive}
    last = max((index for index in alive if after[index] > -math.inf), key=distance.__getitem__)
    return all(
        abs(distance[index] - distance[last]) > band or before[index] == before[last]
        for index in alive
    )


def check_step(
    open_kernel: OpenKernel, dtype: str, data: st.DataObject, precision: Precision = Precision()
) -> None:
    """One step of a drawn batch equals the reference's, row by row."""
    logits, history = data.draw(strategies.batches())
    size, vocab_size = logits.shape
    drawn = [data.draw(programs(vocab_size)) for _ in range(size)]
    rows = rows_of(logits, dtype)
    wide = widen(rows).astype(np.float64)
    expected = [
        by_reference(wide[row], drawn[row], history, row, precision.band) for row in range(size)
    ]
    seeds = data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=size, max_size=size))
    greedy = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    top_n = data.draw(st.lists(st.integers(0, 6), min_size=size, max_size=size))
    program = assemble(drawn)
    ready = Batch(program, np.array(seeds, np.uint64), np.array(greedy), np.array(top_n, np.int64))
    kernel = open_kernel(ready)
    result = run_step(kernel, program, rows, history)
    tokens = result.rows["token_id"].tolist()
    for row in range(size):
        seed = None if greedy[row] else seeds[row]
        position = int(history.lengths[row])
        want = reference.step(
            wide[row].tolist(), expected[row], seed=seed, position=position, top_n=top_n[row]
        )
        sums = any(item.opcode in _SCALED_BY_SUMS for item in drawn[row])
        gap = precision.error if sums else 0.0
        check_row(result, row, want, expected[row], precision, gap, seed=seed, position=position)
    assert run_step(kernel, program, rows, history, describe=False).rows["token_id"].tolist() == (
        tokens
    )


def check_row(
    result: StepResult,
    row: int,
    want: reference.RowResult,
    expected: list[float],
    precision: Precision,
    most: float,
    *,
    seed: int | None,
    position: int,
) -> None:
    """One row of a result against the reference's, which drew from the row `expected`.

    most: how far, relatively, the scores of two tokens may lie apart of which each drew one.
    """
    got = result.rows[row]
    assert got["status"] == OK
    assert got["support_size"] == want.support_size
    error = precision.error
    assert abs(got["entropy"] - want.entropy) < error * max(1.0, want.support_size)
    if got["token_id"] != want.token_id:
        gap = relative_gap(expected, int(got["token_id"]), want.token_id, seed, position)
        assert 0.0 < gap <= most
        return
    assert_close(got["raw_logprob"], want.raw_logprob, error)
    assert_close(got["processed_logprob"], want.processed_logprob, error)
    assert got["rank"] == want.rank
    top = result.top[got["top_start"] : got["top_start"] + got["top_count"]]
    if top["token_id"].tolist() == [token_id for token_id, _, _ in want.top]:
        for found, (_, raw_logprob, logprob) in zip(top, want.top, strict=True):
            assert_close(found["raw_logprob"], raw_logprob, error)
            assert_close(found["processed_logprob"], logprob, error)
    else:
        assert abs(len(want.top) - len(top)) <= want.support_size
        logprobs = top["processed_logprob"]
        assert all(logprobs[:-1] >= logprobs[1:])


def assert_close(got: float, want: float, error: float) -> None:
    assert abs(got - want) <= error * max(1.0, abs(want))


def relative_gap(
    row: list[float], first: int, second: int, seed: int | None, position: int
) -> float:
    """How far the scores of two tokens lie apart, of 1 or of the first score if that is more."""

    def score(token_id: int) -> float:
        noise = 0.0 if seed is None else token_noise(seed, position, token_id)
        return row[token_id] + noise

    return abs(score(first) - score(second)) / max(1.0, abs(score(first)))


TOKEN_PIPELINES = {
    "plain": chain(),
    "chain": chain(
        RepetitionPenalty(1.2), FrequencyPenalty(0.3), Temperature(0.8), TopK(20), TopP(0.9)
    ),
    "nucleus": chain(Temperature(1.2), TopP(0.8)),
    "others": chain(LogitBias({3: 2.0}), TypicalP(0.9), MinP(0.01), Temperature(1.3)),
}
TOKEN_BATCHES = amount(check=25, full=25, nightly=250)
"""Batches of a thousand rows for each of the pipelines: 100,000 pairs of a seed and a position."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Random rows, and the token that NumPy's kernels draw of each."""

    batch: Batch
    logits: np.ndarray[Any, Any]
    history: History
    tokens: np.ndarray[Any, Any]


@cache
def drawn_by_numpy(name: str, number: int) -> Drawn:
    """A thousand rows, no two numbers the same; drawn once for all the backends held to them.

    Every fifth batch has tokens of three blocks of the noise.
    """
    size, vocab_size, width = 1000, 600 if number % 5 == 4 else 50, 64
    generator = np.random.default_rng([sorted(TOKEN_PIPELINES).index(name), number])
    program = assemble([instructions_of(TOKEN_PIPELINES[name])] * size)
    nobody = np.zeros(size, np.int64)
    logits = (generator.standard_normal((size, vocab_size)) * 3.0).astype(np.float32)
    seeds = generator.integers(0, 2**64, size, np.uint64)
    lengths = generator.integers(0, width + 1, size)
    token_ids = generator.integers(0, vocab_size, (size, width)).astype(np.int32)
    history = History(token_ids, lengths, lengths // 2)
    batch = Batch(program, seeds, nobody > 0, nobody)
    result = run_step(VectorKernel(batch), program, logits, history, describe=False)
    return Drawn(batch, logits, history, result.rows["token_id"].copy())


def check_huge_ties(open_kernel: OpenKernel, *, size: int = 300) -> None:
    """Where float64 has no room for most of the noise, many tokens tie, and the lowest id wins."""
    width = 700
    rows = np.where(np.arange(size)[:, np.newaxis] % 2, 2.0**50, -(2.0**51))
    logits = np.repeat(rows, width, axis=1).astype(np.float32)
    # Some rows are of few tokens, so that no block's lead is among them.
    logits[: size // 2, np.arange(width) % 97 > 1] = -np.inf
    nobody = np.zeros(size, np.int64)
    program = assemble([instructions_of(chain())] * size)
    batch = Batch(program, np.arange(size, dtype=np.uint64), nobody > 0, nobody)
    got, want = (
        run_step(kernel(batch), program, logits, History.empty(size), describe=False).rows
        for kernel in (open_kernel, VectorKernel)
    )
    assert got["token_id"].tolist() == want["token_id"].tolist()


def check_tokens(
    open_kernel: OpenKernel,
    name: str,
    *,
    batches: int = TOKEN_BATCHES,
    precision: Precision = Precision(),
) -> None:
    """A backend draws what NumPy's kernels draw, token by token.

    Two tokens may differ only where the support does not survive the precision's band.
    """
    instructions = instructions_of(TOKEN_PIPELINES[name])
    for number in range(batches):
        drawn = drawn_by_numpy(name, number)
        batch, history, want = drawn.batch, drawn.history, drawn.tokens
        result = run_step(open_kernel(batch), batch.program, drawn.logits, history, describe=False)
        got = result.rows["token_id"]
        for row in np.flatnonzero(got != want).tolist():
            prompt, generated = history.prompt(row).tolist(), history.generated(row).tolist()
            values = drawn.logits[row].astype(np.float64).tolist()
            supports = [
                [z > -math.inf for z in reference.run(values, moved, prompt, generated)]
                for moved in (
                    list(instructions),
                    nudged(instructions, 1.0 - precision.band),
                    nudged(instructions, 1.0 + precision.band),
                )
            ]
            assert supports[1:] != [supports[0]] * 2, (name, number, row, got[row], want[row])
