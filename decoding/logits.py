"""Checks a model's output, NumPy or torch, and views or converts it as rows of logits."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.errors import ShapeError
from decoding.kernels.rows import FLOAT16_BITS, widen
from decoding.typing import Anything, Logits, Rows

_FLOAT32 = np.dtype(np.float32)
_EXPECTED = "(batch, vocab) of float16, bfloat16, float32 or float64, NumPy or torch"


def as_rows(array: Rows, name: str = "logits") -> Anything:
    """Convert a model's output for a kernel; copy only if its bytes are swapped or unaligned.

    NumPy arrays and torch tensors on the CPU become views as `decoding.kernels.rows` describes
    them; a torch tensor on another device stays what it is.

    Raises:
        ShapeError: not a two-dimensional floating array with at least one column.
    """
    if type(array) is np.ndarray and array.dtype is _FLOAT32 and array.flags.aligned:
        rows = array  # most are that, and it is quicker than what follows
    elif isinstance(array, np.ndarray):
        # By their characters, which are quicker to compare than dtypes.
        if array.dtype.char not in "efd":
            raise ShapeError(name, f"an array of {array.dtype}", _EXPECTED)
        if type(array) is not np.ndarray or not (array.dtype.isnative and array.flags.aligned):
            array = _plain(array, name)
        rows = array.view(FLOAT16_BITS) if array.dtype.char == "e" else array
    elif is_tensor(array):
        rows = _of_tensor(array, name)
    else:
        raise ShapeError(name, f"a {type(array).__name__}", _EXPECTED)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ShapeError(name, f"shape {tuple(array.shape)}", _EXPECTED)
    return rows


class LastView:
    """Views tensors as NumPy arrays, as `as_rows` does; keeps the view of the last address.

    To hand a tensor's memory to NumPy takes torch two microseconds, as long as a small row takes to
    be read; and a model's logits lie where those of its last step lay, as a rule.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        # Where the last tensor lay, and its rows, where two in turn lay there. These do not keep
        # the tensor's memory: they are read only while a tensor lies there.
        self._last: tuple[tuple[Any, ...] | None, NDArray[Any] | None] = (None, None)

    def of(self, tensor: Anything) -> Anything:
        """The rows of a tensor. Errors are those of `as_rows`."""
        place = _place_of(tensor)
        last, known = self._last
        if place is None or place != last:
            self._last = place, None
            return as_rows(tensor)
        if known is not None:
            return known
        rows = as_rows(tensor)
        if rows.ctypes.data == place[0]:
            self._last = place, np.asarray(_Memory(rows))
        return rows


def _place_of(tensor: Anything) -> tuple[Any, ...] | None:
    """A tensor's address on the host, its dtype, shape and strides; None for anything else."""
    torch = sys.modules.get("torch")
    if torch is None or type(tensor) is not torch.Tensor or not tensor.is_cpu or tensor.is_neg():
        return None
    try:
        return tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()
    except RuntimeError:  # it has no plain memory, as sparse ones
        return None


class _Memory:
    """The address, dtype and shape of an array for NumPy, without a reference to its memory."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.__array_interface__ = array.__array_interface__


def as_logits(array: Rows, name: str = "logits") -> Logits:
    """Convert a model's output for processors: a NumPy array of float32 or float64.

    Those two are viewed, not copied; half precision is widened to float32.

    Raises:
        ShapeError: not a two-dimensional floating array with at least one column.
    """
    return logits_of(as_rows(array, name))


def logits_of(rows: Rows) -> Logits:
    """Convert the result of `as_rows` to what `as_logits` returns."""
    return widen(_of_tensor(rows.cpu(), "logits") if is_tensor(rows) else rows)


def _plain(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Convert a subclass, another byte order or an unaligned address to a plain NumPy array."""
    if isinstance(array, np.ma.MaskedArray):
        raise ShapeError(name, "a masked array, whose mask would be lost", _EXPECTED)
    plain: NDArray[Any] = array.view(np.ndarray)
    if plain.dtype.isnative and plain.flags.aligned:
        return plain
    return plain.astype(plain.dtype.newbyteorder("="))


def is_tensor(array: Rows) -> bool:
    """Whether a value is a torch tensor; does not import torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def _of_tensor(tensor: Rows, name: str) -> Anything:
    stored = _stored_formats()
    if tensor.dtype not in stored:
        raise ShapeError(name, f"a tensor of {tensor.dtype}", _EXPECTED)
    if tensor.is_cpu:
        # A tensor that is no plain memory says so, which is quicker than to ask it first.
        try:
            return _viewed(tensor, stored[tensor.dtype])
        except (RuntimeError, TypeError):
            tensor = tensor.detach()
    import torch

    if tensor.layout is not torch.strided:
        raise ShapeError(name, f"a tensor of layout {tensor.layout}", _EXPECTED)
    if tensor.device.type == "meta":
        raise ShapeError(name, "a tensor on the device meta, which has no values", _EXPECTED)
    if not tensor.is_cpu:
        return tensor.detach()
    return _viewed(tensor.resolve_neg(), stored[tensor.dtype])


@cache
def _stored_formats() -> dict[Anything, Anything]:
    """By the dtype of a tensor of logits, the dtype of its bits; None where NumPy has its own."""
    import torch

    formats = {torch.bfloat16: torch.uint16, torch.float16: torch.int16}
    return {**formats, torch.float32: None, torch.float64: None}


def _viewed(tensor: Rows, bits: Anything) -> NDArray[Any]:
    """A host tensor's memory as a NumPy array; raises where torch has no plain memory for it."""
    array: NDArray[Any] = (tensor if bits is None else tensor.view(bits)).numpy()
    return array
