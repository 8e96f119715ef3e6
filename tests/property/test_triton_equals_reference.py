"""The Triton kernels, run by Triton's interpreter, against the reference and NumPy's tokens.

Rounding band. Order, ties, exact cuts and perturbed scores are decided in float64 and are NumPy's.
What counts tokens that are no candidates does so in float32: raw logprobs always, and where a row
is surveyed in slices the mass ahead of its first truncation. These are within 10⁻⁵, and where a cut
lies so near a token that moving everything by 10⁻⁵ changes the reference's support, the example is
passed over.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
from backend_oracle import (
    bitmasks_for,
    by_reference,
    check_tokens,
    instructions_of,
    relative_gap,
    rows_of,
)
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from hypothesis.errors import UnsatisfiedAssumption

from decoding.history import History
from decoding.kernels.backends import Backend, open_kernel
from decoding.kernels.program import Batch, assemble
from decoding.kernels.reference import step as reference
from decoding.kernels.reference.philox import gumbel
from decoding.kernels.result import (
    EMPTY_SUPPORT,
    INVALID_LOGITS,
    OK,
    TIES_BEYOND_TOP_N,
    StepResult,
)
from decoding.kernels.rows import widen
from decoding.kernels.vector.step import VectorKernel
from decoding.pipeline import Pipeline, chain
from decoding.processors import (
    AllowedTokens,
    Bitmask,
    BitmaskBias,
    Dry,
    DynamicTemperature,
    EpsilonCutoff,
    EtaCutoff,
    FrequencyPenalty,
    LogitBias,
    MinP,
    NoRepeatNgram,
    PresencePenalty,
    RepetitionPenalty,
    Scoped,
    SuppressTokens,
    Temperature,
    TopH,
    TopK,
    TopNSigma,
    TopP,
    TypicalP,
)
from decoding.testing import strategies

torch = pytest.importorskip("torch")
triton = pytest.importorskip("triton")
tl = triton.language
from triton.runtime import interpreter

if isinstance(triton.language.sum, triton.JITFunction):
    pytest.skip(
        "something imported triton before TRITON_INTERPRET was set", allow_module_level=True
    )

from decoding.kernels.gpu.kernel import TritonKernel
from decoding.kernels.gpu.philox import exponential_bounds, philox4x32
from decoding.kernels.gpu.philox import gumbel as device_gumbel
from decoding.kernels.gpu.plans import plan

EDITS = (
    AllowedTokens,
    SuppressTokens,
    RepetitionPenalty,
    FrequencyPenalty,
    PresencePenalty,
    LogitBias,
    Bitmask,
    BitmaskBias,
)
BAND = 1e-5
MORE = 1 if settings().max_examples <= 100 else 20
WHOLE: dict[str, int] = {}
SLICED = {"tile": 32, "room": 128, "narrow_room": 64}
"""Rows of the strategies fit one program as they are; this makes several of them, and searches for
candidates, and leaves rows undecided."""


REFUSED = (DynamicTemperature, EpsilonCutoff, EtaCutoff, TopH, TopNSigma)
"""What has no fused kernel here; torch runs them."""


def accepted(vocab_size: int) -> st.SearchStrategy[Pipeline]:
    """Every chain that the fused kernels take: edits, then temperatures and truncations."""
    taken = strategies.processors(vocab_size).filter(lambda item: not isinstance(item, REFUSED))
    members = st.lists(taken, max_size=6)
    return members.map(lambda items: chain(*sorted(items, key=is_no_edit)))


def is_no_edit(item: Any) -> bool:
    return not isinstance(item, EDITS)


@contextlib.contextmanager
def as_on_a_device() -> Iterator[None]:
    """Interpret without what a device does not do either, which would take most of the time.

    No integer is checked for overflow, and the language is patched once a launch, not once a call.
    NumPy warns of what a device does silently, in lanes that nobody reads.
    """
    builder, patch, launched = interpreter.interpreter_builder, interpreter._patch_lang, []

    def patch_once(function: Any) -> Any:
        if launched:
            return None
        launched.extend([patch(function), patch(tl.sum.fn)])
        return mock.Mock(restore=restore)

    def restore() -> None:
        while launched:
            launched.pop().restore()

    options = dataclasses.replace(builder.options, sanitize_overflow=False)
    with (
        np.errstate(all="ignore"),
        warnings.catch_warnings(),
        mock.patch.object(builder, "options", options),
        mock.patch.object(interpreter, "_patch_lang", patch_once),
    ):
        warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
        yield


def run_step(
    kernel: TritonKernel, batch: Batch, rows: Any, history: History, *, describe: bool = True
) -> StepResult:
    """A step on a tensor, which is what it was before."""
    before = rows.clone()
    with as_on_a_device():
        result = kernel.step(
            rows,
            rows,
            bitmasks_for(batch.program, rows.shape[1]),
            history.token_ids,
            history.lengths,
            history.prompt_lengths,
            describe=describe,
        )
    assert torch.equal(rows.view(torch.uint8), before.view(torch.uint8))
    return result


def tensor_of(logits: np.ndarray[Any, Any], dtype: str) -> Any:
    """Logits as a tensor of a dtype, and padded: its rows do not stand side by side."""
    bits = rows_of(logits, dtype)
    kind = getattr(torch, dtype)
    tensor = torch.from_numpy(bits if dtype == "float32" else bits.view(np.int16)).view(kind)
    return torch.nn.functional.pad(tensor, (0, 3), value=math.nan)[:, : tensor.shape[1]]


def batch_of(
    pipelines: list[Pipeline], seeds: list[int], greedy: list[bool], top_n: list[int]
) -> Batch:
    program = assemble([instructions_of(pipeline) for pipeline in pipelines])
    return Batch(program, np.array(seeds, np.uint64), np.array(greedy), np.array(top_n, np.int64))


def check(
    data: st.DataObject, dtype: str, layout: dict[str, int], max_vocab: int, band: float
) -> None:
    """One step of a drawn batch equals the reference's, row by row."""
    logits = data.draw(strategies.logits(max_batch=6, max_vocab=max_vocab))
    size, vocab_size = logits.shape
    history = data.draw(strategies.histories(size, vocab_size))
    pipelines = [data.draw(accepted(vocab_size)) for _ in range(size)]
    rows = tensor_of(logits, dtype)
    wide = widen(rows_of(logits, dtype)).astype(np.float64)
    seeds = data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=size, max_size=size))
    greedy = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    top_n = data.draw(st.lists(st.integers(0, 6), min_size=size, max_size=size))
    describe = data.draw(st.sampled_from([True, True, False]))
    batch = batch_of(pipelines, seeds, greedy, top_n)
    assert plan(batch) is not None
    kernel = TritonKernel(batch, **layout)
    result = run_step(kernel, batch, rows, history, describe=describe)
    if layout is WHOLE and np.abs(wide[wide > -np.inf]).max() < 1e37:
        assert kernel._torch is None
    event(f"torch was asked: {kernel._torch is not None}")
    checked = 0
    for row in range(size):
        try:
            expected = by_reference(wide[row], instructions_of(pipelines[row]), history, row, band)
        except UnsatisfiedAssumption:
            continue
        checked += 1
        seed, position = None if greedy[row] else seeds[row], int(history.lengths[row])
        raw = wide[row].tolist()
        want = reference.step(raw, expected, seed=seed, position=position, top_n=top_n[row])
        check_token(result, row, want, expected, seed, position)
        if describe:
            check_description(result, row, want, expected)
    assume(checked)


