"""`Feedback`: the protocol of filters with a state that each drawn token updates.

What such a filter does next depends on how likely the drawn tokens were, which no list of token ids
says. Its state is an immutable value that the caller holds, one a sequence: copying it is a fork,
keeping the old one is a rollback. In a pipeline `BatchSampler` is handed the states and returns the
next ones with each sample; called as a processor it does what it does to the first token. A step of
one sequence by hand is

    filtered = feedback.filter(logits, [state])          # any processors before and after
    token_id = draw(filtered)
    state = feedback.observe(state, drawn_of(logits[0], filtered[0], token_id))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeGuard, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from decoding.checks import has_method
from decoding.kernels.vector.distribution import log_softmax
from decoding.typing import Logits, Processor

State = TypeVar("State")


class Drawn(NamedTuple):
    """The logprobs of the drawn token before and after the filter, in nats.

    logprob_before: in the distribution that the filter was given.
    logprob_after: in the one that it returned.
    """

    logprob_before: float
    logprob_after: float


@runtime_checkable
class Feedback(Processor, Protocol[State]):
    """A filter with a state that each drawn token updates."""

    def start(self) -> State:
        """The state of a sequence before its first token."""

    def filter(self, logits: Logits, states: Sequence[State]) -> Logits:
        """New logits `(batch, vocab)`, each row by its own state; nothing given is written to."""

    def observe(self, state: State, drawn: Drawn) -> State:
        """The state after a token."""


def is_feedback(processor: object) -> TypeGuard[Feedback[Any]]:
    """Whether a processor is a `Feedback`, quicker than `isinstance`."""
    return (
        has_method(processor, "observe")
        and has_method(processor, "start")
        and has_method(processor, "filter")
    )


def drawn_of(
    before: NDArray[np.floating[Any]], after: NDArray[np.floating[Any]], token_id: int
) -> Drawn:
    """Make a `Drawn` from one row of logits before and after the filter.

    >>> drawn_of(np.zeros(4), np.array([0.0, 0.0, -np.inf, -np.inf]), 1)._asdict()
    {'logprob_before': -1.3862943611198906, 'logprob_after': -0.6931471805599453}
    """
    rows = (row.astype(np.float64) for row in (before, after))
    return Drawn(*(float(log_softmax(row)[token_id]) for row in rows))
