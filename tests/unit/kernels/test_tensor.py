"""The torch kernels where a person can check them: words, statuses, ties, and what they touch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from decoding.history import History
from decoding.kernels.backends import Backend, open_kernel
from decoding.kernels.program import (
    Batch,
    Instruction,
    Opcode,
    Part,
    assemble,
    fit_bitmasks,
    words_of,
)
from decoding.kernels.reference import philox as reference
from decoding.kernels.result import (
    EMPTY_SUPPORT,
    INVALID_LOGITS,
    OK,
    TIES_BEYOND_TOP_N,
    StepResult,
)
from decoding.kernels.vector.step import VectorKernel
from decoding.pipeline import chain
from decoding.processors import Temperature, TopP
from decoding.sampling import BatchSampler, Sampler

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402 -- torch is there

from decoding.kernels.tensor import arrays, noise  # noqa: E402
from decoding.kernels.tensor.candidates import Candidates  # noqa: E402
from decoding.kernels.tensor.kernel import TensorKernel, launch  # noqa: E402

ROW = np.log(np.array([[0.1, 0.4, 0.4, 0.1]]))
INF = np.inf

TEMPERATURE = Instruction(Opcode.TEMPERATURE, 0.5)
TOP_K = Instruction(Opcode.TOP_K, 2, 1.0)
TOP_P = Instruction(Opcode.TOP_P, 0.9)
MIN_P = Instruction(Opcode.MIN_P, 0.1)
TYPICAL_P = Instruction(Opcode.TYPICAL_P, 0.9)
REPETITION = Instruction(Opcode.REPETITION_PENALTY, 1.5)
FREQUENCY = Instruction(Opcode.FREQUENCY_PENALTY, 0.5, part=Part.GENERATED)
PRESENCE = Instruction(Opcode.PRESENCE_PENALTY, 0.5, part=Part.GENERATED)
BIAS = Instruction(Opcode.LOGIT_BIAS, token_ids=(1, 2), values=(1.0, -1.0))
BITMASK = Instruction(Opcode.BITMASK, bitmask=np.array([0b0111], np.int32))
BITMASK_BIAS = Instruction(Opcode.BITMASK_BIAS, 1.0, bitmask=np.array([0b0010], np.int32))
EVERYTHING = (
    *(TEMPERATURE, REPETITION, FREQUENCY, PRESENCE, BIAS, BITMASK, BITMASK_BIAS),
    *(TYPICAL_P, TOP_K, TOP_P, MIN_P),
)


def batch_of(
    rows: Sequence[Sequence[Instruction]], *, greedy: bool = False, top_n: int = 0
) -> Batch:
    size = len(rows)
    return Batch(
        assemble(rows),
        np.arange(size, dtype=np.uint64),
        np.full(size, greedy),
        np.full(size, top_n, np.int64),
    )


def step(
    kernel: Any,
    batch: Batch,
    logits: Any,
    history: History | None = None,
    *,
    raw: Any = None,
    describe: bool = True,
) -> StepResult:
    seen = history or History.empty(len(logits))
    return kernel.step(
        logits,
        logits if raw is None else raw,
        fit_bitmasks(list(batch.program.bitmasks), words_of(logits.shape[1])),
        seen.token_ids,
        seen.lengths,
        seen.prompt_lengths,
        describe=describe,
    )


def both(
    rows: Sequence[Sequence[Instruction]], logits: Any, *, capacity: int = 1024, **options: Any
) -> tuple[StepResult, StepResult]:
    batch = batch_of(rows, **options)
    kernel = TensorKernel(batch, capacity=capacity)
    return step(kernel, batch, logits), step(VectorKernel(batch), batch, logits)


def assert_alike(results: tuple[StepResult, StepResult]) -> None:
    got, want = results
    for name in ("status", "fault_position", "fault_count", "token_id", "rank", "support_size"):
        assert got.rows[name].tolist() == want.rows[name].tolist(), name
    for name in ("raw_logprob", "processed_logprob", "entropy"):
        assert got.rows[name] == pytest.approx(want.rows[name], rel=1e-12, abs=1e-12), name
    for row in range(len(got.rows)):
        one, other = (
            result.top[result.rows[row]["top_start"] :][: result.rows[row]["top_count"]]
            for result in results
        )
        assert one["token_id"].tolist() == other["token_id"].tolist()
        assert one["raw_logprob"] == pytest.approx(other["raw_logprob"], rel=1e-12)


# Random123's known-answer file, philox4x32 with 10 rounds.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_known_answers(counter: Any, key: Any, words: tuple[int, ...]) -> None:
    counter, key = (tuple(torch.tensor([word]) for word in items) for items in (counter, key))
    assert [int(word) for word in noise.philox4x32(counter, key)] == list(words)


@pytest.mark.parametrize("seed", [0, 1, 2**32 + 7, 2**63, 2**64 - 1])
@pytest.mark.parametrize("position", [0, 1, 2**31])
def test_words_equal_the_reference(seed: int, position: int) -> None:
    ids = [0, 1, 2, 3, 4, 9, 10, 299_999]
    key = torch.tensor([[seed & 0xFFFFFFFF]]), torch.tensor([[seed >> 32]])
    place = torch.tensor([[position]])
    want = [reference.token_word(seed, position, token_id) for token_id in ids]
    some = Candidates(torch.zeros(1, len(ids), dtype=torch.float64), torch.tensor([ids]))
    every = Candidates(torch.zeros(1, ids[-2] + 1, dtype=torch.float64))
    high, low = noise.token_words(some, key, place)
    assert [h << 32 | w for h, w in zip(high[0].tolist(), low[0].tolist(), strict=True)] == want
    high, low = (words[:, ids[:-1]] for words in noise.token_words(every, key, place))
    assert [h << 32 | w for h, w in zip(high[0].tolist(), low[0].tolist(), strict=True)] == (
        want[:-1]
    )


@pytest.mark.parametrize("word", [0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 2, 2**64 - 1])
def test_noise_equals_the_reference_at_every_end(word: int) -> None:
    got = noise.gumbel(torch.tensor([word >> 32]), torch.tensor([word & 0xFFFFFFFF]))
    assert float(got) == pytest.approx(reference.gumbel(word), rel=1e-14)


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


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "float64"])
def test_a_tensor_enters_by_pointer(kind: str) -> None:
    tensor = torch.from_numpy(ROW).to(getattr(torch, kind))
    if kind == "bfloat16":
        rows = tensor.view(torch.int16).numpy().view(np.uint16)
    elif kind == "float16":
        rows = tensor.view(torch.int16).numpy()
    else:
        rows = tensor.numpy()
    entered = arrays.as_tensor(rows)
    assert entered.data_ptr() == tensor.data_ptr()
    assert entered.dtype == tensor.dtype
    assert torch.equal(entered, tensor)
    assert arrays.as_tensor(tensor).data_ptr() == tensor.data_ptr()


def test_a_read_only_array_enters_by_pointer_and_without_a_warning() -> None:
    rows = ROW.copy()
    rows.flags.writeable = False
    entered = arrays.as_tensor(rows)
    assert entered.data_ptr() == rows.ctypes.data
    assert np.array_equal(entered.numpy(), rows)


def test_a_reversed_array_is_copied() -> None:
    assert arrays.as_tensor(ROW[:, ::-1]).tolist() == ROW[:, ::-1].tolist()


def test_rows_that_are_part_of_a_wider_array() -> None:
    wide = np.random.default_rng(0).standard_normal((4, 20))
    assert_alike(both([EVERYTHING] * 2, wide[::2, 1:17:3], top_n=3))


def test_a_tensor_and_its_host_array_give_the_same_result() -> None:
    batch = batch_of([(TEMPERATURE, TOP_P)] * 2, top_n=2)
    logits = np.repeat(ROW, 2, axis=0).astype(np.float32)
    tensor = torch.from_numpy(logits).requires_grad_()
    kernel = TensorKernel(batch)
    one, other = step(kernel, batch, logits), step(kernel, batch, tensor)
    assert one.rows.tobytes() == other.rows.tobytes()
    assert one.top.tobytes() == other.top.tobytes()


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
@pytest.mark.parametrize("capacity", [2, 1024])
def test_nothing_given_is_written_to(dtype: Any, capacity: int) -> None:
    rows = np.random.default_rng(0).standard_normal((3, 40)) * 3
    logits = rows.astype(np.float16).view(np.int16) if dtype == np.int16 else rows.astype(dtype)
    batch = batch_of([EVERYTHING, EVERYTHING, (BIAS, REPETITION)])
    history = History.of([[1, 2, 3]] * 3, [[1, 1, 39]] * 3)
    bitmasks = fit_bitmasks(list(batch.program.bitmasks), words_of(40))
    given = (logits, bitmasks, history.token_ids, history.lengths, history.prompt_lengths)
    before = [array.copy() for array in given]
    kernel = TensorKernel(batch, capacity=capacity)
    kernel.step(logits, *given, describe=True)
    edited, _ = kernel.edit(*given)
    edited[:] = 0.0
    for array, copy in zip(given, before, strict=True):
        assert np.array_equal(array, copy)


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
    [
        Instruction(Opcode.TOP_K, 3, 1.0),
        Instruction(Opcode.TOP_K, 3, 0.0),
        Instruction(Opcode.TOP_K, 900, 0.0),
        Instruction(Opcode.TOP_P, 0.3),
        Instruction(Opcode.MIN_P, 0.5),
        Instruction(Opcode.TYPICAL_P, 0.3),
    ],
)
def test_hundreds_of_ties_at_a_cut(item: Instruction, capacity: int) -> None:
    logits = np.zeros((2, 600))
    logits[0, 500] = 1.0
    logits[1, ::2] = -0.0
    assert_alike(both([(item,)] * 2, logits, capacity=capacity, top_n=4))


@pytest.mark.parametrize("capacity", [1, 2, 1024])
def test_a_row_that_only_seems_empty_is_run_again(capacity: int) -> None:
    ties, last = Instruction(Opcode.MIN_P, 1.0), np.array([0b1000], np.int32)
    rows = [(ties, Instruction(Opcode.BITMASK, bitmask=last))]
    results = both(rows, np.zeros((1, 4)), capacity=capacity)
    assert_alike(results)
    assert results[0].rows["token_id"] == [3]


def test_ids_that_a_row_does_not_have_are_ignored() -> None:
    logits = np.array([[1.0, 2.0, 3.0, 3.5]] * 2)
    history = History.of([[-1, 9], [2]], [[4, 1, 1, 10**6], [3]])
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


def test_a_row_that_needs_more_than_the_capacity_is_run_again_alone() -> None:
    logits = np.random.default_rng(0).standard_normal((3, 500))
    logits[[0, 2], 7] = 30.0
    batch = batch_of([(TOP_P,)] * 3, top_n=2)
    assert_alike(
        (
            step(TensorKernel(batch, capacity=8), batch, logits),
            step(VectorKernel(batch), batch, logits),
        )
    )
    kernel = TensorKernel(batch, capacity=8)
    with Operations() as seen:
        step(kernel, batch, logits)
    assert ("sort", (1, 500)) in seen.shapes
    assert ("sort", (3, 500)) not in seen.shapes


class Operations(TorchDispatchMode):
    """Records what torch is asked to do, and how large the first operand is."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.shapes: set[tuple[str, tuple[int, ...]]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.names.append(name)
        if args and isinstance(args[0], torch.Tensor):
            self.shapes.add((name, tuple(args[0].shape)))
        return func(*args, **(kwargs or {}))


