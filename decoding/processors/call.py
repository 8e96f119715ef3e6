"""Wraps a processor's `__call__`: checks arguments, converts torch tensors to and from NumPy."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import numpy as np

from decoding.errors import ParameterError, ShapeError, require
from decoding.history import History
from decoding.logits import is_tensor
from decoding.typing import Anything, Logits, Rows

_Self = TypeVar("_Self")
_State = TypeVar("_State")
_Call = Callable[[_Self, Logits, History], Logits]
_Filter = Callable[[_Self, Logits, Sequence[_State]], Logits]

_EXPECTED = "(batch, vocab) floats, NumPy or torch"
_AS_IDS = (
    ", as token ids are (transformers hands over the token ids first:"
    " decoding.adapters.transformers.processor takes them so)"
)


def checked_call(call: _Call[_Self]) -> _Call[_Self]:
    """Wrap the `__call__` of a processor: check its arguments, and take tensors.

    call: takes `(batch, vocab)` NumPy logits and the history of as many rows, at least one.

    The method that is returned takes `(batch, vocab)` floats, NumPy or torch. The logits of a
    tensor are computed in NumPy, those of bfloat16 in float32, and come back with the dtype and the
    device of the tensor, outside of autograd; what is finite stays finite. What the call leaves
    unchanged is the very object that came; nothing that came is written to.

    Raises, when called:
        ShapeError: the logits are no two-dimensional floats, or the history has another number of
            rows.
        ParameterError: the history is no `History`.
    """

    @functools.wraps(call)
    def checked(self: _Self, logits: Logits, history: History) -> Logits:
        array = _as_array(logits)
        check_history(history)
        _check_rows("history", len(history), len(array))
        with np.errstate(all="ignore"):  # whatever the caller's says
            result = call(self, array, history) if len(array) else array
        return cast("Logits", _returned(logits, array, result))

    return checked


def checked_filter(call: _Filter[_Self, _State]) -> _Filter[_Self, _State]:
    """Wrap the `filter` of a `Feedback`: check its arguments, and take tensors."""

    @functools.wraps(call)
    def checked(self: _Self, logits: Logits, states: Sequence[_State]) -> Logits:
        array = _as_array(logits)
        if not isinstance(states, Sequence) or isinstance(states, str):
            raise ParameterError("states", states, "a sequence of states")
        _check_rows("states", len(states), len(array))
        with np.errstate(all="ignore"):
            result = call(self, array, states) if len(array) else array
        return cast("Logits", _returned(logits, array, result))

    return checked


def check_history(history: object) -> None:
    """Raise `ParameterError` for what is no `History`."""
    expected = "a History, as `History.of` makes it"
    require("history", history, isinstance(history, History), expected)


def _as_array(logits: Rows) -> Anything:
    array = _of_tensor(logits) if is_tensor(logits) else logits
    if not isinstance(array, np.ndarray):
        raise ShapeError("logits", f"a {type(array).__name__}", _EXPECTED)
    if array.dtype.char not in "efd":
        hint = _AS_IDS * (array.dtype.kind in "iu")
        raise ShapeError("logits", f"an array of {array.dtype}{hint}", _EXPECTED)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ShapeError("logits", f"shape {array.shape}", _EXPECTED)
    return array


def _check_rows(name: str, rows: int, batch: int) -> None:
    if rows != batch:
        raise ShapeError(name, f"{rows} rows", f"of {batch} rows, as the logits")


def _of_tensor(tensor: Rows) -> Rows:  # a torch tensor to an array
    import torch

    if tensor.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        is_of_ids = not tensor.is_floating_point() and not tensor.is_complex()
        raise ShapeError("logits", f"a tensor of {tensor.dtype}{_AS_IDS * is_of_ids}", _EXPECTED)
    if tensor.layout is not torch.strided:
        raise ShapeError("logits", f"a tensor of layout {tensor.layout}", _EXPECTED)
    host = tensor.detach().cpu().resolve_neg()
    return (host.float() if host.dtype == torch.bfloat16 else host).numpy()


def _returned(given: Rows, array: Rows, result: Rows) -> Rows:
    """Convert the result to the type of the given logits."""
    if result is array:
        return given
    if not is_tensor(given):
        return result
    import torch

    limit = torch.finfo(given.dtype).max
    # A copy: the result may view the memory of the tensor that came.
    computed = torch.from_numpy(np.array(result))
    bounded = torch.where(computed == -torch.inf, computed, computed.clamp(-limit, limit))
    return bounded.to(given.dtype).to(given.device)