def check_token(
    result: StepResult,
    row: int,
    want: reference.RowResult,
    expected: list[float],
    seed: int | None,
    position: int,
) -> None:
    got = result.rows[row]
    assert got["status"] == OK
    # Only a tie of the perturbed scores to within rounding may be broken differently.
    gap = relative_gap(expected, int(got["token_id"]), want.token_id, seed, position)
    assert gap <= 1e-12


def check_description(
    result: StepResult, row: int, want: reference.RowResult, expected: list[float]
) -> None:
    got = result.rows[row]
    assert got["support_size"] == want.support_size
    assert abs(got["entropy"] - want.entropy) <= BAND * max(1.0, want.entropy)
    if got["token_id"] == want.token_id:
        assert_close(got["raw_logprob"], want.raw_logprob)
        assert_close(got["processed_logprob"], want.processed_logprob)
        assert got["rank"] == want.rank
    top = result.top[got["top_start"] : got["top_start"] + got["top_count"]]
    listed = {token_id: (raw, processed) for token_id, raw, processed in want.top}
    logprobs = reference.log_softmax(expected)
    for token_id, raw, processed in top.tolist():
        if token_id in listed:
            assert_close(raw, listed[token_id][0])
            assert_close(processed, listed[token_id][1])
    # Where float64 does not tell logprobs apart, torch takes their tokens for ties.
    for token_id in listed.keys() ^ set(top["token_id"].tolist()):
        assert abs(logprobs[token_id] - want.top[-1][2]) <= 1e-12 * max(1.0, abs(want.top[-1][2]))
    assert (np.diff(top["processed_logprob"]) <= 0.0).all()


