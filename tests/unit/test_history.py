"""`History` and `HistoryBuffer`: what they take, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from decoding.errors import DecodingError, ParameterError, ShapeError
from decoding.history import History, HistoryBuffer

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


def test_other_integers_are_converted() -> None:
    history = History([[1, 2]], IDS[0, 1:], np.array([1], np.uint8))  # type: ignore[arg-type]
    assert history.token_ids.dtype == np.int32
    assert history.lengths.dtype == history.prompt_lengths.dtype == np.int64
    assert history.generated(0).tolist() == [2]
