"""Launches the Triton kernels of a batch, and keeps its arrays on the device between steps.

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
from decoding.kernels.gpu.finish import finish
from decoding.kernels.gpu.plans import Geometry, Plan, needs, power_of_two
from decoding.kernels.gpu.rank import rank
from decoding.kernels.gpu.survey import BY_NOISE, COUNTS, NUMBERS, survey
from decoding.kernels.program import Batch, fit_bitmasks, words_of
from decoding.kernels.result import ROW, TOP, top_capacity

_FIELDS = len(ROW.names or ())
_TOP_NAMES = TOP.names or ()
_PLANES = len(_TOP_NAMES) + 1
"""What is written of every token that is listed: what is told of it, and its logit."""
_ANY_NUMBER = 2**31 - 1

_SPAN = 1024
"""Tokens of a history that are looked at together."""
_EXACT = {"enable_fp_fusion": False}
"""A product and a sum are rounded one after the other, as on the host."""


class Inputs(NamedTuple):
    """The arrays of one step, uploaded from the host to the device."""

    positions: Tensor
    prompt_lengths: Tensor
    bitmasks: Tensor
    history: Tensor


class Asked(NamedTuple):
    """`decoding.kernels.gpu.plans.Needs` as device arrays, with two facts about the whole batch."""

    targets: Tensor
    limits: Tensor
    contenders: Tensor
    rooms: Tensor
    some_by_noise: bool
    some_wide: bool


class Launcher:
    """Runs the kernels for one batch, device and width of logits."""

    def __init__(
        self, batch: Batch, plan: Plan, geometry: Geometry, width: int, device: torch.device
    ) -> None:
        self._batch, self._plan, self._geometry = batch, plan, geometry
        self._width, self._words, self._device = width, words_of(width), device
        program, size = batch.program, len(batch.seeds)
        self._program = [
            self._put(part)
            for part in (
                program.opcodes,
                plan.operands,
                program.slots,
                np.append(program.firsts, len(program.opcodes)),
                plan.cut_starts,
            )
        ]
        self._sparse = [
            self._put(part)
            for part in (program.sparse_starts, program.sparse_token_ids, program.sparse_values)
        ]
        self._reads_history = self._put(plan.reads_history)
        self._temperatures = self._put(plan.temperatures)
        self._seeds = self._put(batch.seeds.view(np.int64))
        self._greedy = self._put(batch.greedy.astype(np.int32))
        self._top_n = self._put(batch.top_n.astype(np.int32))
        self._asked: dict[bool, Asked] = {}
        slices, dense = size * geometry.splits, size if plan.sparse else 0
        self._candidates = self._room(size * self._words, torch.int32)
        self._listing = self._room(size * geometry.wide, torch.int32)
        self._numbers = self._room(slices * NUMBERS.value, torch.float64)
        self._counts = self._room(slices * COUNTS.value, torch.int32)
        self._tallies = torch.zeros(dense * width, dtype=torch.int32, device=device)
        self._touched = self._room(dense * self._words, torch.int32)
        self._patches = self._room(dense * width, torch.float64)
        self._staging = torch.zeros(0, dtype=torch.int32, device="cpu")
        most = int(batch.top_n.max(initial=0))
        self._rooms = {True: min(width, top_capacity(most)), False: 0}
        self._out = self._room(size * (_FIELDS + _PLANES * self._rooms[True]), torch.int64)

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
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
        """Run one step: rows as `ROW`, top tokens as `TOP` in no order, and the logits of these."""
        inputs = self._inputs(bitmasks, token_ids, lengths, prompt_lengths)
        if self._plan.sparse:
            self._patch(logits, inputs)
        asked = self._asked_for(describe=describe)
        self._survey(logits, raw, inputs, asked, describe=describe)
        self._out.zero_()
        narrow = self._geometry.narrow
        self._finish(logits, raw, inputs, asked, (0, narrow), describe=describe)
        if asked.some_wide:
            found = (narrow + 1, _ANY_NUMBER)
            self._finish(logits, raw, inputs, asked, found, describe=describe)
        if describe:
            self._rank(raw)
        return self._results(describe=describe)

    def _patch(self, logits: Tensor, inputs: Inputs) -> None:
        self._touched.zero_()
        patch_rows[(len(logits),)](
            logits,
            logits.stride(0),
            self._width,
            *self._program,
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
            **_EXACT,
        )

    def _survey(
        self, logits: Tensor, raw: Tensor, inputs: Inputs, asked: Asked, *, describe: bool
    ) -> None:
        survey[self._grid()](
            logits,
            logits.stride(0),
            raw,
            raw.stride(0),
            len(logits),
            self._width,
            *self._program,
            self._plan.most_edits,
            self._temperatures,
            asked.targets,
            asked.limits,
            asked.contenders,
            self._seeds,
            inputs.positions,
            inputs.bitmasks,
            self._words,
            self._touched,
            self._patches,
            self._candidates,
            self._numbers,
            self._counts,
            ROWS=self._geometry.rows,
            BLOCK=self._geometry.block,
            SPLITS=self._geometry.splits,
            DENSE=self._plan.dense,
            BIASED=self._plan.biased,
            SPARSE=self._plan.sparse,
            NOISE=asked.some_by_noise,
            SUMS=self._plan.needs_mass or describe,
            DESCRIBE=describe,
            num_warps=4,
            **_EXACT,
        )

    def _finish(
        self,
        logits: Tensor,
        raw: Tensor,
        inputs: Inputs,
        asked: Asked,
        found: tuple[int, int],
        *,
        describe: bool,
    ) -> None:
        geometry, size, room = self._geometry, len(raw), self._rooms[describe]
        is_wide = found[0] > 0
        fields, listed = self._out[: size * _FIELDS], self._out[size * _FIELDS :]
        finish[self._grid()[:1]](
            logits,
            logits.stride(0),
            raw,
            raw.stride(0),
            size,
            self._width,
            *self._program,
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
            asked.rooms,
            self._numbers,
            self._counts,
            fields,
            fields.view(torch.float64),
            listed,
            listed.view(torch.float64)[2 * size * room :],
            listed.view(torch.float64)[size * room :],
            listed.view(torch.float64)[3 * size * room :],
            ROWS=geometry.rows,
            SPLITS=geometry.splits,
            SPLIT_LANES=power_of_two(geometry.splits),
            WORDS=power_of_two(self._words),
            TILE=geometry.wide if is_wide else geometry.narrow,
            DENSE=self._plan.dense,
            SPARSE=self._plan.sparse,
            NOISE=not self._batch.greedy.all(),
            SUMS=self._plan.needs_mass or describe,
            DESCRIBE=describe,
            ROOM=room,
            PIVOTS=4 if is_wide else 8,
            num_warps=32 if is_wide else 8,
            **_EXACT,
        )

    def _rank(self, raw: Tensor) -> None:
        rank[self._grid()](
            raw,
            raw.stride(0),
            len(raw),
            self._width,
            self._out,
            ROWS=self._geometry.rows,
            BLOCK=self._geometry.block,
            num_warps=4,
            **_EXACT,
        )

    def _results(self, *, describe: bool) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
        size, room = len(self._batch.seeds), self._rooms[describe]
        words = self._out[: size * (_FIELDS + _PLANES * room)].cpu().numpy()
        rows = words[: size * _FIELDS].copy().view(ROW)
        *parts, logits = words[size * _FIELDS :].reshape(_PLANES, size, room)
        listed = np.zeros((size, room), TOP)
        for name, part in zip(_TOP_NAMES, parts, strict=True):
            listed[name] = part.view(TOP[name])
        return rows, listed, logits.view(np.float64)

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
        parts: list[NDArray[Any]] = [lengths, prompt_lengths, bitmasks, token_ids[:, :longest]]
        ends = np.cumsum([-(-part.size // 4) * 4 for part in parts]).tolist()
        starts = [0, *ends[:-1]]
        if len(self._staging) < ends[-1]:
            pinned = self._device.type == "cuda"
            self._staging = torch.zeros(
                2 * ends[-1], dtype=torch.int32, device="cpu", pin_memory=pinned
            )
        staging = self._staging.numpy()
        for start, part in zip(starts, parts, strict=True):
            staging[start : start + part.size] = part.ravel()
        there = self._staging[: ends[-1]].to(self._device, non_blocking=True)
        return Inputs(
            *(
                there[start : start + part.size].view(part.shape)
                for start, part in zip(starts, parts, strict=True)
            )
        )

    def _asked_for(self, *, describe: bool) -> Asked:
        if describe not in self._asked:
            found = needs(self._batch, self._plan, self._geometry, describe=describe)
            self._asked[describe] = Asked(
                self._put(found.targets),
                self._put(found.limits),
                self._put(found.contenders),
                self._put(found.rooms),
                bool((found.contenders == BY_NOISE.value).any()),
                bool((found.rooms > self._geometry.narrow).any()),
            )
        return self._asked[describe]

    def _grid(self) -> tuple[int, int]:
        return -(-len(self._batch.seeds) // self._geometry.rows), self._geometry.splits

    def _put(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array.copy()).to(self._device)

    def _room(self, count: int, dtype: torch.dtype) -> Tensor:
        return torch.empty(count, dtype=dtype, device=self._device)
