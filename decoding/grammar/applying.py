"""`apply_mask`: NumPy or torch logits with −inf where a packed grammar mask has bit 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from decoding.errors import ParameterError, ShapeError, UnsupportedFeatureError
from decoding.kernels.program import words_of
from decoding.logits import is_tensor
from decoding.typing import Anything

if TYPE_CHECKING:
    from torch import Tensor

Words: TypeAlias = Any
"""Packed masks: an array or a tensor of int32 or uint32, of one row or `(batch, words)`; or a
sequence with one such row, or None for a row that is left alone, for each row of logits."""

_FLOATS = "float16, bfloat16, float32 or float64"


def apply_mask(logits: Anything, words: Words, *, out: Anything = None) -> Anything:
    """The logits with −inf for every token whose bit is not set.

        out[..., i] = logits[..., i] if bit i % 32 of word i // 32 is set else −inf

    logits: `(batch, vocab)` or `(vocab,)`, a NumPy array or a torch tensor on any device, of
        float16, bfloat16, float32 or float64; the result has the same type, dtype and device. What
        stays is bit-identical.
    words: `Matcher.mask()`, one for each row: see `Words`. One row of words stands for all rows of
        logits. Tokens beyond the words do not stay; words beyond the logits are passed over.
    out: where the result is written; `logits` itself writes in place. None makes a new one.

    A row may end empty. On a GPU the words are copied there, one bit a token, and unpacked there.

    Raises:
        ShapeError: the logits are no such array, or the words are of another number of rows.
        ParameterError: the words are no int32 or uint32, or `out` is not like the logits.
        UnsupportedFeatureError: logits that require a gradient, in place.

    >>> from decoding.processors.bitmask import pack
    >>> words = np.frombuffer(pack([0, 2]), np.int32)
    >>> apply_mask(np.array([1.0, 2.0, 3.0]), words)
    array([  1., -inf,   3.])
    """
    if is_tensor(logits):
        return _on_tensor(logits, words, out)
    legal = isinstance(logits, np.ndarray) and logits.dtype.kind == "f" and logits.ndim in (1, 2)
    if not legal or logits.dtype.itemsize > 8:
        raise _no_logits(logits)
    kept = _kept(_on_host(words), logits.shape)
    if out is None:
        return np.where(kept, logits, logits.dtype.type(-np.inf))
    if not isinstance(out, np.ndarray) or (out.shape, out.dtype) != (logits.shape, logits.dtype):
        raise _unlike(out, logits)
    if not out.flags.writeable:
        raise ParameterError("out", "a read-only array", "writeable")
    if out is not logits:
        np.copyto(out, logits)
    out[np.broadcast_to(~kept, out.shape)] = -np.inf
    return out


def _on_tensor(logits: Tensor, words: Words, out: Anything) -> Tensor:
    import torch

    floats = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    if logits.ndim not in (1, 2) or logits.dtype not in floats:
        raise _no_logits(logits)
    if out is logits and logits.requires_grad and torch.is_grad_enabled():
        raise UnsupportedFeatureError(
            "out", "the logits require a gradient and cannot be changed in place"
        )
    if out is not None and (
        not is_tensor(out)
        or (out.shape, out.dtype, out.device) != (logits.shape, logits.dtype, logits.device)
    ):
        raise _unlike(out, logits)
    if logits.device.type == "cpu":
        removed = torch.from_numpy(~_kept(_on_host(words), tuple(logits.shape)))
    else:
        removed = ~unpacked(_packed_on(logits, words), logits.shape[-1])
    if out is None:
        return logits.masked_fill(removed, -torch.inf)
    if out is not logits:
        out.copy_(logits)
    filled: Tensor = out.masked_fill_(removed, -torch.inf)
    return filled


def unpacked(words: Tensor, width: int) -> Tensor:
    """Unpack an int32 tensor `(..., words)` to bools `(..., width)`, on the words' device."""
    import torch

    bits = torch.arange(8, dtype=torch.uint8, device=words.device)
    # The bytes of a word lie in the order of its bits: devices are little-endian.
    small = words.contiguous().view(torch.uint8)
    found = ((small.unsqueeze(-1) >> bits) & 1).flatten(-2).bool()
    missing = width - found.shape[-1]
    if missing > 0:
        found = torch.nn.functional.pad(found, (0, missing))
    return found[..., :width]


