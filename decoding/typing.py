"""The types that cross the library's seams."""

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
    def facts(self) -> Facts:
        """What holds of every processor of the class; see `decoding.facts.facts_of`."""
        ...


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