def assert_close(got: float, want: float) -> None:
    assert abs(got - want) <= BAND * max(1.0, abs(want))


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.filter_too_much], max_examples=60 * MORE)
@given(data=st.data(), dtype=st.sampled_from(["float32", "float16", "bfloat16"]))
def test_rows_that_fit_a_program_equal_the_reference(data: st.DataObject, dtype: str) -> None:
    check(data, dtype, WHOLE, 40, 1e-9)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.filter_too_much], max_examples=40 * MORE)
@given(data=st.data(), dtype=st.sampled_from(["float32", "float16", "bfloat16"]))
def test_rows_in_slices_equal_the_reference(data: st.DataObject, dtype: str) -> None:
    check(data, dtype, SLICED, 150, BAND)


@dataclasses.dataclass(frozen=True)
class Interpreted:
    """Steps on rows of the host, as `backend_oracle` has them; torch takes none of them over."""

    batch: Batch

    def step(self, logits: Any, raw_logits: Any, *arguments: Any, describe: bool) -> StepResult:
        kernel, rows = TritonKernel(self.batch, tile=2**17), torch.from_numpy(logits)
        assert raw_logits is logits
        with as_on_a_device():
            result = kernel.step(rows, rows, *arguments, describe=describe)
        assert kernel._torch is None
        return result


@pytest.mark.slow
@pytest.mark.parametrize(("name", "batches"), [("plain", 25), ("nucleus", 2), ("chain", 2)])
def test_the_tokens_are_those_of_numpy(name: str, batches: int) -> None:
    check_tokens(Interpreted, name, batches=batches * MORE)


def simple(
    pipeline: Pipeline, logits: np.ndarray[Any, Any], *, top_n: int = 0, seed: int | None = 7
) -> tuple[TritonKernel, Batch]:
    size = len(logits)
    batch = batch_of([pipeline] * size, [seed or 0] * size, [seed is None] * size, [top_n] * size)
    return TritonKernel(batch), batch


WIDE = chain(TopP(0.9)), chain(TypicalP(0.5)), chain(MinP(0.02)), chain(TopK(50), TopP(0.9))


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


def vars_of(history: History) -> tuple[Any, Any, Any]:
    return history.token_ids, history.lengths, history.prompt_lengths


def test_statuses() -> None:
    nothing = -math.inf
    logits = np.array(
        [
            [0.0, math.nan, math.inf, 1.0, math.nan],
            [math.inf, 0.0, 0.0, 0.0, 0.0],
            [nothing] * 5,
            [1.0, 2.0, nothing, 0.0, 0.5],
            [1.0, 2.0, 3.0, 4.0, 5.0],
        ],
        np.float32,
    )
    pipeline = chain(LogitBias({0: -1.0}), Bitmask.of([2, 4]), LogitBias({4: nothing}), TopK(3))
    batch = batch_of([pipeline] * 5, [1] * 5, [False] * 5, [2] * 5)
    for layout in (WHOLE, SLICED):
        for describe in (True, False):
            kernel = TritonKernel(batch, **layout)
            history = History.empty(5)
            got = run_step(kernel, batch, torch.from_numpy(logits), history, describe=describe)
            faults = [row[:3] for row in got.rows.tolist()]
            assert faults == [
                (INVALID_LOGITS, 1, 3),
                (INVALID_LOGITS, 0, 1),
                (EMPTY_SUPPORT, -1, 0),
                (EMPTY_SUPPORT, 2, 0),
                (OK, 0, 0),
            ]
            assert got.rows["token_id"].tolist() == [0, 0, 0, 0, 2]
            assert got.rows["top_count"].tolist() == [0, 0, 0, 0, int(describe)]


