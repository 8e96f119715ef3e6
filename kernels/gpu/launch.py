"""One batch on one device at one width: what stays there between steps, and the launches of a step.

Nothing waits for the device between the one copy to it and the one copy back. What it costs the
host to work out is done once, when the first logits of a width arrive.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from decoding.kernels.gpu.edits import patch_rows
from decoding.kernels.gpu.finish import finish, rank
from decoding.kernels.gpu.plans import Geometry, Needs, Plan, needs, power_of_two
from decoding.kernels.gpu.survey import BY_NOISE, COUNTS, NUMBERS, survey
from decoding.kernels.program import Batch, fit_bitmasks, words_of
from decoding.kernels.result import ROW, TOP, top_capacity

_SPAN = 1024
_FIELDS = len(ROW.names or ())
_TOP_FIELDS = len(TOP.names or ())
_PIVOTS, _WIDE_PIVOTS = 8, 4
_ANY_NUMBER = 2**31 - 1


class Inputs(NamedTuple):
    """What a step brings from the host, on the device."""

    positions: Tensor
    prompt_lengths: Tensor
    bitmasks: Tensor
    history: Tensor


class Launcher:
    """Runs the kernels for one batch, device and width of logits."""

    def __init__(
        self, batch: Batch, plan: Plan, geometry: Geometry, width: int, device: torch.device
    ) -> None:
        self._batch, self._plan, self._geometry = batch, plan, geometry
        self._width, self._words, self._device = width, words_of(width), device
        program, size = batch.program, len(batch.seeds)
        self._opcodes = self._put(program.opcodes)
        self._operands = self._put(plan.operands)
        self._slots = self._put(program.slots)
        self._row_starts = self._put(program.row_starts)
        self._cut_starts = self._put(plan.cut_starts)
        self._temperatures = self._put(plan.temperatures)
        self._seeds = self._put(batch.seeds.view(np.int64))
        self._greedy = self._put(batch.greedy.astype(np.int32))
        self._top_n = self._put(batch.top_n.astype(np.int32))
        self._sparse = [
            self._put(part)
            for part in (program.sparse_starts, program.sparse_token_ids, program.sparse_values)
        ]
        self._reads_history = self._put(plan.reads_history)
        self._needs: dict[bool, tuple[Needs, list[Tensor]]] = {}
        slices = size * geometry.splits
        self._candidates = self._room(size * self._words, torch.int32)
        self._listing = self._room(size * geometry.wide, torch.int32)
        self._numbers = self._room(slices * NUMBERS.value, torch.float64)
        self._counts = self._room(slices * COUNTS.value, torch.int32)
        dense = size if plan.sparse else 0
        self._tallies = torch.zeros(dense * width, dtype=torch.int32, device=device)
        self._touched = torch.zeros(dense * self._words, dtype=torch.int32, device=device)
        self._patches = self._room(dense * width, torch.float64)
        self._staging = torch.zeros(0, dtype=torch.int32)
        self._rooms = {
            described: self._room_for_top(described=described) for described in (False, True)
        }
        self._out = self._room(size * (_FIELDS + _TOP_FIELDS * self._rooms[True]), torch.int64)

    def run(
        self,
        logits: Tensor,
        raw: Tensor,
        bitmasks: NDArray[np.int32],
        token_ids: NDArray[np.int32],
        lengths: NDArray[np.int64],
        prompt_lengths: NDArray[np.int64],
        *,
        describe: bool,
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """The rows as `ROW`, and the tokens listed of each as `TOP`, in no order."""
        inputs = self._inputs(bitmasks, token_ids, lengths, prompt_lengths)
        if self._plan.sparse:
            self._patch(logits, inputs)
        self._survey(logits, raw, inputs, describe=describe)
        size, room = len(logits), self._rooms[describe]
        self._out.zero_()
        wide, narrow = self._geometry.wide, self._geometry.narrow
        if self._needs_for(describe=describe)[0].may_be_wide:
            self._finish(logits, raw, inputs, narrow, (0, narrow), describe=describe)
            self._finish(logits, raw, inputs, wide, (narrow + 1, _ANY_NUMBER), describe=describe)
        else:
            self._finish(logits, raw, inputs, narrow, (0, _ANY_NUMBER), describe=describe)
        if describe:
            self._rank(raw)
        words = self._out[: size * (_FIELDS + _TOP_FIELDS * room)].cpu().numpy()
        rows = words[: size * _FIELDS].copy().view(ROW)
        listed = np.zeros((size, room), TOP)
        parts = words[size * _FIELDS :].reshape(_TOP_FIELDS, size, room)
        for name, part in zip(TOP.names or (), (parts), strict=True):
            listed[name] = part.view(TOP[name])
        return rows, listed

    def _patch(self, logits: Tensor, inputs: Inputs) -> None:
        self._touched.zero_()
        patch_rows[(len(logits),)](
            logits,
            logits.stride(0),
            self._width,
            self._opcodes,
            self._operands,
            self._slots,
            self._row_starts,
            self._cut_starts,
            *self._sparse,
            inputs.bitmasks,
            self._words,
            self._reads_history,
            inputs.history,
            inputs.history.shape[1],
            inputs.positions,
            inputs.prompt_lengths,
            self._tallies,
            self._touched,
            self._patches,
            SPAN=_SPAN,
            num_warps=8,
            enable_fp_fusion=False,
        )

    def _survey(self, logits: Tensor, raw: Tensor, inputs: Inputs, *, describe: bool) -> None:
        geometry = self._geometry
        needed, (targets, limits, contenders) = self._needs_for(describe=describe)
        survey[self._grid(len(logits))](
            logits,
            logits.stride(0),
            raw,
            raw.stride(0),
            len(logits),
            self._width,
            self._opcodes,
            self._operands,
            self._slots,
            self._row_starts,
            self._cut_starts,
            self._plan.most_edits,
            self._temperatures,
            targets,
            limits,
            contenders,
            self._seeds,
            inputs.positions,
            inputs.bitmasks,
            self._words,
            self._touched,
            self._patches,
            self._candidates,
            self._numbers,
            self._counts,
            ROWS=geometry.rows,
            BLOCK=geometry.block,
            SPLITS=geometry.splits,
            DENSE=self._plan.dense,
            SPARSE=self._plan.sparse,
            NOISE=bool((needed.contenders == BY_NOISE.value).any()),
            SUMS=self._plan.needs_mass or describe,
            DESCRIBE=describe,
            num_warps=4,
            enable_fp_fusion=True,
        )

    def _finish(
        self,
        logits: Tensor,
        raw: Tensor,
        inputs: Inputs,
        tile: int,
        found: tuple[int, int],
        *,
        describe: bool,
    ) -> None:
        geometry, size, room = self._geometry, len(raw), self._rooms[describe]
        fields = self._out[: size * _FIELDS]
        listed = self._out[size * _FIELDS :].view(torch.float64)
        finish[(-(-size // geometry.rows),)](
            logits,
            logits.stride(0),
            raw,
            raw.stride(0),
            size,
            self._width,
            self._opcodes,
            self._operands,
            self._slots,
            self._row_starts,
            self._cut_starts,
            self._plan.most_edits,
            self._plan.most_cuts,
            self._temperatures,
            self._greedy,
            self._top_n,
            self._seeds,
            inputs.positions,
            inputs.bitmasks,
            self._words,
            self._touched,
            self._patches,
            self._candidates,
            self._listing,
            geometry.wide,
            *found,
            self._numbers,
            self._counts,
            fields,
            fields.view(torch.float64),
            self._out[size * _FIELDS :],
            listed[2 * size * room :],
            listed[size * room :],
            ROWS=geometry.rows,
            SPLITS=geometry.splits,
            SPLIT_LANES=power_of_two(geometry.splits),
            WORDS=power_of_two(self._words),
            TILE=tile,
            DENSE=self._plan.dense,
            SPARSE=self._plan.sparse,
            NOISE=not self._batch.greedy.all(),
            SUMS=self._plan.needs_mass or describe,
            DESCRIBE=describe,
            ROOM=room,
            PIVOTS=_PIVOTS if tile == geometry.narrow else _WIDE_PIVOTS,
            num_warps=8 if tile == geometry.narrow else 32,
            enable_fp_fusion=False,
        )

    def _rank(self, raw: Tensor) -> None:
        rank[self._grid(len(raw))](
            raw,
            raw.stride(0),
            len(raw),
            self._width,
            self._out,
            ROWS=self._geometry.rows,
            BLOCK=self._geometry.block,
            num_warps=8,
        )

    def _grid(self, size: int) -> tuple[int, int]:
        return -(-size // self._geometry.rows), self._geometry.splits

    def _inputs(
        self,
        bitmasks: NDArray[np.int32],
        token_ids: NDArray[np.int32],
        lengths: NDArray[np.int64],
        prompt_lengths: NDArray[np.int64],
    ) -> Inputs:
        """The step's arrays in one piece, each part at a multiple of 16 bytes."""
        if bitmasks.shape[1] != self._words:
            bitmasks = fit_bitmasks(list(bitmasks), self._words)
        longest = int((lengths * self._plan.reads_history).max(initial=0))
        parts: tuple[NDArray[Any], ...] = (
            lengths,
            prompt_lengths,
            bitmasks,
            token_ids[:, :longest],
        )
        ends = np.cumsum([-(-part.size // 4) * 4 for part in parts]).tolist()
        if len(self._staging) < ends[-1]:
            pinned = self._device.type == "cuda"
            self._staging = torch.zeros(2 * ends[-1], dtype=torch.int32, pin_memory=pinned)
        staging = self._staging.numpy()
        starts = [0, *ends[:-1]]
        for start, part in zip(starts, parts, strict=True):
            staging[start : start + part.size].reshape(part.shape)[...] = part
        there = self._staging[: ends[-1]].to(self._device, non_blocking=True)
        return Inputs(
            *(
                there[start : start + part.size].view(part.shape)
                for start, part in zip(starts, parts, strict=True)
            )
        )

    def _needs_for(self, *, describe: bool) -> tuple[Needs, list[Tensor]]:
        if describe not in self._needs:
            found = needs(self._batch, self._plan, self._geometry, describe=describe)
            self._needs[describe] = found, [self._put(part) for part in found[:3]]
        return self._needs[describe]

    def _room_for_top(self, *, described: bool) -> int:
        most = int(self._batch.top_n.max(initial=0)) if described else 0
        return min(self._width, top_capacity(most))

    def _put(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array.copy()).to(self._device)

    def _room(self, count: int, dtype: torch.dtype) -> Tensor:
        return torch.empty(count, dtype=dtype, device=self._device)
