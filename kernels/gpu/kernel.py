"""`TritonKernel`: the Triton backend; rows that it cannot run go to torch's kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import triton
from numpy.typing import NDArray
from torch import Tensor

from decoding.kernels.gpu.finish import UNDECIDED
from decoding.kernels.gpu.launch import Launcher
from decoding.kernels.gpu.plans import Geometry, plan
from decoding.kernels.gpu.survey import survey
from decoding.kernels.program import Batch, unshared
from decoding.kernels.result import EMPTY_SUPPORT, OK, ROW, TOP, StepResult
from decoding.kernels.tensor.arrays import as_tensor
from decoding.kernels.vector.execute import Emptied, run_row

if TYPE_CHECKING:
    from decoding.kernels.tensor.kernel import TensorKernel

_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


class TritonKernel:
    """Draws a token a row on a CUDA device, or on the host under Triton's interpreter.

    Takes float16, bfloat16 and float32 rows of the programs that `decoding.kernels.gpu.plans`
    describes; a batch with any other row, and float64, goes to torch's kernels, as do the rows of a
    step whose kept tokens turn out to be more than there is room for.

    tile: how many logits a program surveys. room, narrow_room: how many candidates of a row that
    needs many, or few, the finishing step takes. They change which rows torch does, and the last
    digits of sums, but no row is touched by what others of its batch need.
    """

    def __init__(
        self, batch: Batch, *, tile: int = 4096, room: int = 8192, narrow_room: int = 1024
    ) -> None:
        self._batch = batch._replace(program=unshared(batch.program))
        self._plan = plan(self._batch)
        self._tile, self._room, self._narrow_room = tile, room, narrow_room
        self._launchers: dict[tuple[torch.device, int], Launcher] = {}
        self._torch: TensorKernel | None = None

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
        history = token_ids, lengths, prompt_lengths
        given = _in_rows(as_tensor(logits))
        launcher = self._launcher(given)
        if launcher is None:
            return self._fallback().step(logits, raw_logits, bitmasks, *history, describe=describe)
        raw = given if raw_logits is logits else _in_rows(as_tensor(raw_logits).to(given.device))
        rows, listed, listed_logits = launcher.run(
            given, raw, bitmasks, *history, describe=describe
        )
        _blank_what_failed(rows)
        tops = [
            _in_order(top[:count], edited[:count])
            for top, edited, count in zip(listed, listed_logits, rows["top_count"], strict=True)
        ]
        undecided = np.flatnonzero(rows["status"] == UNDECIDED.value)
        if len(undecided):
            other = self._fallback().step(logits, raw_logits, bitmasks, *history, describe=describe)
            for row in undecided:
                rows[row] = done = other.rows[row]
                tops[row] = other.top[done["top_start"] :][: done["top_count"]]
        for row in np.flatnonzero(rows["status"] == EMPTY_SUPPORT):
            rows[row]["fault_position"] = self._culprit(int(row), given[row], bitmasks, *history)
        rows["top_start"] = np.cumsum(rows["top_count"]) - rows["top_count"]
        return StepResult.of(rows, np.concatenate([np.zeros(0, TOP), *tops]))

    def edit(
        self,
        logits: Any,
        bitmasks: NDArray[np.int32],
        token_ids: NDArray[np.int32],
        lengths: NDArray[np.int64],
        prompt_lengths: NDArray[np.int64],
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Run the program alone; torch does, as there is nothing to fuse it with."""
        return self._fallback().edit(logits, bitmasks, token_ids, lengths, prompt_lengths)

    def regrouped(self, batch: Batch, threads: int = 1) -> TritonKernel:
        """Make this backend's kernel for another batch; see `Kernel.regrouped`."""
        del threads
        return TritonKernel(batch, tile=self._tile, room=self._room, narrow_room=self._narrow_room)

    def _launcher(self, logits: Tensor) -> Launcher | None:
        if self._plan is None or logits.dtype not in _DTYPES:
            return None
        if logits.device.type != "cuda" and isinstance(survey, triton.JITFunction):
            return None  # it is compiled, and not for this device
        width = logits.shape[1]
        key = logits.device, width
        if key not in self._launchers:
            geometry = Geometry.of(
                width, tile=self._tile, wide=self._room, narrow=self._narrow_room
            )
            self._launchers[key] = Launcher(self._batch, self._plan, geometry, width, logits.device)
        return self._launchers[key]

    def _fallback(self) -> TensorKernel:
        if self._torch is None:
            from decoding.kernels.tensor.kernel import TensorKernel

            self._torch = TensorKernel(self._batch)
        return self._torch

    def _culprit(
        self,
        row: int,
        logits: Tensor,
        bitmasks: NDArray[np.int32],
        token_ids: NDArray[np.int32],
        lengths: NDArray[np.int64],
        prompt_lengths: NDArray[np.int64],
    ) -> int:
        """Which instruction removed a row's last token; −1 if it came without any."""
        values = logits.to(torch.float64).cpu().numpy()
        if values.max() == -np.inf:
            return -1
        history = token_ids[row, : lengths[row]]
        try:
            run_row(values, self._batch.program, row, bitmasks, history, int(prompt_lengths[row]))
        except Emptied as error:
            return error.position
        raise AssertionError("a row that the device emptied is not empty")


def _in_rows(logits: Tensor) -> Tensor:
    """Logits whose rows are each in one piece."""
    return logits if logits.stride(1) == 1 else logits.contiguous()


def _blank_what_failed(rows: NDArray[Any]) -> None:
    """Zeros where a row has no token to say anything of."""
    names = ROW.names or ()
    for name in names[names.index("token_id") :]:
        rows[name][rows["status"] != OK] = 0


def _in_order(top: NDArray[Any], logits: NDArray[np.float64]) -> NDArray[Any]:
    return top[np.lexsort((top["token_id"], -logits))]
