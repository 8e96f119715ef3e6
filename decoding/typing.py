"""Protocols and type aliases: processors, logits, token ids, forward functions."""

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
    """A function of logits and history that returns new logits.

    A processor never writes to its arguments and returns the same object when it has nothing to do.
    """

    def __call__(self, logits: Logits, history: History, /) -> Logits:
        """`(batch, vocab)` logits and what each row has seen; returns `(batch, vocab)` logits."""
        ...


class DeclaredProcessor(Processor, Protocol):
    """A processor that declares properties, which `decoding.testing.laws` checks."""

    @property
    def argmax_invariant(self) -> bool:
        """The token with the largest logit stays the same."""
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
        """Applying it twice gives the same as once."""
        ...

    @property
    def needs_history(self) -> bool:
        """The result depends on the history of the row."""
        ...

    @property
    def shift_invariant(self) -> bool:
        """Adding a constant to the logits changes no probability of the result."""
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
    """A processor that lowers to one instruction that depends on the history."""

    def instruction(self, history: History) -> Instruction:
        """The instruction for the one row of `history`; ids beyond the row's logits are ignored."""
        ...


@runtime_checkable
class DynamicBitmask(Protocol):
    """A processor that lowers to a bitmask that depends on the history, as a grammar does."""

    def bitmask(self, history: History) -> NDArray[np.int32]:
        """The packed bitmask for the one row of `history`, as for `Bitmask`."""
        ...
