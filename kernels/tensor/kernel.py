"""`TensorKernel`: the torch backend; computes on the logits' device, returns NumPy results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from decoding.kernels.program import Batch, unshared
from decoding.kernels.result import ROW, TOP, StepResult
from decoding.kernels.tensor.arrays import as_tensor, upload, working_device
from decoding.kernels.tensor.candidates import NOTHING
from decoding.kernels.tensor.describe import Fault, describe, pack, unpack
from decoding.kernels.tensor.execute import Surroundings, run
from decoding.kernels.tensor.noise import choose
from decoding.kernels.tensor.programs import Group, groups_of, looked_up


class TensorKernel:
    """Draws a token a row on the device of the logits and copies the results to the host.

    capacity: among how many of the likeliest tokens a truncation first looks for those that stay
    (for a top-k, k and a quarter of it, which is room for ties). It changes no result: rows where
    more might stay are run again without it.
    """

    def __init__(self, batch: Batch, *, capacity: int = 1024) -> None:
        program = unshared(batch.program)
        self._batch = batch if program is batch.program else batch._replace(program=program)
        self._capacity = capacity
        self._groups: dict[tuple[torch.device, float], list[Group]] = {}
        self._bitmasks = _Bitmasks()

    def step(
        self,
        logits: Any,  # an array or a tensor
        raw_logits: Any,
        bitmasks: NDArray[np.int32],
        token_ids: NDArray[np.int32],
        lengths: NDArray[np.int64],
        prompt_lengths: NDArray[np.int64],
        *,
        describe: bool,
    ) -> StepResult:
        """Draw one token a row; the device is waited for once, to copy the results."""
        given = _on_working_device(logits)
        raw = given if raw_logits is logits else _on_working_device(raw_logits).to(given.device)
        batch = looked_up(self._batch, token_ids, lengths, prompt_lengths)
        groups = self._groups_for(batch, given)
        around = self._surroundings(
            groups, given.device, bitmasks, token_ids, lengths, prompt_lengths
        )
        rows, tops = np.zeros(len(given), ROW), [np.zeros(0, TOP)]
        capacity: int | None = self._capacity
        while groups:
            tables = [
                launch(group, given, raw, around, capacity, described=describe) for group in groups
            ]
            again = _collect(groups, tables, rows, tops)
            groups, capacity = groups_of(batch, again, given.device, _reach(given)), None
        return StepResult.of(rows, np.concatenate(tops))

    def edit(
        self,
        logits: Any,
        bitmasks: NDArray[np.int32],
        token_ids: NDArray[np.int32],
        lengths: NDArray[np.int64],
        prompt_lengths: NDArray[np.int64],
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Run the program without a draw: the edited rows, in float64."""
        given = _on_working_device(logits)
        batch = looked_up(self._batch, token_ids, lengths, prompt_lengths)
        groups = self._groups_for(batch, given)
        around = self._surroundings(
            groups, given.device, bitmasks, token_ids, lengths, prompt_lengths
        )
        rows = given.to(torch.float64, copy=True)
        emptied = torch.full((len(rows), 1), -1, device=rows.device)
        for group in groups:
            before = group.of(rows)
            after, culprit = edited(group, before, around)
            whole = slice(None) if group.places is None else group.places
            rows[whole], emptied[whole] = after, culprit
        return rows.cpu().numpy(), emptied[:, 0].cpu().numpy()

    def regrouped(self, batch: Batch, threads: int = 1) -> TensorKernel:
        """Make this backend's kernel for another batch; see `Kernel.regrouped`."""
        del threads
        return TensorKernel(batch, capacity=self._capacity)

    def _groups_for(self, batch: Batch, logits: Tensor) -> list[Group]:
        rows = range(len(batch.seeds))
        key = logits.device, _reach(logits)
        if batch is not self._batch:
            return groups_of(batch, rows, *key)
        if key not in self._groups:
            self._groups[key] = groups_of(batch, rows, *key)
        return self._groups[key]

    def _surroundings(
        self,
        groups: Sequence[Group],
        device: torch.device,
        bitmasks: NDArray[np.int32],
        token_ids: NDArray[np.int32],
        lengths: NDArray[np.int64],
        prompt_lengths: NDArray[np.int64],
    ) -> Surroundings:
        reads_history = any(group.reads_history for group in groups)
        width = int(lengths.max(initial=0)) if reads_history else 0
        return Surroundings(
            upload(token_ids[:, :width], device).to(torch.int64).contiguous(),
            upload(lengths[:, np.newaxis], device),
            upload(prompt_lengths[:, np.newaxis], device),
            self._bitmasks.on(device, bitmasks),
        )


class _Bitmasks:
    """The words of the last step on their device, uploaded again only if they have changed."""

    def __init__(self) -> None:
        self._host = np.zeros((0, 0), np.int32)
        self._tensor = torch.zeros((0, 0), dtype=torch.int32, device="cpu")

    def on(self, device: torch.device, bitmasks: NDArray[np.int32]) -> Tensor:
        """The bitmasks as a tensor there."""
        if self._tensor.device != device or not np.array_equal(self._host, bitmasks):
            self._host = bitmasks.copy()
            self._tensor = upload(self._host, device)
        return self._tensor


def launch(
    group: Group,
    logits: Tensor,
    raw: Tensor,
    around: Surroundings,
    capacity: int | None,
    *,
    described: bool,
) -> Tensor:
    """Queue a group's step on the device; return its packed results without synchronising."""
    rows = group.of(logits)
    wide = rows.to(torch.float64)
    clean = torch.where(wide < torch.inf, wide, NOTHING)
    part = around.of(group)
    outcome = run(group, clean, part, capacity)
    place = choose(outcome.candidates, group.seeds, part.lengths)
    description = None
    if described:
        original = clean if raw is logits else group.of(raw).to(torch.float64)
        description = describe(
            original,
            outcome.candidates,
            place,
            group.top_n,
            group.most_top_n,
            exact=capacity is None,
        )
    fault = Fault.of(rows).then(outcome.emptied)
    return pack(fault, outcome.candidates.ids_of(place), outcome.uncertain, description)


def edited(group: Group, rows: Tensor, around: Surroundings) -> tuple[Tensor, Tensor]:
    """The group's float64 rows after its operations, and which operation emptied them.

    An emptied row is as it was.
    """
    outcome = run(group, rows, around.of(group), None)
    emptied = outcome.emptied
    if group.operations:
        empty = rows.amax(1, keepdim=True) == NOTHING
        emptied = torch.where(empty, 0, emptied)
    return torch.where(emptied >= 0, rows, outcome.candidates.logits), emptied


def _collect(
    groups: Sequence[Group],
    tables: Sequence[Tensor],
    rows: NDArray[Any],
    tops: list[NDArray[Any]],
) -> list[int]:
    """Copy the groups' tables to the host in one piece; returns the rows to run again."""
    words = torch.cat([table.flatten() for table in tables]).cpu().numpy()
    again: list[int] = []
    ends = np.cumsum([table.numel() for table in tables])
    start = sum(map(len, tops))
    for group, table, part in zip(groups, tables, np.split(words, ends[:-1]), strict=True):
        found, top, uncertain = unpack(part.reshape(table.shape))
        found["top_start"] += start
        rows[group.rows] = found
        tops.append(top)
        start += len(top)
        again += group.rows[uncertain].tolist()
    return again


def _on_working_device(logits: Any) -> Tensor:  # an array or a tensor
    tensor = as_tensor(logits)
    return tensor.to(working_device(tensor.device))


def _reach(logits: Tensor) -> float:
    return torch.finfo(logits.dtype).max
