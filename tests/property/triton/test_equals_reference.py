"""The Triton kernels, run by Triton's interpreter, against the reference and NumPy's tokens.

Rounding band. Order, ties, exact cuts and perturbed scores are decided in float64 and are NumPy's.
What counts tokens that are no candidates does so in float32: raw logprobs always, and where a row
is surveyed in slices the mass ahead of its first truncation. These are within 10⁻⁵, and where a cut
lies so near a token that moving everything by 10⁻⁵ changes the reference's support, the example is
passed over.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from backend_oracle import (
    bitmasks_for,
    by_reference,
    check_huge_ties,
    check_tokens,
    instructions_of,
    rows_of,
)
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from hypothesis.errors import UnsatisfiedAssumption
from profiles import amount
from triton_oracle import (
    BAND,
    SLICED,
    WHOLE,
    as_on_a_device,
    assert_close,
    batch_of,
    run_step,
    simple,
    tensor_of,
    vars_of,
)

from decoding.history import History
from decoding.kernels.program import Batch, Opcode, Term
from decoding.kernels.reference import step as reference
from decoding.kernels.result import EMPTY_SUPPORT, INVALID_LOGITS, OK, TIES_BEYOND_TOP_N, StepResult
from decoding.kernels.rows import widen
from decoding.kernels.vector.step import VectorKernel
from decoding.pipeline import Pipeline, chain
from decoding.processors import (
    Bitmask,
    EpsilonCutoff,
    LogitBias,
    MinP,
    Temperature,
    TopA,
    TopK,
    TopP,
)
from decoding.testing import strategies

torch = pytest.importorskip("torch")

from decoding.kernels.gpu.kernel import TritonKernel
from decoding.kernels.gpu.plans import plan

MORE = amount(check=1, full=1, nightly=20)
FEW = amount(check=8, full=60)

EDITS = {
    *(Opcode.REPETITION_PENALTY, Opcode.FREQUENCY_PENALTY, Opcode.PRESENCE_PENALTY),
    *(Opcode.LOGIT_BIAS, Opcode.BITMASK, Opcode.BITMASK_BIAS),
}
AFTER_EDITS = {Opcode.TEMPERATURE, Opcode.TOP_K, Opcode.TOP_P, Opcode.TYPICAL_P, Opcode.CUT}
FUSED = EDITS | AFTER_EDITS
"""What has a fused kernel, but for cuts by more than a constant and ln Z; torch runs the others."""


def is_accepted(item: Any) -> bool:
    if not hasattr(item, "lower"):
        return False
    lowered = item.lower()
    cuts = [entry.values for entry in lowered if entry.opcode == Opcode.CUT]
    others = any(len(values) > len(Term._fields) or any(values[2:]) for values in cuts)
    return not others and all(entry.opcode in FUSED for entry in lowered)


def accepted(vocab_size: int) -> st.SearchStrategy[Pipeline]:
    """Every chain that the fused kernels take: edits, then temperatures and truncations."""
    taken = strategies.processors(vocab_size).filter(is_accepted)
    members = st.lists(taken, max_size=6)
    return members.map(lambda items: chain(*sorted(items, key=is_no_edit)))


def is_no_edit(item: Any) -> bool:
    return any(entry.opcode in AFTER_EDITS for entry in item.lower())


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
        assert result.rows[row]["status"] == OK
        assert result.rows[row]["token_id"] == want.token_id
        if describe:
            check_description(result, row, want, expected)
    assume(checked)


def check_description(
    result: StepResult, row: int, want: reference.RowResult, expected: list[float]
) -> None:
    got = result.rows[row]
    assert got["support_size"] == want.support_size
    assert abs(got["entropy"] - want.entropy) <= BAND * max(1.0, want.entropy)
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


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.filter_too_much], max_examples=FEW * MORE)
@given(data=st.data(), dtype=st.sampled_from(["float32", "float16", "bfloat16"]))
def test_rows_that_fit_a_program_equal_the_reference(data: st.DataObject, dtype: str) -> None:
    check(data, dtype, WHOLE, 40, 1e-9)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.filter_too_much], max_examples=FEW * MORE)
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


def test_the_lowest_of_tokens_that_tie_for_their_size_is_drawn() -> None:
    check_huge_ties(Interpreted, size=60)


@pytest.mark.parametrize("layout", [WHOLE, SLICED])
def test_cuts_by_a_constant_and_the_sum_of_weights(layout: dict[str, int]) -> None:
    pipelines = [
        chain(EpsilonCutoff(0.02)),
        chain(MinP(0.1), TopA(0.9)),
        chain(Temperature(1.5), TopA(0.5)),
        chain(EpsilonCutoff(0.9)),
    ]
    logits = (np.random.default_rng(1).standard_normal((4, 90)) * 1.2).astype(np.float32)
    batch = batch_of(pipelines, [1, 2, 3, 4], [False] * 4, [3] * 4)
    assert plan(batch) is not None
    kernel = TritonKernel(batch, **layout)
    got = run_step(kernel, batch, torch.from_numpy(logits), History.empty(4))
    assert layout is SLICED or kernel._torch is None
    bitmasks = bitmasks_for(batch.program, 90)
    none = vars_of(History.empty(4))
    want = VectorKernel(batch).step(logits, logits, bitmasks, *none, describe=True)
    for name in ("status", "support_size", "token_id", "rank"):
        assert got.rows[name].tolist() == want.rows[name].tolist(), name
    assert len(set(want.rows["support_size"].tolist())) > 2


@pytest.mark.slow
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
