"""The compiled kernels equal the reference and the pipeline by definition.

Rounding band: their sums over a row are float32 within a block, with a relative error below 10⁻⁶.
So examples are passed over where moving every parameter and logit by 2 · 10⁻⁶ changes the support;
logprobs agree to 10⁻⁵. Edited logits have no band: see `test_one_arithmetic`.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from backend_oracle import (
    DTYPES,
    TOKEN_PIPELINES,
    bitmasks_for,
    check_huge_ties,
    check_step,
    check_tokens,
    instructions_of,
    nudged,
    rows_of,
    run_step,
)
from compiled_cases import (
    LIMITS,
    PRECISION,
    check_case,
    denormal,
    flat,
    huge,
    lone,
    neighbouring,
    supports,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from profiles import amount

from decoding.history import History
from decoding.kernels.program import Batch, Instruction, Opcode, assemble
from decoding.kernels.reference import step as reference
from decoding.kernels.vector.step import VectorKernel
from decoding.pipeline import chain
from decoding.processors import (
    EtaCutoff,
    FrequencyPenalty,
    MinP,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
)
from decoding.testing import laws

kernel = pytest.importorskip("decoding.kernels.compiled.kernel", reason="numba is not installed")


@pytest.mark.slow
@settings(
    suppress_health_check=[HealthCheck.filter_too_much],
    max_examples=amount(check=500, full=500, nightly=5000),
)
@given(data=st.data(), dtype=st.sampled_from(DTYPES), limit=st.sampled_from(LIMITS))
def test_a_step_equals_the_reference(data: st.DataObject, dtype: str, limit: int) -> None:
    check_step(partial(kernel.CompiledKernel, compact_limit=limit), dtype, data, PRECISION)


@pytest.mark.slow
def test_lowered_equals_by_definition_on_wide_rows() -> None:
    cases = amount(check=500, full=500, nightly=20_000)
    compared = sum(check_case(seed) for seed in range(cases))
    assert compared > cases


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_cut_among_ties_is_exact(dtype: str) -> None:
    # Few distinct logits, so that a bound that is off by rounding is off by a group of tokens.
    compared = 0
    for seed in range(150):
        generator = np.random.default_rng(seed)
        width, step = int(generator.choice([255, 256, 640])), generator.choice([0.25, 0.5, 1.0])
        row = np.round(generator.standard_normal(width) * 3.0 / step) * step
        some = generator.random(width) < 0.2
        row[some] /= generator.choice([0.7, 1.1, 3.0])
        rows = rows_of(row[np.newaxis], dtype)
        wide = rows[0].astype(np.float64)
        mass = float(generator.choice([0.1, 0.5, 0.9, 0.99]))
        for item in (
            Instruction(Opcode.TYPICAL_P, mass),
            Instruction(Opcode.TOP_P, mass),
            Instruction(Opcode.TOP_H, mass),
            *EtaCutoff(0.01 * mass).lower(),
        ):
            supports = [
                [z > -np.inf for z in reference.run(wide.tolist(), [other], [], [])]
                for other in (item, *(nudged((item,), 1.0 + move)[0] for move in (-1e-5, 1e-5)))
            ]
            if supports[1] != supports[2]:
                continue
            compared += 1
            program = assemble([[item]])
            one = np.zeros(1, np.int64)
            batch = Batch(program, one.astype(np.uint64), one > 0, one)
            arrays = (bitmasks_for(program, width), np.zeros((1, 0), np.int32), one, one)
            for limit in LIMITS:
                edited, _ = kernel.CompiledKernel(batch, 1, limit).edit(rows, *arrays)
                assert (edited[0] > -np.inf).tolist() == supports[0], (seed, item, limit)
    assert compared > 500


@given(
    text=st.lists(st.integers(0, 2), max_size=60) | st.just([1] * 300),
    start=st.integers(0, 60),
    breakers=st.sets(st.integers(0, 4), max_size=1).map(tuple),
    limits=st.tuples(st.integers(1, 4), st.integers(0, 40)),
)
def test_searches_of_the_history_find_what_numpy_finds(
    text: list[int], start: int, breakers: tuple[int, ...], limits: tuple[int, int]
) -> None:
    row, first = np.linspace(0.0, 1.0, 5)[np.newaxis], min(start, len(text))
    history = History.of([text[:first]], [text[first:]])
    named = {"token_ids": breakers, "values": (0.0,) * len(breakers)}
    shortest, last_n = limits
    # The last token is never repeated, so that a ban leaves one.
    for item in (
        Instruction(Opcode.NO_REPEAT_NGRAM, shortest, last_n=last_n),
        Instruction(Opcode.NO_REPEAT_NGRAM, shortest, 1.0),
        Instruction(Opcode.DRY, 0.7, 1.01, shortest, last_n=last_n, **named),
    ):
        for before in ((), MinP(0.1).lower()):
            program = assemble([[*before, item]])
            one = np.zeros(1, np.int64)
            batch = Batch(program, one.astype(np.uint64), one > 0, one)
            got, _ = kernel.CompiledKernel(batch).edit(
                row,
                bitmasks_for(program, 5),
                history.token_ids,
                history.lengths,
                history.prompt_lengths,
            )
            np.testing.assert_allclose(got, supports(batch, row, history)[0], rtol=1e-12)


def test_a_greedy_token_does_not_depend_on_its_description() -> None:
    # Token 1 is larger by what no float32 holds.
    row, history = np.array([[0.0, -0.7]], np.float32), History.empty(1)
    scale = Instruction(Opcode.LOGIT_SCALE, -1e-190, 1.0, token_ids=(0, 1), values=(0.0, 0.0))
    program = assemble([[scale]])
    batch = Batch(program, np.zeros(1, np.uint64), np.ones(1, np.bool_), np.zeros(1, np.int64))
    ready = kernel.CompiledKernel(batch)
    drawn = [
        int(run_step(ready, program, row, history, describe=describe).rows[0]["token_id"])
        for describe in (True, False)
    ]
    assert drawn[0] == drawn[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", TOKEN_PIPELINES)
def test_the_tokens_are_those_of_numpy(name: str) -> None:
    check_tokens(kernel.CompiledKernel, name, precision=PRECISION)


def test_the_lowest_of_tokens_that_tie_for_their_size_is_drawn() -> None:
    check_huge_ties(kernel.CompiledKernel)


HOSTILE = {
    "lone": lone,
    "neighbouring": neighbouring,
    "denormal": denormal,
    "huge": huge,
    "flat": flat,
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("width", [1, 2, 300, 5000])
@pytest.mark.parametrize("limit", [64, 16_384])
def test_hostile_rows_are_exact(kind: str, width: int, limit: int) -> None:
    # Equal probabilities, so that order and ties alone decide; 0.37 · width is far from a boundary.
    generator = np.random.default_rng(width)
    row = HOSTILE[kind](generator, width).astype(np.float32)[np.newaxis]
    history = History.empty(1)
    for pipeline in (
        chain(),
        chain(TopK(7)),
        chain(TopK(7, keep_ties=False)),
        chain(TopK(200, keep_ties=False)),
        chain(TopP(0.37)),
        chain(MinP(0.5), TopP(0.37)),
        chain(Temperature(0.7), TopP(0.37)),
    ):
        program = assemble([instructions_of(pipeline)])
        for seed in (None, 11):
            batch = Batch(
                program,
                np.array([seed or 0], np.uint64),
                np.array([seed is None]),
                np.array([5]),
            )
            got = run_step(kernel.CompiledKernel(batch, 1, limit), program, row, history)
            want = run_step(VectorKernel(batch), program, row, history)
            for field in ("status", "token_id", "rank", "support_size"):
                assert got.rows[0][field] == want.rows[0][field], (pipeline, field)
            count = int(got.rows[0]["top_count"])
            assert got.top[:count]["token_id"].tolist() == want.top["token_id"].tolist()


def test_nothing_of_the_vocabularys_size_is_allocated() -> None:
    import tracemalloc

    width = 100_000
    row = np.random.default_rng(0).standard_normal((2, width)).astype(np.float32)
    pipeline = chain(RepetitionPenalty(1.1), Temperature(0.8), TopP(0.9))
    program = assemble([instructions_of(pipeline)] * 2)
    batch = Batch(program, np.zeros(2, np.uint64), np.zeros(2, np.bool_), np.full(2, 5))
    ready = kernel.CompiledKernel(batch)
    history = History.of([[1, 2, 3]] * 2)
    run_step(ready, program, row, history)
    tracemalloc.start()
    for _ in range(5):
        run_step(ready, program, row, history)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < width / 4


def test_rows_are_taken_where_they_lie() -> None:
    # Every other row and a part of its columns: neither side by side, nor copied.
    memory = np.random.default_rng(1).standard_normal((6, 700)).astype(np.float32)
    rows = memory[::2, :600]
    program = assemble([instructions_of(chain(TopP(0.8)))] * 3)
    batch = Batch(program, np.arange(3, dtype=np.uint64), np.zeros(3, np.bool_), np.full(3, 2))
    history = History.empty(3)
    got = run_step(kernel.CompiledKernel(batch), program, rows, history).rows.copy()
    want = run_step(VectorKernel(batch), program, np.ascontiguousarray(rows), history).rows
    assert got["token_id"].tolist() == want["token_id"].tolist()
    flat_rows, stride = kernel._flat(rows)
    assert (flat_rows.ctypes.data, stride) == (memory.ctypes.data, memory.strides[0] * 2)
    locked = rows.copy()
    locked.flags.writeable = False
    again = run_step(kernel.CompiledKernel(batch), program, locked, history).rows
    assert again["token_id"].tolist() == want["token_id"].tolist()


def test_numbers_beyond_its_arithmetic_are_left_to_numpy() -> None:
    rows = np.array([[1e300, 0.0, -1e300], [1.0, 2.0, 3.0]])
    instructions = [instructions_of(chain(Temperature(1e-10)))] * 2
    batch = Batch(
        assemble(instructions), np.zeros(2, np.uint64), np.zeros(2, np.bool_), np.full(2, 3)
    )
    history = History.empty(2)
    got = run_step(kernel.CompiledKernel(batch), batch.program, rows, history)
    want = run_step(VectorKernel(batch), batch.program, rows, history)
    assert got.rows["token_id"].tolist() == want.rows["token_id"].tolist()
    assert got.rows["processed_logprob"].tolist() == want.rows["processed_logprob"].tolist()


def test_a_negative_logit_that_is_likely_is_not_rounded() -> None:
    row = np.array([[0.01257302, -0.05356694, -np.inf]], np.float32)
    pipeline = chain(Temperature(103.0), FrequencyPenalty(5.0), Temperature(0.0078125))
    program = assemble([instructions_of(pipeline)])
    nobody = np.zeros(1, np.int64)
    batch = Batch(program, nobody.astype(np.uint64), nobody > 0, nobody)
    history = History.of([[]], [[0, 1]])
    got = run_step(kernel.CompiledKernel(batch), program, row, history).rows[0]
    want = laws.log_softmax(pipeline(row.astype(np.float64), history))[0]
    assert abs(got["processed_logprob"] - want[got["token_id"]]) < 1e-5
