"""`StepResult`: the arrays that a decoding step returns for a batch."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

OK = 0
INVALID_LOGITS = 1
"""NaN or +inf; `fault_position` is the first such token id, `fault_count` how many there are."""
EMPTY_SUPPORT = 2
"""No finite logit left; `fault_position` is the row's instruction that removed the last, −1 for
a row that came without any."""

TIES_BEYOND_TOP_N = 32
"""Ties with the n-th of the likeliest tokens are described too, up to this many beyond n."""

ROW = np.dtype(
    [
        ("status", np.int64),
        ("fault_position", np.int64),
        ("fault_count", np.int64),
        ("token_id", np.int64),
        ("raw_logprob", np.float64),
        ("processed_logprob", np.float64),
        ("rank", np.int64),
        ("entropy", np.float64),
        ("support_size", np.int64),
        ("top_start", np.int64),
        ("top_count", np.int64),
    ]
)
"""A row's outcome. Where its status is not `OK` only the fault counts; where no description was
asked for, only the token id. Logprobs are natural: `raw` of the row as the model gave it,
`processed` of what the program left. See `hide_raw` for rows that ask for less."""

TOP = np.dtype(
    [("token_id", np.int64), ("raw_logprob", np.float64), ("processed_logprob", np.float64)]
)
"""One of a row's likeliest tokens."""

tuples_of_top: Callable[[Any], Iterator[tuple[Any, ...]]] = struct.Struct("=qdd").iter_unpack
"""The entries of an array of `TOP` as tuples, in less time than `tolist` takes."""


class StepResult(NamedTuple):
    """The results of a decoding step for a batch: arrays with an entry a row.

    A kernel may reuse the arrays: they are valid until it is called again.
    """

    rows: NDArray[Any]
    """`(batch,)` of `ROW`."""
    top: NDArray[Any]
    """Of `TOP`: row r's are `top_count` from `top_start` on, most likely first, then by id."""
    statuses: NDArray[np.int64]
    token_ids: NDArray[np.int64]
    """The columns `status` and `token_id` of `rows`."""

    @classmethod
    def of(cls, rows: NDArray[Any], top: NDArray[Any]) -> StepResult:
        """Make the results of a batch from arrays of `ROW` and `TOP`."""
        return cls(rows, top, rows["status"], rows["token_id"])


def hide_raw(result: StepResult, asked: NDArray[np.bool_] | bool) -> None:
    """Write NaN for the raw logprobs, and 0 for the ranks, of rows that did not ask for them."""
    if asked is True:
        return
    rows = result.rows
    hidden = np.flatnonzero(~asked)
    rows["raw_logprob"][hidden], rows["rank"][hidden] = np.nan, 0
    for row in hidden[rows["top_count"][hidden] > 0].tolist():
        start, count = rows["top_start"][row], rows["top_count"][row]
        result.top["raw_logprob"][start : start + count] = np.nan


def top_capacity(top_n: int) -> int:
    """The largest number of top tokens, ties included, that a request for `top_n` lists a row."""
    return 0 if top_n == 0 else top_n + TIES_BEYOND_TOP_N


def top_capacities(top_n: NDArray[np.int64]) -> NDArray[np.int64]:
    """`top_capacity` of every row."""
    return np.where(top_n > 0, top_n + TIES_BEYOND_TOP_N, 0)