def operations_of(size: int, capacity: int) -> list[str]:
    logits = np.random.default_rng(0).standard_normal((size, 300)).astype(np.float32)
    logits[:, 3] = 20.0
    batch = batch_of([EVERYTHING] * size, top_n=3)
    history = History.of([[1, 2, 3]] * size, [[1, 1, 250]] * size)
    kernel = TensorKernel(batch, capacity=capacity)
    step(kernel, batch, logits, history)
    with Operations() as seen:
        step(kernel, batch, logits, history)
    return seen.names


@pytest.mark.parametrize("capacity", [16, 1024])
def test_more_rows_are_not_more_operations(capacity: int) -> None:
    few, many = operations_of(2, capacity), operations_of(64, capacity)
    assert few == many
    waiting = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "unique", "equal"}
    assert waiting.isdisjoint(few)


def test_nothing_on_the_device_depends_on_a_value() -> None:
    """Tensors on the meta device have no values: what looks at one raises."""
    size, width = 3, 2000
    batch = batch_of([EVERYTHING] * size, top_n=3)
    kernel = TensorKernel(batch)
    logits = torch.zeros((size, width), device="meta", dtype=torch.bfloat16)
    history = History.of([[1, 2, 3]] * size)
    [group] = kernel._groups_for(batch, logits)
    around = kernel._surroundings(
        [group],
        logits.device,
        batch.program.bitmasks,
        history.token_ids,
        history.lengths,
        history.prompt_lengths,
    )
    for capacity in (1024, None):
        for described in (True, False):
            table = launch(group, logits, logits, around, capacity, described=described)
            assert table.device.type == "meta"
            assert table.dtype == torch.int64


