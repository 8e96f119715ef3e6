"""The types that cross the library's seams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from decoding.history import History

FloatArray: TypeAlias = NDArray[np.floating[Any]]
"""A NumPy array of any float type."""

Logits: TypeAlias = NDArray[np.floating[Any]]
"""Unnormalised log-weights `(batch, vocab)`; −inf = impossible; never NaN or +inf."""

TokenIds: TypeAlias = Sequence[int]
"""Token ids of one sequence."""

ForwardFunction: TypeAlias = Callable[[list[list[int]]], Any]
"""Any model: a list of token-id lists in, logits `(batch, vocab)` out (NumPy or torch)."""


class Processor(Protocol):
    """Logits in, new logits out; what the chain is made of.

    A processor never writes to its arguments and returns the same object when it has nothing to do.
    """

    def __call__(self, logits: Logits, history: History, /) -> Logits:
        """`(batch, vocab)` logits and what each row has seen; returns `(batch, vocab)` logits."""
        ...
