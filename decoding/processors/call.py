"""The seam at which the logits of a caller reach a processor: checked, and NumPy from there on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence, Sized
from typing import Any, TypeVar, cast

import numpy as np

from decoding.errors import ParameterError, ShapeError
from decoding.history import History
from decoding.logits import is_tensor
from decoding.typing import Logits

_Self = TypeVar("_Self")
_Rows = TypeVar("_Rows", bound=Sized)
_EXPECTED = "(batch, vocab) floats, NumPy or torch"


def checked_call(
    call: Callable[[_Self, Logits, _Rows], Logits],
) -> Callable[[_Self, Logits, _Rows], Logits]:
    """Let a method of NumPy logits take those of torch as well, and check its arguments.

    call: `(self, logits, rows)`; rows is the `History`, or the states of a feedback.

    The method that is returned takes `(batch, vocab)` floats, NumPy or torch, and an entry of rows
    for each row of logits. The logits of a tensor are computed in NumPy, those of bfloat16 in
    float32, and come back with the dtype and the device of the tensor, outside of autograd. What
    the call leaves unchanged is the very object that came; nothing that came is written to.

    Raises, when called:
        ShapeError: the logits are no two-dimensional floats, or the rows are not as many.
        ParameterError: the rows are neither a `History` nor a sequence of states.
    """

    @functools.wraps(call)
    def checked(self: _Self, logits: Logits, history: _Rows) -> Logits:
        given = cast("Any", logits)
        tensor = not isinstance(given, np.ndarray) and is_tensor(given)
        array = _of_tensor(given) if tensor else given
        _check_array(array)
        _check_rows(history, len(array))
        if not len(array):
            return logits
        result = call(self, array, history)
        if result is array:
            return logits
        return _like(given, result) if tensor else result

    return checked


def _check_array(array: Any) -> None:  # noqa: ANN401 -- an edge: anything may come
    if not isinstance(array, np.ndarray):
        raise ShapeError("logits", f"a {type(array).__name__}", _EXPECTED)
    if array.dtype.kind != "f":
        raise ShapeError("logits", f"an array of {array.dtype}", _EXPECTED)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ShapeError("logits", f"shape {array.shape}", _EXPECTED)


def _check_rows(rows: object, batch: int) -> None:
    if isinstance(rows, History):
        name = "history"
    elif isinstance(rows, Sequence) and not isinstance(rows, str):
        name = "states"
    else:
        raise ParameterError("history", rows, "a History, which `History.of` makes of token ids")
    if len(rows) != batch:
        raise ShapeError(name, f"{len(rows)} rows", f"of {batch} rows, as the logits")


def _of_tensor(tensor: Any) -> Any:  # noqa: ANN401 -- a torch tensor to an array
    import torch

    if tensor.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        raise ShapeError("logits", f"a tensor of {tensor.dtype}", _EXPECTED)
    host = tensor.detach().cpu()
    return (host.float() if host.dtype == torch.bfloat16 else host).numpy()


def _like(tensor: Any, result: Logits) -> Any:  # noqa: ANN401 -- torch tensors
    """The result as a tensor of the dtype and device of another; what is finite stays finite."""
    import torch

    limit = torch.finfo(tensor.dtype).max
    # A copy: the result may be, or view, memory of the tensor that came.
    computed = torch.from_numpy(np.array(result))
    narrowed = torch.where(computed == -torch.inf, computed, computed.clamp(-limit, limit))
    return narrowed.to(tensor.dtype).to(tensor.device)
