"""The torch kernels: bitmasks, statuses, cuts and ties that a person can check."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from philox_answers import KNOWN_ANSWERS
from profiles import spread
from tensor_steps import (
    FREQUENCY,
    INF,
    PRESENCE,
    REPETITION,
    ROW,
    TEMPERATURE,
    TOP_K,
    TOP_P,
    TYPICAL_P,
    assert_alike,
    batch_of,
    both,
    step,
)

from decoding.history import History
from decoding.kernels.backends import Backend, open_kernel
from decoding.kernels.program import Instruction, Opcode, Term, cut
from decoding.kernels.reference import noise as reference
from decoding.kernels.result import EMPTY_SUPPORT, INVALID_LOGITS, OK, TIES_BEYOND_TOP_N
from decoding.kernels.vector.step import VectorKernel
from decoding.pipeline import chain
from decoding.processors import Temperature, TopP
from decoding.sampling.batch import BatchSampler, Sampler

torch = pytest.importorskip("torch")

from decoding.kernels.tensor import noise
from decoding.kernels.tensor.candidates import Candidates
from decoding.kernels.tensor.kernel import TensorKernel


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_known_answers(counter: Any, key: Any, words: tuple[int, ...]) -> None:
    counter, key = (tuple(torch.tensor([word]) for word in items) for items in (counter, key))
    assert [int(word) for word in noise.philox4x32(counter, key)] == list(words)


@pytest.mark.parametrize("seed", spread([0, 1, 2**32 + 7, 2**63, 2**64 - 1], 5))
@pytest.mark.parametrize("position", [0, 1, 2**31])
def test_noise_has_the_bits_of_the_reference(seed: int, position: int) -> None:
    ids = [0, 1, 2, 3, 4, 9, 10, 299_999]
    key = torch.tensor([[seed & 0xFFFFFFFF]]), torch.tensor([[seed >> 32]])
    places = noise.Places(key, torch.tensor([[position]]))
    ids = sorted({reference.block_share(seed, position, i // 256)[1] for i in ids}.union(ids))
    want = [reference.token_noise(seed, position, token_id) for token_id in ids]
    some = Candidates(torch.zeros(1, len(ids), dtype=torch.float64), torch.tensor([ids]))
    every = Candidates(torch.zeros(1, ids[-2] + 1, dtype=torch.float64))
    assert noise.token_noise(some, places)[0].tolist() == want
    assert noise.token_noise(every, places)[0, ids[:-1]].tolist() == want[:-1]


@pytest.mark.parametrize("word", [0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 2, 2**64 - 1])
def test_exponentials_have_the_bits_of_the_reference_at_every_end(word: int) -> None:
    got = noise.exponential(torch.tensor([word >> 32]), torch.tensor([word & 0xFFFFFFFF]))
    assert float(got) == reference.exponential(word)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_statuses(dtype: Any) -> None:
    nothing = Instruction(Opcode.BITMASK, bitmask=np.zeros(1, np.int32))
    ban = Instruction(Opcode.LOGIT_BIAS, token_ids=(0, 1, 2, 3), values=(-INF,) * 4)
    logits = np.repeat(ROW, 6, axis=0).astype(dtype)
    logits[0, 2:] = np.nan
    logits[1, [1, 3]] = INF
    logits[2] = -INF
    rows = [(TEMPERATURE,), (), (nothing,), (TOP_P, nothing, TOP_K), (TEMPERATURE, ban, TOP_P), ()]
    results = both(rows, logits, top_n=2)
    assert_alike(results)
    got = results[0].rows
    assert got["status"].tolist() == [INVALID_LOGITS] * 2 + [EMPTY_SUPPORT] * 3 + [OK]
    assert got["fault_position"].tolist() == [2, 1, -1, 1, 1, 0]
    assert got["fault_count"].tolist() == [2, 2, 0, 0, 0, 0]
    assert got["token_id"][:5].tolist() == [0] * 5


def test_a_faulty_row_changes_no_other() -> None:
    logits = np.repeat(ROW, 3, axis=0)
    alone = both([(TOP_P,)] * 3, logits, top_n=2)
    logits[1] = np.nan
    together = both([(TOP_P,)] * 3, logits, top_n=2)
    assert_alike(together)
    for row in (0, 2):
        assert together[0].rows[row]["token_id"] == alone[0].rows[row]["token_id"]


def test_raw_logits_are_what_raw_logprobs_and_ranks_are_taken_from() -> None:
    batch = batch_of([(TOP_K,)], greedy=True, top_n=1)
    edited = ROW + np.array([[5.0, 0.0, 0.0, 0.0]])
    got = step(TensorKernel(batch), batch, edited, raw=ROW)
    want = step(VectorKernel(batch), batch, edited, raw=ROW)
    assert_alike((got, want))
    assert got.rows["token_id"] == [0]
    assert got.rows["rank"] == [3]
    assert got.rows["raw_logprob"] == pytest.approx(np.log(0.1))


def test_a_temperature_that_leaves_float64_keeps_what_is_finite() -> None:
    logits = np.array([[1.7e308, 1.6e308, 5e307, -INF], [1.0, 2.0, 3.0, 4.0]])
    rows = [(Instruction(Opcode.TEMPERATURE, 0.1),)] * 2
    results = both(rows, logits)
    assert_alike(results)
    assert results[0].rows["support_size"].tolist() == [3, 4]


def test_a_penalty_that_leaves_float64_can_empty_a_row() -> None:
    logits = np.full((1, 3), -1.7e308)
    rows = [(Instruction(Opcode.REPETITION_PENALTY, 10.0),)]
    batch = batch_of(rows)
    seen = History.of([[0, 1, 2]])
    got = step(TensorKernel(batch), batch, logits, seen)
    assert_alike((got, step(VectorKernel(batch), batch, logits, seen)))
    assert got.rows["status"] == [EMPTY_SUPPORT]


@pytest.mark.parametrize("capacity", [1, 4, 1024])
@pytest.mark.parametrize(
    "item",
    spread(
        [
            Instruction(Opcode.TOP_K, 3, 1.0),
            Instruction(Opcode.TOP_K, 3, 0.0),
            Instruction(Opcode.TOP_K, 900, 0.0),
            Instruction(Opcode.TOP_P, 0.3),
            cut(Term(math.log(0.5))),
            Instruction(Opcode.TYPICAL_P, 0.3),
        ],
        6,
    ),
)
def test_hundreds_of_ties_at_a_cut(item: Instruction, capacity: int) -> None:
    logits = np.zeros((2, 600))
    logits[0, 500] = 1.0
    logits[1, ::2] = -0.0
    assert_alike(both([(item,)] * 2, logits, capacity=capacity, top_n=4))


@pytest.mark.parametrize("capacity", [1, 2, 1024])
def test_a_row_that_only_seems_empty_is_run_again(capacity: int) -> None:
    ties, last = cut(Term(0.0)), np.array([0b1000], np.int32)
    rows = [(ties, Instruction(Opcode.BITMASK, bitmask=last))]
    results = both(rows, np.zeros((1, 4)), capacity=capacity)
    assert_alike(results)
    assert results[0].rows["token_id"] == [3]


def test_ids_that_a_row_does_not_have_are_ignored() -> None:
    logits = np.array([[1.0, 2.0, 3.0, 3.5]] * 2)
    history = History.of([[10**9, 9], [2]], [[4, 1, 1, 10**6], [3]])
    history.token_ids[1, 2:] = 0  # what follows a row's length is not the row's
    beyond = Instruction(Opcode.LOGIT_BIAS, token_ids=(0, 4, 10**6), values=(9.0, 50.0, 50.0))
    for items in ((PRESENCE, REPETITION), (beyond, FREQUENCY), (TOP_K, beyond, PRESENCE)):
        batch = batch_of([items] * 2, top_n=4)
        assert_alike(
            (
                step(TensorKernel(batch), batch, logits, history),
                step(VectorKernel(batch), batch, logits, history),
            )
        )


def test_ties_beyond_the_top_are_the_lowest_ids_and_capped() -> None:
    logits = np.zeros((3, 700))
    logits[1, :300] = -1.0
    top_n = [3, 1, 0]
    batch = batch_of([()] * 3)._replace(top_n=np.array(top_n))
    got = step(TensorKernel(batch), batch, logits)
    assert_alike((got, step(VectorKernel(batch), batch, logits)))
    assert got.rows["top_count"].tolist() == [n and n + TIES_BEYOND_TOP_N for n in top_n]


@pytest.mark.parametrize("capacity", [4, 1024])
@pytest.mark.parametrize("items", [(), (TOP_K,), (TYPICAL_P,)])
def test_greedy_takes_the_lowest_id_of_a_tie(items: Any, capacity: int) -> None:
    logits = np.zeros((1, 50))
    logits[0, [30, 20]] = 1.0
    got, _ = both([items], logits, capacity=capacity, greedy=True)
    assert got.rows["token_id"] == [20]


def test_rows_that_keep_ties_beside_rows_that_do_not() -> None:
    rows = [(Instruction(Opcode.TOP_K, k, keep_ties),) for keep_ties in (1.0, 0.0) for k in (1, 2)]
    results = both(rows, np.zeros((4, 5)))
    assert_alike(results)
    assert results[0].rows["support_size"].tolist() == [5, 5, 1, 2]


def test_the_backend_can_be_forced_on_the_host() -> None:
    assert isinstance(open_kernel(batch_of([()]), Backend.TORCH), TensorKernel)
    logits = np.random.default_rng(0).standard_normal((4, 100)).astype(np.float32)
    samplers = [Sampler(chain(Temperature(0.7), TopP(0.9)), seed, top_n=3) for seed in range(4)]
    history = History.empty(4)
    torches = BatchSampler(samplers, backend=Backend.TORCH)
    for kind in (logits, torch.from_numpy(logits).bfloat16()):
        one, other = torches(kind, history), BatchSampler(samplers)(kind, history)
        assert [drawn.token_id for drawn in one] == [drawn.token_id for drawn in other]
        assert [drawn.rank for drawn in one] == [drawn.rank for drawn in other]


def test_two_of_the_largest_logits_share_the_mass() -> None:
    # ln 2 is less than what separates two numbers of this size.
    both_halves = np.array([[3e38, -INF, 3e38]], np.float32)
    results = both([[Instruction(Opcode.TOP_H, 0.5)]], both_halves)
    assert [result.rows["support_size"].tolist() for result in results] == [[1], [1]]
