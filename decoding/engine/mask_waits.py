"""Computes grammar masks in another thread; sequences whose mask is late leave the batch.

A mask can take longer than a step. Where an engine may use another thread, a sequence whose mask is
not ready leaves the batch until it is, so that it delays no other; it draws the same tokens later.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from typing import TypeAlias

import numpy as np

from decoding.engine.drawing import RunningBatch
from decoding.engine.generation import RunningSequence
from decoding.processors.grammar_mask import GrammarMask

Beside: TypeAlias = Callable[[Callable[[], None]], Future[None]]
"""Runs work in another thread, one after the other."""

GRACE_S = 0.001
"""Seconds for which a step waits for masks that were asked for just before it."""

_MOST_IDLE_S = 0.005
"""Seconds for which a step waits where all sequences wait for masks: others may join meanwhile."""


class MaskWaits:
    """The sequences of an engine that wait for a mask.

    beside: computes masks in another thread; None computes each within its step.
    """

    def __init__(self, beside: Beside | None = None) -> None:
        self.beside = beside
        self.sequences: list[RunningSequence] = []
        self._masks: dict[RunningSequence, GrammarMask] = {}
        # The mask of each sequence that was asked for, after how many tokens.
        self._asked: dict[RunningSequence, tuple[int, Future[None]]] = {}
        self._asked_at = 0.0

    def follow(self, sequence: RunningSequence) -> None:
        """Compute the masks of a sequence from now on, where it has a grammar."""
        mask = grammar_mask_of(sequence)
        if mask is not None:
            self._masks[sequence] = mask

    def ask(self) -> None:
        """Begin to compute the next masks of the sequences that are followed."""
        if self.beside is None:
            return
        for item, mask in self._masks.items():
            if item.ended:
                continue
            length = len(item.token_ids)
            known = self._asked.get(item)
            if known is not None and known[0] == length:
                continue
            generated = item.token_ids[len(item.generation.plan.prompt) :]
            work = partial(mask.prepare, np.array(generated, np.int32))
            self._asked[item] = length, self.beside(work)
            self._asked_at = time.monotonic()

    def exchange(self, batch: RunningBatch) -> None:
        """Move sequences whose masks are ready into the batch, and those without out of it."""
        if not self._asked:
            return
        back = self._ready()
        if not batch.sequences and self.sequences and not back:
            wait(
                [self._asked[item][1] for item in self.sequences],
                timeout=_MOST_IDLE_S,
                return_when=FIRST_COMPLETED,
            )
            back = self._ready()
        late = [item for item in batch.sequences if not self._is_ready(item)]
        left = self._asked_at + GRACE_S - time.monotonic()
        if late and left > 0.0:
            # One call: whoever looks again and again waits for the interpreter each time.
            wait([self._asked[item][1] for item in late], timeout=left)
            late = [item for item in late if not self._is_ready(item)]
        # First in both places, then in one: an interrupt in between loses none.
        self.sequences += late
        batch.remove(late)
        for item in back:
            batch.add(item)
        self.sequences = [item for item in self.sequences if item not in back]

    def forget(self, over: Iterable[RunningSequence]) -> None:
        """Compute no more masks for sequences that are over."""
        for item in over:
            self._asked.pop(item, None)
            self._masks.pop(item, None)

    @property
    def over(self) -> list[RunningSequence]:
        """The sequences that wait and need no further token."""
        return [item for item in self.sequences if item.ended]

    def remove_over(self) -> list[RunningSequence]:
        """Let the sequences leave that are over, and return them."""
        ended = self.over
        if ended:
            self.sequences = [item for item in self.sequences if not item.ended]
        return ended

    def emptied(self) -> MaskWaits:
        """Make a `MaskWaits` with the same `beside`, in which no sequence waits or is followed."""
        return MaskWaits(self.beside)

    def _ready(self) -> list[RunningSequence]:
        """The sequences that wait and whose masks are ready."""
        return [item for item in self.sequences if not item.ended and self._is_ready(item)]

    def _is_ready(self, sequence: RunningSequence) -> bool:
        asked = self._asked.get(sequence)
        return asked is None or asked[0] != len(sequence.token_ids) or asked[1].done()


def grammar_mask_of(sequence: RunningSequence) -> GrammarMask | None:
    """The processor that holds a sequence to a grammar; None where it has none."""
    processors = sequence.sampler.pipeline.processors
    return next((item for item in processors if isinstance(item, GrammarMask)), None)
