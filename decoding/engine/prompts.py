"""Checks prompts of token ids; gives a prompt's text and the partial character at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from decoding.checks import checked_token_ids
from decoding.engine.detokenizer import TextStream
from decoding.errors import ParameterError
from decoding.logits import is_tensor
from decoding.typing import Anything, Rows
from decoding.vocabulary import Vocabulary

Inputs: TypeAlias = str | Sequence[int] | NDArray[np.integer[Any]]
"""A prompt: text, or token ids; a one-dimensional torch tensor of integers is taken as well."""

_LONGEST_CHARACTER = 4
"""Bytes of a character in UTF-8, at most."""

_EXPECTED = "a string or token ids >= 0 (below 2**31)"


def read_token_ids(inputs: Anything) -> tuple[int, ...]:
    """Read a prompt of token ids: a sequence, an array or a tensor of integers.

    Raises:
        ParameterError: anything else, also `bytes`, a set, bools, an empty or a nested sequence, an
            id below 0 or above 2**31 - 1.
    """
    if isinstance(inputs, np.ndarray) or is_tensor(inputs):
        if inputs.ndim != 1 or not _holds_integers(inputs):
            got = f"{type(inputs).__name__} of {inputs.dtype}, shape {tuple(inputs.shape)}"
            raise ParameterError("inputs", got, f"{_EXPECTED}, in one dimension")
    elif isinstance(inputs, bytes | bytearray | memoryview) or not isinstance(inputs, Sequence):
        raise ParameterError("inputs", inputs, _EXPECTED)
    token_ids = checked_token_ids("inputs", inputs, _EXPECTED)
    if not token_ids:
        raise ParameterError("inputs", inputs, "at least one token")
    return tuple(token_ids)


def is_batch(inputs: Anything) -> bool:
    """Whether an argument is several prompts: a sequence of prompts, or a two-dimensional array.

    Only the first item is looked at: a prompt may be a range of any length.
    """
    if isinstance(inputs, np.ndarray) or is_tensor(inputs):
        return bool(inputs.ndim > 1)
    if isinstance(inputs, str) or not isinstance(inputs, Sequence):
        return False
    first = next(iter(inputs), None)
    return isinstance(first, str | Sequence | np.ndarray) or is_tensor(first)


def prompt_text(inputs: Inputs, token_ids: Sequence[int], vocabulary: Vocabulary | None) -> str:
    """The text of a prompt, without an incomplete character at its end.

    The text that is generated begins with these bytes: `begun_character`.
    """
    if isinstance(inputs, str):
        return inputs
    if vocabulary is None:
        return ""
    stream, text = TextStream(), ""
    for item in token_ids:
        special = vocabulary.is_special(item)
        text += stream.flush() if special else stream.push(vocabulary.bytes_of(item))
    return text


def begun_character(token_ids: Sequence[int], vocabulary: Vocabulary | None) -> bytes:
    """The bytes of an incomplete character at the end of a prompt of token ids; mostly none."""
    end = b""
    for item in reversed(token_ids):
        if vocabulary is None or vocabulary.is_special(item) or len(end) > _LONGEST_CHARACTER:
            break
        end = vocabulary.bytes_of(item) + end
    stream = TextStream()
    stream.push(end)
    return stream.held


def _holds_integers(array: Rows) -> bool:
    if isinstance(array, np.ndarray):
        return array.dtype.kind in "iu"
    dtype = array.dtype
    return not (dtype.is_floating_point or dtype.is_complex or str(dtype) == "torch.bool")