def test_every_tie_is_described_up_to_what_is_promised() -> None:
    logits = np.zeros((1, 700), np.float32)
    logits[0, 650] = 1.0
    kernel, batch = simple(chain(), logits, top_n=2)
    top = run_step(kernel, batch, torch.from_numpy(logits), History.empty(1)).top
    assert top["token_id"].tolist() == [650, *range(TIES_BEYOND_TOP_N + 1)]
    assert kernel._torch is None


@pytest.mark.parametrize(
    "pipeline",
    [
        chain(TopK(5), RepetitionPenalty(1.3)),
        chain(Temperature(0.5), LogitBias({1: 2.0})),
        chain(Temperature(1e-40), TopP(0.5)),
        chain(FrequencyPenalty(1e200)),
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


def test_raw_logits_may_be_others() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0]])
    raw = torch.tensor([[3.0, 2.0, 1.0]], dtype=torch.float16)
    kernel, batch = simple(chain(), np.zeros((1, 3)), seed=None, top_n=1)
    history = History.empty(1)
    with as_on_a_device():
        result = kernel.step(
            logits, raw, bitmasks_for(batch.program, 3), *vars_of(history), describe=True
        )
    row = result.rows[0]
    assert (row["token_id"], row["rank"]) == (2, 3)
    raw_logprob = reference.log_softmax([3.0, 2.0, 1.0])[2]
    assert_close(row["raw_logprob"], raw_logprob)
    assert_close(result.top[0]["raw_logprob"], raw_logprob)
    assert_close(row["processed_logprob"], reference.log_softmax([0.0, 1.0, 2.0])[2])


@pytest.mark.slow
def test_a_token_depends_on_its_row_alone() -> None:
    generator = np.random.default_rng(9)
    logits = (generator.standard_normal((4, 90)) * 2.0).astype(np.float32)
    pipelines = [chain(TopP(0.5)), chain(TopK(3)), chain(), chain(Bitmask.of(range(40)), MinP(0.1))]
    together = batch_of(pipelines, [1, 2, 3, 4], [False] * 4, [2, 0, 1, 3])
    rows = torch.from_numpy(logits)
    all_rows = run_step(TritonKernel(together, **SLICED), together, rows, History.empty(4)).rows
    for row in range(4):
        alone = batch_of([pipelines[row]], [row + 1], [False], [int(together.top_n[row])])
        kernel = TritonKernel(alone, **SLICED)
        mine = run_step(kernel, alone, rows[row : row + 1], History.empty(1)).rows[0].tolist()
        assert mine[:9] == all_rows[row].tolist()[:9]


def test_the_registry_opens_it() -> None:
    _, batch = simple(chain(), np.zeros((1, 3)))
    assert isinstance(open_kernel(batch, Backend.TRITON), TritonKernel)


@triton.jit
def words_and_noise(counters, keys, words, bounds, noise, COUNT: tl.constexpr):
    place = tl.arange(0, COUNT)
    c0 = tl.load(counters + place * 4)
    c1 = tl.load(counters + place * 4 + 1)
    c2 = tl.load(counters + place * 4 + 2)
    c3 = tl.load(counters + place * 4 + 3)
    k0 = tl.load(keys + place * 2)
    k1 = tl.load(keys + place * 2 + 1)
    w0, w1, w2, w3 = philox4x32(c0, c1, c2, c3, k0, k1)
    tl.store(words + place * 4, w0)
    tl.store(words + place * 4 + 1, w1)
    tl.store(words + place * 4 + 2, w2)
    tl.store(words + place * 4 + 3, w3)
    least, most = exponential_bounds(c0)
    tl.store(bounds + place * 2, least)
    tl.store(bounds + place * 2 + 1, most)
    tl.store(noise + place, device_gumbel(c0, c1))


