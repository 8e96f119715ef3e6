"""`Backend` and the protocol `Kernel`: the implementations of the decoding step.

    NUMPY   arrays on the host; always there
    NUMBA   arrays on the host; compiled, ready some time after the process has started
    TORCH   tensors on any device
    TRITON  tensors on a CUDA device

All draw the same token from the same bits, outside the rounding band that their tests state.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.program import Batch
from decoding.kernels.result import StepResult
from decoding.kernels.vector.step import VectorKernel


class Backend(StrEnum):
    """Names an implementation of the decoding step: NumPy, Numba, torch or Triton."""

    NUMPY = "numpy"
    NUMBA = "numba"
    TORCH = "torch"
    TRITON = "triton"


class Kernel(Protocol):
    """Protocol of a backend's kernel: the program of a batch, ready to run, with its memory.

    logits: `(batch, vocab)`: on the host NumPy arrays as `decoding.kernels.rows` describes them,
    elsewhere torch tensors. bitmasks: `(slots, words_of(vocab))`, this step's operands of the
    program. The history is `token_ids` `(batch, width)`, valid up to `lengths`, prompts up to
    `prompt_lengths`. A row's position, which addresses its noise, is its length.
    """

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
        """Run the program, draw one token a row, and describe the draw if asked to.

        raw_logits: what raw logprobs and ranks are taken from: `logits` itself, unless a caller
        has edited these already.
        """
        ...

    def edit(
        self,
        logits: NDArray[Any],
        bitmasks: NDArray[np.int32],
        token_ids: NDArray[np.int32],
        lengths: NDArray[np.int64],
        prompt_lengths: NDArray[np.int64],
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Run the program without a draw: the edited rows, in float64.

        The second array names each row's instruction that removed its last token, −1 for none.
        """
        ...

    def regrouped(self, batch: Batch, threads: int = 1) -> Kernel:
        """The kernel of another batch: rows have joined or left, or the program has changed.

        It takes this kernel's memory over, which is done. What is the same object in both batches
        is not read again, where that saves time. threads: as for `open_kernel`.
        """
        ...


def open_kernel(batch: Batch, backend: Backend, threads: int = 1) -> Kernel:
    """Make the kernel of a batch on a backend; `threads` is for backends that run on the host.

    `NUMBA` must have been made ready: see `decoding.kernels.compiled.loading`.

    Raises:
        ImportError: the backend's package is not installed.
    """
    match backend:
        case Backend.NUMPY:
            return VectorKernel(batch)
        case Backend.NUMBA:
            from decoding.kernels.compiled.kernel import CompiledKernel

            return CompiledKernel(batch, threads)
        case Backend.TORCH:
            from decoding.kernels.tensor.kernel import TensorKernel

            return TensorKernel(batch)
        case Backend.TRITON:
            from decoding.kernels.gpu.kernel import TritonKernel

            return TritonKernel(batch)