def test_constants_stay_on_the_device_and_changed_bitmasks_are_seen() -> None:
    batch = batch_of([(BITMASK,)], greedy=True)
    kernel = TensorKernel(batch)
    nobody = np.zeros(1, np.int64)
    bitmasks = np.array([[0b0001]], np.int32)

    def token() -> int:
        seen = (np.zeros((1, 0), np.int32), nobody, nobody)
        return int(kernel.step(ROW, ROW, bitmasks, *seen, describe=False).rows["token_id"][0])

    assert token() == 0
    groups = kernel._groups_for(batch, torch.from_numpy(ROW))
    tensor = kernel._bitmasks.on(torch.device("cpu"), bitmasks)
    assert token() == 0
    assert kernel._groups_for(batch, torch.from_numpy(ROW)) is groups
    assert kernel._bitmasks.on(torch.device("cpu"), bitmasks) is tensor
    assert not np.shares_memory(tensor.numpy(), bitmasks)
    bitmasks[0, 0] = 0b0100
    assert token() == 2


def test_edit_returns_widened_rows_and_who_emptied_them() -> None:
    nothing = Instruction(Opcode.BITMASK, bitmask=np.zeros(1, np.int32))
    rows = [(TEMPERATURE,), (TEMPERATURE, nothing, TOP_K), (TOP_K,), ()]
    batch = batch_of(rows)
    logits = np.repeat(ROW, 4, axis=0).astype(np.float16)
    logits[2:] = -INF
    seen = History.empty(4)
    bitmasks = fit_bitmasks(list(batch.program.bitmasks), 1)
    arguments = (logits.view(np.int16), bitmasks, seen.token_ids, seen.lengths, seen.prompt_lengths)
    edited, emptied = TensorKernel(batch).edit(*arguments)
    want, culprits = VectorKernel(batch).edit(*arguments)
    assert edited.dtype == want.dtype == np.float32
    assert emptied.tolist() == culprits.tolist() == [-1, 1, 0, -1]
    assert np.array_equal(edited, want)