# Random123's known-answer file, philox4x32 with 10 rounds, and ends of the range for the noise.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
    ((0x80000000, 0, 0, 0), (0, 0), None),
    ((0x7FFFFFFF, 0xFFFFFFFF, 0, 0), (0, 0), None),
    ((0xFFFFFFFF, 0, 0, 0), (0, 0), None),
    ((0xFFFFFF00, 0x12345678, 0, 0), (0, 0), None),
    ((0x00000001, 0, 0, 0), (0, 0), None),
]


def test_philox_known_answers_and_finite_noise() -> None:
    count = len(KNOWN)
    counters = torch.tensor([counter for counter, _, _ in KNOWN], dtype=torch.uint32)
    keys = torch.tensor([key for _, key, _ in KNOWN], dtype=torch.uint32)
    words = torch.zeros((count, 4), dtype=torch.uint32)
    bounds, noise = torch.zeros((count, 2)), torch.zeros(count, dtype=torch.float64)
    words_and_noise[(1,)](counters, keys, words, bounds, noise, COUNT=count)
    for index, ((high, low, *_), _, answer) in enumerate(KNOWN):
        if answer is not None:
            assert tuple(words[index].tolist()) == answer
        exact = gumbel(high << 32 | low)
        assert math.isfinite(noise[index])
        assert noise[index] == pytest.approx(exact, rel=1e-12)
        least, most = bounds[index].tolist()
        assert least * (1.0 - 1e-6) <= math.exp(-exact) <= most * (1.0 + 1e-6)


@pytest.mark.slow
def test_the_kernels_compile_for_a_device() -> None:
    """The interpreter takes more than the compiler does; ptxas comes with Triton."""
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMPILE],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["survey", "finish", "rank", "patch_rows"] * 2


COMPILE = """
import inspect
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from decoding.kernels.gpu.edits import patch_rows
from decoding.kernels.gpu.finish import finish
from decoding.kernels.gpu.rank import rank
from decoding.kernels.gpu.survey import survey

POINTERS = dict(
    opcodes="i32", operands="fp64", slots="i32", row_starts="i64", cut_starts="i64",
    temperatures="fp32", targets="i32", limits="i32", contenders="i32", seeds="i64",
    positions="i32", bitmasks="i32", touched="i32", patches="fp64", candidates="i32",
    listing="i32", rooms="i32", numbers="fp64", counts="i32", greedy="i32", top_n="i32",
    fields="i64", field_values="fp64", listed_tokens="i64", listed_values="fp64", listed_raw="fp64",
    sparse_starts="i64", sparse_tokens="i32", sparse_values="fp64", reads_history="i32",
    history="i32", lengths="i32", prompt_lengths="i32", tallies="i32",
)
ALL = dict(DENSE=True, SPARSE=True, NOISE=True, SUMS=True, DESCRIBE=True)
SLICES = dict(ROWS=1, SPLITS=32)
CASES = [
    (survey, 4, dict(SLICES, BLOCK=4096, **ALL)),
    (finish, 8, dict(SLICES, SPLIT_LANES=32, WORDS=4096, TILE=1024, ROOM=261, PIVOTS=8, **ALL)),
    (rank, 4, dict(ROWS=1, BLOCK=4096)),
    (patch_rows, 4, dict(SPAN=1024)),
]
for logits in ("fp32", "bf16"):
    pointers = dict(POINTERS, logits=logits, raw_logits=logits)
    for function, warps, constants in CASES:
        types = {
            name: "constexpr" if name in constants
            else "*" + pointers[name] if name in pointers else "i32"
            for name in function.arg_names
        }
        source = ASTSource(fn=function, signature=types, constexprs=constants)
        options = dict(num_warps=warps, enable_fp_fusion=False)
        triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
        print(function.__name__)
"""
