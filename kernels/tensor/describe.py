"""PyTorch: finds faults, logprobs, ranks, top tokens of rows; packs them as 64-bit words."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from decoding.kernels.result import (
    EMPTY_SUPPORT,
    INVALID_LOGITS,
    OK,
    ROW,
    TIES_BEYOND_TOP_N,
    TOP,
    top_capacity,
)
from decoding.kernels.tensor.candidates import NOTHING, Candidates

_FIELDS = len(ROW.names or ())
_TOKEN_ID = (ROW.names or ()).index("token_id")
_TOP_FIELDS = len(TOP.names or ())
_UNCERTAIN = _FIELDS
"""Behind the fields of `ROW` stands whether the row must be run again, then the top."""


class Fault(NamedTuple):
    """The reason why a row has no token; `(rows, 1)` int64 each, as in `ROW`."""

    status: Tensor
    position: Tensor
    invalid_count: Tensor

    @classmethod
    def of(cls, logits: Tensor) -> Fault:
        """Find the faults of input rows, `(rows, vocab)` of any dtype: NaN, +inf, no finite one."""
        invalid = ~(logits < torch.inf)
        count = invalid.sum(1, keepdim=True)
        first = invalid.to(torch.uint8).argmax(1, keepdim=True)
        empty = torch.where((logits > NOTHING).any(1, keepdim=True), OK, EMPTY_SUPPORT)
        bad = count > 0
        status = torch.where(bad, INVALID_LOGITS, empty)
        return cls(status, torch.where(bad, first, -1), count)

    def then(self, emptied: Tensor) -> Fault:
        """Add the faults that operations caused in rows that had none."""
        fine = self.status == OK
        status = torch.where(fine & (emptied >= 0), EMPTY_SUPPORT, self.status)
        return Fault(status, torch.where(fine, emptied, self.position), self.invalid_count)


class Description(NamedTuple):
    """The fields of `ROW` from `raw_logprob` to `support_size`, `(rows, 1)` each, and the top.

    top: `(rows, capacity, 3)`, the fields of `TOP`; `top_count` of them are the row's.
    uncertain: where more ties may stand outside the top.
    """

    raw_logprob: Tensor
    processed_logprob: Tensor
    rank: Tensor
    entropy: Tensor
    support_size: Tensor
    top_count: Tensor
    top: Tensor
    uncertain: Tensor


def describe(
    raw: Tensor, candidates: Candidates, place: Tensor, top_n: Tensor, most: int, *, exact: bool
) -> Description:
    """Describe the draw of the candidate at `place` in each row.

    raw: `(rows, vocab)` float64. most: the largest `top_n`. exact: sort rows in full for their top.
    """
    logits = candidates.logits
    raw_scale = _Scale.of(raw)
    scale = raw_scale if logits is raw else _Scale.of(logits)
    chosen = raw.gather(1, candidates.ids_of(place))
    processed = scale.logprobs(logits)
    alive = logits > NOTHING
    weights = processed.exp()
    products = torch.where(weights > 0.0, weights * processed, 0.0)
    likeliest, count, uncertain = _likeliest(candidates, top_n, most, exact=exact)
    ids = likeliest.token_ids
    top = (ids, raw_scale.logprobs(raw.gather(1, ids)), scale.logprobs(likeliest.logits))
    return Description(
        raw_scale.logprobs(chosen),
        processed.gather(1, place),
        (raw > chosen).sum(1, keepdim=True) + 1,
        products.sum(1, keepdim=True).clamp(max=0.0).abs(),
        alive.sum(1, keepdim=True),
        count,
        torch.stack([_words(field) for field in top], dim=2),
        uncertain,
    )


class _Scale(NamedTuple):
    """What turns logits of a row into logprobs: max and ln Σ exp(z_j − max), `(rows, 1)`.

    The two stay apart: added to a maximum of 1e38, the logarithm would vanish.
    """

    largest: Tensor
    log_total: Tensor

    @classmethod
    def of(cls, logits: Tensor) -> _Scale:
        largest = logits.amax(1, keepdim=True)
        return cls(largest, (logits - largest).exp().sum(1, keepdim=True).log())

    def logprobs(self, logits: Tensor) -> Tensor:
        return (logits - self.largest) - self.log_total


class _Listed(NamedTuple):
    """Tokens most likely first, ties by id: `(rows, n)` ids and logits."""

    token_ids: Tensor
    logits: Tensor


def _likeliest(
    candidates: Candidates, top_n: Tensor, most: int, *, exact: bool
) -> tuple[_Listed, Tensor, Tensor]:
    """The likeliest candidates, how many of them are a row's top, and where more might be."""
    rows, width = candidates.logits.shape
    room = min(width, top_capacity(most))
    uncertain = torch.zeros_like(top_n, dtype=torch.bool)
    if room == 0:
        places = torch.zeros((rows, 0), dtype=torch.int64, device=top_n.device)
        return _Listed(places, candidates.logits[:, :0]), torch.zeros_like(top_n), uncertain
    last = None
    if room < width and not exact:
        candidates, last = candidates.likeliest(room)
    # Adding zero makes −0 and 0 one number for sorts that compare bits.
    ordered, places = torch.sort(candidates.logits + 0.0, dim=1, descending=True, stable=True)
    ordered, places = ordered[:, :room], places[:, :room]
    nth = ordered.gather(1, (top_n - 1).clamp(0, room - 1))
    taken = (ordered >= nth) & (ordered > NOTHING) & (top_n > 0)
    count = torch.minimum(taken.sum(1, keepdim=True), top_n + TIES_BEYOND_TOP_N)
    if last is not None:
        uncertain = (last >= nth) & (last > NOTHING) & (top_n > 0)
    return _Listed(candidates.ids_of(places), ordered), count, uncertain


def pack(
    fault: Fault, token_ids: Tensor, uncertain: Tensor, description: Description | None
) -> Tensor:
    """Pack each row as 64-bit words: the fields of `ROW`, a flag for uncertain, the top tokens."""
    zero = torch.zeros_like(token_ids)
    if description is None:
        fields = [*fault, token_ids, *[zero] * (_FIELDS - _TOKEN_ID - 1), uncertain]
        return torch.cat([_words(field) for field in fields], dim=1)
    *numbers, count, top, more = description
    fields = [*fault, token_ids, *numbers, zero, count, uncertain | more]
    return torch.cat([*[_words(field) for field in fields], top.flatten(1)], dim=1)


def unpack(words: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
    """Unpack the rows and their concatenated top tokens, and list the rows that must run again.

    `top_start` counts within these rows.
    """
    fields = words[:, :_FIELDS].copy()
    rows = fields.view(ROW)[:, 0]
    fine = rows["status"] == OK
    # What was not looked at may also keep a row from ending up empty.
    again = (words[:, _UNCERTAIN] != 0) & (rows["status"] != INVALID_LOGITS)
    rows["fault_position"][fine] = 0
    fields[~fine | again, _TOKEN_ID:] = 0
    top = words[:, _UNCERTAIN + 1 :].reshape(len(words), -1, _TOP_FIELDS)
    listed = np.arange(top.shape[1]) < rows["top_count"][:, np.newaxis]
    rows["top_start"] = np.cumsum(rows["top_count"]) - rows["top_count"]
    return rows, top[listed].view(TOP)[:, 0], again


def _words(field: Tensor) -> Tensor:
    """64 bits each: float64 as its bits."""
    return field.view(torch.int64) if field.dtype == torch.float64 else field.to(torch.int64)