def _packed_on(logits: Tensor, words: Words) -> Tensor:
    """The words as int32 on the device of the logits, in as many dimensions as rows need."""
    import torch

    if is_tensor(words) and words.device == logits.device:
        if words.dtype not in (torch.int32, torch.uint32) or words.ndim not in (1, 2):
            raise _no_words(words)
        _check_rows(words.shape, logits.shape)
        on_device: Tensor = words.view(torch.int32)
        return on_device
    packed = _as_words(_on_host(words), tuple(logits.shape))
    return torch.from_numpy(packed.view(np.int32).copy()).to(logits.device)


def _on_host(words: Words) -> Words:
    """Tensors among the words as arrays."""
    if is_tensor(words):
        return _array(words)
    if isinstance(words, Sequence):
        return [_array(row) if is_tensor(row) else row for row in words]
    return words


def _array(words: Tensor) -> NDArray[Any]:
    import torch

    if words.dtype not in (torch.int32, torch.uint32):
        raise _no_words(words)
    array: NDArray[Any] = words.detach().cpu().view(torch.int32).numpy()
    return array


def _kept(words: Words, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which tokens stay, in a shape that is broadcast to that of the logits."""
    packed = _as_words(words, shape)
    width = shape[-1]
    small = packed.astype("<u4", copy=False).view(np.uint8)
    bits = np.unpackbits(small, axis=-1, count=min(width, 32 * packed.shape[-1]), bitorder="little")
    kept = bits.view(np.bool_)
    missing = width - kept.shape[-1]
    if missing > 0:
        kept = np.concatenate([kept, np.zeros((*kept.shape[:-1], missing), np.bool_)], axis=-1)
    return kept


def _as_words(words: Words, shape: tuple[int, ...]) -> NDArray[np.uint32]:
    """Words as one array, checked; a row that is left alone has every bit set."""
    if isinstance(words, Sequence) and not isinstance(words, str | bytes):
        if len(shape) != 2 or len(words) != shape[0]:
            raise ShapeError("words", f"{len(words)} rows", f"one a row of logits {shape}")
        count = words_of(shape[-1])
        rows = np.zeros((shape[0], count), np.uint32)
        for index, row in enumerate(words):
            if row is None:
                rows[index] = 0xFFFFFFFF
                continue
            checked = _row_words(row)
            if checked.ndim != 1:
                raise ShapeError(f"words[{index}]", f"shape {checked.shape}", "one dimension")
            most = min(count, len(checked))
            rows[index, :most] = checked[:most]
        return rows
    checked = _row_words(words)
    if checked.ndim not in (1, 2):
        raise ShapeError("words", f"shape {checked.shape}", "(words,) or (batch, words)")
    _check_rows(checked.shape, shape)
    return np.ascontiguousarray(checked)


def _row_words(words: Words) -> NDArray[np.uint32]:
    legal = isinstance(words, np.ndarray) and words.dtype.kind in "iu" and words.dtype.itemsize == 4
    if not legal:
        raise _no_words(words)
    native: NDArray[np.uint32] = words.astype(words.dtype.newbyteorder("="), copy=False).view(
        np.uint32
    )
    return native


def _check_rows(words: Sequence[int], logits: Sequence[int]) -> None:
    if len(words) == 2 and (len(logits) != 2 or words[0] not in (1, logits[0])):
        raise ShapeError("words", f"{words[0]} rows", f"one, or one a row of {tuple(logits)}")


def _no_logits(logits: Anything) -> ShapeError:
    got = f"{getattr(logits, 'dtype', type(logits).__name__)}"
    shape = getattr(logits, "shape", None)
    got += "" if shape is None else f" of shape {tuple(shape)}"
    return ShapeError("logits", got, f"(batch, vocab) or (vocab,) of {_FLOATS}, NumPy or torch")


def _no_words(words: Anything) -> ParameterError:
    got = getattr(words, "dtype", None) or words
    return ParameterError("words", got, "packed bits in int32 or uint32")


def _unlike(out: Anything, logits: Anything) -> ParameterError:
    got = f"{getattr(out, 'dtype', type(out).__name__)}, shape {getattr(out, 'shape', None)}"
    return ParameterError("out", got, f"like the logits: {logits.dtype}, {tuple(logits.shape)}")