def test_an_empty_batch() -> None:
    batch = batch_of([])
    result = step(TensorKernel(batch), batch, np.zeros((0, 5)))
    assert (len(result.rows), len(result.top)) == (0, 0)


@pytest.mark.parametrize("width", [1, 31, 32, 33, 70])
def test_bits_beyond_the_words_are_not_set(width: int) -> None:
    logits = np.tile(np.arange(width, dtype=np.float64), (2, 1))
    every = np.array([[-1], [-1]], np.int32)
    mask, bias = (Instruction(code, 2.0, bitmask=every[0]) for code in (9, 10))
    batch = batch_of([(mask, bias), (TOP_K, bias)], top_n=2)
    seen = History.empty(2)
    for words in (np.zeros((3, 0), np.int32), np.full((3, 1), -1, np.int32)):
        got, want = (
            kernel(batch).step(
                logits,
                logits,
                words,
                seen.token_ids,
                seen.lengths,
                seen.prompt_lengths,
                describe=True,
            )
            for kernel in (lambda batch: TensorKernel(batch, capacity=4), VectorKernel)
        )
        assert_alike((got, want))


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


def test_a_device_without_float64_is_served_by_the_host() -> None:
    assert arrays.working_device(torch.device("mps")) == torch.device("cpu")
    assert arrays.working_device(torch.device("cuda", 1)) == torch.device("cuda", 1)


def test_two_of_the_largest_logits_share_the_mass() -> None:
    # ln 2 is less than what separates two numbers of this size.
    both_halves = np.array([[3e38, -INF, 3e38]], np.float32)
    results = both([[Instruction(Opcode.TOP_H, 0.5)]], both_halves)
    assert [result.rows["support_size"].tolist() for result in results] == [[1], [1]]
