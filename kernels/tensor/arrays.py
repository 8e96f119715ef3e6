"""Views host arrays as torch tensors without a copy, and uploads them to a step's device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from decoding.kernels.rows import BFLOAT16_BITS, FLOAT16_BITS

_WITHOUT_FLOAT64 = ("mps",)


def as_tensor(rows: Any) -> Tensor:  # an array or a tensor
    """View host rows, also half-precision bits, as a float tensor; detach a tensor."""
    if isinstance(rows, Tensor):
        return rows.detach()
    if rows.dtype == FLOAT16_BITS:
        return borrow(rows).view(torch.float16)
    if rows.dtype == BFLOAT16_BITS:
        return borrow(rows.view(np.int16)).view(torch.bfloat16)
    return borrow(rows)


def borrow(array: NDArray[Any]) -> Tensor:
    """View a host array as a tensor of the same dtype, which must not be written to.

    Only an array with a negative stride, which no tensor can have, is copied.
    """
    if any(stride < 0 for stride in array.strides):
        return torch.from_numpy(array.copy())
    return torch.from_numpy(array if array.flags.writeable else np.asarray(_Borrowed(array)))


def upload(array: NDArray[Any], device: torch.device) -> Tensor:
    """Copy a host array to a device without waiting for the device's pending work.

    The array must stay as it is until the step's results have been copied back.
    """
    return borrow(array).to(device, non_blocking=True)


def working_device(device: torch.device) -> torch.device:
    """The device that computes rows of a device: the same, or the host if it has no float64."""
    return torch.device("cpu") if device.type in _WITHOUT_FLOAT64 else device


class _Borrowed:
    """Memory that must not be written to, without the flag that makes torch warn of it."""

    def __init__(self, array: NDArray[Any]) -> None:
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}
        self._owner = array
