"""Protocols and type aliases: processors, logits, token ids, forward functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from decoding.facts import Facts
    from decoding.history import History
    from decoding.kernels.program import Instruction

Anything: TypeAlias = Any
"""A value as a caller, a model or another package hands it over: checked where it enters, or kept
and handed back as it is."""

Rows: TypeAlias = Any
"""Rows of logits `(batch, vocab)`, or one: a NumPy array, or a torch tensor on any device."""

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


class DeclaredProcessor(Processor, Protocol):
    """A processor that declares `Facts`, as `scale_invariant`; `decoding.testing.laws` checks."""

    @property
    def facts(self) -> Facts:
        """The declared facts of the processor's class; see `decoding.facts.facts_of`."""


@runtime_checkable
class DynamicInstruction(Protocol):
    """A processor that lowers to one kernel instruction, made anew from the history."""

    def instruction(self, history: History) -> Instruction:
        """The instruction for the one row of `history`; ids beyond the row's logits are ignored."""


@runtime_checkable
class DynamicBitmask(Protocol):
    """A processor that lowers to a bitmask that depends on the history, as a grammar does."""

    def bitmask(self, history: History) -> NDArray[np.int32]:
        """The packed bitmask for the one row of `history`, as for `Bitmask`."""
