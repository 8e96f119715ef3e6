"""`History` and `HistoryBuffer`: what they take, and what they refuse."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case_marks import needs_fork

from decoding.errors import DecodingError, ParameterError, ShapeError
from decoding.history import History, HistoryBuffer

STATUS = Path("/proc/self/status")
NO_TOKEN_IDS: list[Any] = [
    [-1],
    [2**31],
    [10**400],
    [True],
    [1.0],
    [None],
    ["1"],
    np.array([1.5]),
    np.array([2**40]),
    np.array([-1], np.int32),
    np.array([[1]]),
    "1",
    b"1",
    {1},
    iter([1]),
    None,
    1,
]


def of(token_ids: Any) -> object:
    return History.of([token_ids])


def of_generated(token_ids: Any) -> object:
    return History.of([[]], [token_ids])


def added(token_ids: Any) -> object:
    return HistoryBuffer().add(token_ids)


def added_generated(token_ids: Any) -> object:
    return HistoryBuffer().add([], token_ids)


def one_row() -> HistoryBuffer:
    buffer = HistoryBuffer()
    buffer.add([1])
    return buffer


def appended(token_ids: Any) -> object:
    return one_row().append(token_ids)


def extended(token_ids: Any) -> object:
    return one_row().extend_row(0, token_ids)


@pytest.mark.parametrize("call", [of, of_generated, added, added_generated, appended, extended])
@pytest.mark.parametrize("token_ids", NO_TOKEN_IDS, ids=repr)
def test_what_is_no_token_ids_is_refused_wherever_it_enters(
    call: Callable[[Any], object], token_ids: Any
) -> None:
    with pytest.raises(ParameterError):
        call(token_ids)


def tensor(token_ids: Sequence[int]) -> Any:
    torch = pytest.importorskip("torch")
    return torch.tensor(token_ids)


@pytest.mark.parametrize(
    "made",
    [
        tuple,
        np.array,
        lambda ids: np.array(ids, ">i8")[::1],
        lambda ids: np.array(ids, "u1"),
        tensor,
    ],
)
def test_token_ids_may_be_any_array_or_tensor(made: Callable[[list[int]], Any]) -> None:
    buffer = HistoryBuffer()
    buffer.add(made([1, 2]), made([3]))
    buffer.append(made([4]))
    buffer.extend_row(0, made([5]))
    assert buffer.view().row(0).tolist() == [1, 2, 3, 4, 5]
    assert History.of([made([1, 2])], [made([3])]).row(0).tolist() == [1, 2, 3]


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells how much memory is in use")
def test_a_long_row_takes_no_memory_of_the_short_ones_beside_it() -> None:
    buffer = HistoryBuffer()
    for _ in range(200):
        buffer.add([1, 2, 3])
    long = np.ones(2**18, np.int32)
    before = resident_mb()
    buffer.add(long)
    buffer.append([4] * 201)  # which needs more room than the row had
    assert resident_mb() - before < 50  # all rows at that length are 400 MB
    assert buffer.view().row(0).tolist() == [1, 2, 3, 4]
    assert buffer.view().lengths.tolist() == [4] * 200 + [2**18 + 1]


def resident_mb() -> float:
    lines = STATUS.read_text("utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


@needs_fork
def test_a_long_buffer_is_no_memory_that_a_child_process_shares() -> None:
    buffer = HistoryBuffer()
    buffer.add(np.ones(2**18, np.int32))
    buffer.append([2])
    child = os.fork()
    if not child:
        try:
            buffer.append([3])
            buffer.view().token_ids[0, 0] = 7
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    row = buffer.view().token_ids[0]
    assert row[0] == 1
    assert row[2**18 : 2**18 + 2].tolist() == [2, 0]


def test_a_buffer_copies_the_arrays_that_it_is_given() -> None:
    prompt = np.array([1, 2], np.int32)
    buffer = HistoryBuffer()
    buffer.add(prompt, [3])
    prompt[:] = 9
    assert buffer.view().row(0).tolist() == [1, 2, 3]


def test_a_refused_append_changes_no_row() -> None:
    buffer = HistoryBuffer()
    buffer.add([1, 2])
    buffer.add([3])
    with pytest.raises(DecodingError):
        buffer.append([7, -3])
    assert buffer.view().lengths.tolist() == [2, 1]


@pytest.mark.parametrize("batch", [-1, True, 1.0, None, 10**12, "1"])
def test_a_number_of_rows_is_checked(batch: Any) -> None:
    with pytest.raises(ParameterError):
        History.empty(batch)


IDS, LENGTH, PROMPT = np.array([[1, 2]], np.int32), np.array([2]), np.array([1])


@pytest.mark.parametrize(
    ("token_ids", "lengths", "prompt_lengths"),
    [
        (IDS, np.array([1000]), PROMPT),
        (IDS, np.array([-1]), PROMPT),
        (IDS, PROMPT, LENGTH),
        (IDS, LENGTH, np.array([-1])),
        (IDS, LENGTH[:0], PROMPT[:0]),
        (IDS, LENGTH, np.array([1, 1])),
        (IDS[0], LENGTH, PROMPT),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    token_ids: Any, lengths: Any, prompt_lengths: Any
) -> None:
    with pytest.raises(ShapeError):
        History(token_ids, lengths, prompt_lengths)


@pytest.mark.parametrize(
    ("token_ids", "lengths"),
    [(IDS.astype(float), LENGTH), (IDS > 0, LENGTH), (IDS, [1.5]), ([[2**40]], [1]), ("ab", [1])],
)
def test_arrays_of_other_numbers_are_refused(token_ids: Any, lengths: Any) -> None:
    with pytest.raises(ParameterError):
        History(token_ids, lengths, np.array([1]))


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_arrays_become_such_as_kernels_read(dtype: type[Any]) -> None:
    numbers = np.arange(12, dtype=dtype).reshape(3, 4)
    locked = numbers.copy()
    locked.flags.writeable = False
    for token_ids in (numbers, np.asfortranarray(numbers), np.tile(numbers, 2)[:, :4], locked):
        history = History(token_ids, np.broadcast_to(np.int64(4), 3), np.ones(6, np.int8)[::2])
        assert history.token_ids.tolist() == numbers.tolist()
        arrays = (history.token_ids, history.lengths, history.prompt_lengths)
        assert all(array.flags.carray for array in arrays)


def test_other_integers_are_converted() -> None:
    history = History([[1, 2]], IDS[0, 1:], np.array([1], np.uint8))
    assert history.token_ids.dtype == np.int32
    assert history.lengths.dtype == history.prompt_lengths.dtype == np.int64
    assert history.generated(0).tolist() == [2]


@pytest.mark.parametrize("row", [-1, 2, True, 0.0, "0", None, [0], 2**63])
@pytest.mark.parametrize("name", ["row", "prompt", "generated", "select"])
def test_a_row_that_is_not_there_is_refused(name: str, row: object) -> None:
    history = History.of([[1], [2, 3]], [[4], []])
    with pytest.raises(ParameterError, match="row must be"):
        getattr(history, name)(row)
    assert getattr(history, name)(np.int64(1)) is not None


@pytest.mark.parametrize("prompts", [np.int64(3), np.array(3), np.float32(0.5), np.True_])
def test_a_number_is_no_sequence_of_prompts(prompts: object) -> None:
    with pytest.raises(ParameterError, match="prompts must be"):
        History.of(prompts)
