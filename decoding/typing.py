"""The types that cross the library's seams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from decoding.history import History
    from decoding.kernels.program import Instruction

__all__ = [
    "DeclaredProcessor",
    "DynamicBitmask",
    "DynamicInstruction",
    "FloatArray",
    "ForwardFunction",
    "Logits",
    "Processor",
    "TokenIds",
    "implies_sampling",
]

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


class DeclaredProcessor(Processor, Protocol):
    """A processor that states facts about itself; `decoding.testing.laws` checks them."""

    @property
    def argmax_invariant(self) -> bool:
        """The likeliest token stays the likeliest."""
        ...

    @property
    def only_removes(self) -> bool:
        """Tokens become impossible or keep their logit, bit for bit."""
        ...

    @property
    def never_empties(self) -> bool:
        """A row with a possible token keeps one."""
        ...

    @property
    def idempotent(self) -> bool:
        """Twice is once."""
        ...

    @property
    def needs_history(self) -> bool:
        """The result depends on what the row has seen."""
        ...

    @property
    def shift_invariant(self) -> bool:
        """A constant added to the logits changes no probability."""
        ...

    @property
    def vocabulary_blind(self) -> bool:
        """Permuting the vocabulary permutes the result."""
        ...


def implies_sampling(processor: object) -> bool:
    """Whether a request with this processor in its pipeline samples.

    Temperatures, truncations, and watermarks that are laid into the draw declare
    `implies_sampling = True`. Other processors do not, and need not declare anything: one that a
    user writes does not mean sampling unless it declares so.
    """
    return bool(getattr(processor, "implies_sampling", False))


@runtime_checkable
class DynamicInstruction(Protocol):
    """A processor that lowers to one instruction, which is another one at every step."""

    def instruction(self, history: History) -> Instruction:
        """That of the one row that `history` is of; token ids that it does not have are ignored."""
        ...


@runtime_checkable
class DynamicBitmask(Protocol):
    """A processor whose lowered instruction takes other words at every step: a grammar, say."""

    def bitmask(self, history: History) -> NDArray[np.int32]:
        """The words of the one row that `history` is of, as for `Bitmask`."""
        ...
