"""`CallableModel`: a callable as a `CachedModel`."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from decoding.errors import ParameterError, ShapeError
from decoding.models import CallableModel


def logits_of(token_ids: list[list[int]]) -> np.ndarray:
    """Row = (sum, length, 0, 0) of the list: enough to tell prefixes apart."""
    return np.array([[sum(ids), len(ids), 0.0, 0.0] for ids in token_ids], np.float32)


def test_rows_are_the_last_tokens_in_order() -> None:
    model = CallableModel(logits_of)
    states, logits = model.prefill([[1, 2], [3]])
    np.testing.assert_array_equal(logits, logits_of([[1, 2], [3]]))
    logits = model.extend(states, [[4], [5, 6]])
    np.testing.assert_array_equal(logits, logits_of([[1, 2, 4], [3, 5, 6]]))


def test_all_positions_is_one_call_on_every_prefix() -> None:
    calls: list[list[list[int]]] = []

    def forward(token_ids: list[list[int]]) -> np.ndarray:
        calls.append(token_ids)
        return logits_of(token_ids)

    model = CallableModel(forward)
    states, _ = model.prefill([[1, 2], [3]], all_positions=True)
    model.extend(states, [[4], [5, 6]], all_positions=True)
    assert calls == [[[1], [1, 2], [3]], [[1, 2, 4], [3, 5], [3, 5, 6]]]


def test_fork_rollback_release() -> None:
    model = CallableModel(logits_of)
    (state,), _ = model.prefill([[1, 2, 3]])
    fork = model.fork(state)
    model.rollback(state, 2)
    model.rollback(state, 0)
    np.testing.assert_array_equal(model.extend([state], [[9]]), logits_of([[1, 9]]))
    np.testing.assert_array_equal(model.extend([fork], [[4]]), logits_of([[1, 2, 3, 4]]))
    with pytest.raises(ParameterError, match=r"count must be in \[0, 2\]"):
        model.rollback(state, 3)
    model.release(state)
    model.release(state)


def test_the_callable_may_change_its_lists() -> None:
    def forward(token_ids: list[list[int]]) -> np.ndarray:
        logits = logits_of(token_ids)
        for ids in token_ids:
            ids.append(0)
        token_ids.clear()
        return logits

    model = CallableModel(forward)
    prompt = [1, 2]
    (state,), _ = model.prefill([prompt])
    np.testing.assert_array_equal(model.extend([state], [[3]]), logits_of([[1, 2, 3]]))
    assert prompt == [1, 2]


def test_lists_and_torch_tensors_are_logits_too() -> None:
    expected = logits_of([[1]])
    np.testing.assert_array_equal(
        CallableModel(lambda ids: logits_of(ids).tolist()).prefill([[1]])[1], expected
    )
    torch = pytest.importorskip("torch")
    model = CallableModel(lambda ids: torch.from_numpy(logits_of(ids)).to(torch.bfloat16))
    np.testing.assert_array_equal(model.prefill([[1]])[1], expected)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (np.zeros((1, 4), np.float32), "logits must be 2 rows, one a list, got 1 rows"),
        (np.zeros(4, np.float32), r"got shape \(4,\)"),
        (np.zeros((2, 0), np.float32), r"got shape \(2, 0\)"),
        (np.zeros((2, 3), np.int64), "got an array of int64"),
        ("logits", "got a str"),
        (None, "got a NoneType"),
    ],
)
def test_what_is_no_logits(returned: object, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        CallableModel(lambda _: returned).prefill([[1], [2]])


def test_illegal_calls() -> None:
    model = CallableModel(logits_of)
    with pytest.raises(ParameterError, match=r"token_ids\[1\] must be at least one token"):
        model.prefill([[1], []])
    with pytest.raises(
        ParameterError, match="as many lists as states, at least one, got '0 for 0'"
    ):
        model.prefill([])
    (state,), _ = model.prefill([[1]])
    with pytest.raises(ParameterError, match="states must be different states"):
        model.extend([state, state], [[1], [2]])


def test_importing_models_imports_nothing_heavy() -> None:
    script = (
        "import sys, decoding.models; print({'torch', 'tokenizers', 'jinja2'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
