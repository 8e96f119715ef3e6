"""Computes grammar masks in another thread; sequences whose mask is late leave the batch.

A mask is computed while the model computes the logits that it is for. It can take longer. Where an
engine may use another thread, a sequence whose mask is not ready then leaves the batch with its row
of logits, so that it delays no other; it draws the same token from them later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np

from decoding.engine.drawing import RunningBatch, rows_of
from decoding.engine.forward import draw_apart
from decoding.engine.generation import RunningSequence
from decoding.processors.grammar_mask import GrammarMask
from decoding.typing import Rows

Beside: TypeAlias = Callable[[Callable[[], None]], Future[None]]
"""Runs work in another thread, one after the other."""

_MOST_IDLE_S = 0.005
"""Seconds for which a step waits where all sequences wait for masks: others may join meanwhile."""


class Waiting(NamedTuple):
    """The logits with which a sequence has left the batch, and its length then.

    logits: one row. length: how many tokens it has, which the model's state holds all.
    """

    logits: Rows
    length: int


class MaskWaits:
    """The sequences of an engine that wait for a mask.

    beside: computes masks in another thread; None computes each within its step.
    """

    def __init__(self, beside: Beside | None = None) -> None:
        self.beside = beside
        # None where an interrupt has come, after which logits are computed anew.
        self._waiting: dict[RunningSequence, Waiting | None] = {}
        self._masks: dict[RunningSequence, GrammarMask] = {}
        # The mask of each sequence that was asked for, after how many tokens.
        self._asked: dict[RunningSequence, tuple[int, Future[None]]] = {}

    @property
    def sequences(self) -> list[RunningSequence]:
        """The sequences that have left the batch until their grammar mask is computed."""
        return list(self._waiting)

    @property
    def followed(self) -> int:
        """How many of the sequences that run have a grammar, those that wait included."""
        return len(self._masks)

    def follow(self, sequence: RunningSequence) -> None:
        """Compute the masks of a sequence that is in the batch now, where it has a grammar."""
        mask = grammar_mask_of(sequence)
        if mask is not None:
            self._masks[sequence] = mask
        self._waiting.pop(sequence, None)

    def ask(self) -> None:
        """Begin to compute the next masks of the sequences that are followed."""
        if self.beside is None:
            return
        for item, mask in self._masks.items():
            if item.ended:
                continue
            # That is needed next: after the tokens that are written undrawn.
            token_ids = [*item.token_ids, *item.forced]
            length = len(token_ids)
            known = self._asked.get(item)
            if known is not None and known[0] == length:
                continue
            generated = token_ids[len(item.generation.plan.prompt) :]
            work = partial(mask.prepare, np.array(generated, np.int32))
            self._asked[item] = length, self.beside(work)

    def set_aside(self, batch: RunningBatch, logits: Rows) -> Rows:
        """Take the sequences whose masks are late out of the batch; return the others' logits.

        logits: one row a sequence of the batch, from which its next token is drawn.
        """
        late = self._late(batch.sequences)
        if late and len(late) == len(batch.sequences):
            self._idle(batch.sequences)
            late = self._late(batch.sequences)
        if not late:
            return logits
        rows = {item: row for row, item in enumerate(batch.sequences)}
        # First in both places, then in one: an interrupt in between loses none.
        for item in late:
            self._waiting[item] = Waiting(logits[[rows[item]]], len(item.token_ids))
        batch.remove(set(late))
        return rows_of(logits, [rows[item] for item in batch.sequences])

    def wait(self) -> None:
        """Wait, for 5 milliseconds at most, until a sequence that has left has its mask."""
        if self._waiting and not any(map(self._is_ready, self._waiting)):
            self._idle(self._waiting)

    def draw(self, arrivals: RunningBatch) -> list[RunningSequence]:
        """Draw the next token of each sequence whose mask is ready now; return those sequences.

        They wait until `follow` says that they are in the batch. arrivals: an empty batch, which is
        left empty.
        """
        drawn: list[RunningSequence] = []
        for item, waiting in self._waiting.items():
            if waiting is None or item.ended or not self._is_ready(item):
                continue
            draw_apart([item], waiting.logits, [0], arrivals)
            drawn.append(item)
        return drawn

    def note_excess(self) -> None:
        """After an interrupt: note what the states of waiting sequences hold."""
        for item, waiting in self._waiting.items():
            if waiting is not None:
                item.excess = waiting.length + 1 - len(item.token_ids)
        # Last: from here on they say it themselves.
        self._waiting = dict.fromkeys(self._waiting)

    def forget(self, over: Iterable[RunningSequence]) -> None:
        """Compute no more masks for sequences that are over."""
        for item in over:
            self._asked.pop(item, None)
            self._masks.pop(item, None)

    @property
    def over(self) -> list[RunningSequence]:
        """The sequences that wait and need no further token."""
        return [item for item in self._waiting if item.ended]

    def remove_over(self) -> list[RunningSequence]:
        """Let the sequences leave that are over, and return them."""
        ended = self.over
        for item in ended:
            del self._waiting[item]
        return ended

    def emptied(self) -> MaskWaits:
        """Make a `MaskWaits` with the same `beside`, in which no sequence waits or is followed."""
        return MaskWaits(self.beside)

    def _late(self, sequences: Iterable[RunningSequence]) -> list[RunningSequence]:
        """The sequences whose masks were asked for and are not ready."""
        return [item for item in sequences if not self._is_ready(item)] if self._asked else []

    def _idle(self, sequences: Iterable[RunningSequence]) -> None:
        asked = [self._asked[item][1] for item in sequences]
        wait(asked, timeout=_MOST_IDLE_S, return_when=FIRST_COMPLETED)

    def _is_ready(self, sequence: RunningSequence) -> bool:
        asked = self._asked.get(sequence)
        return asked is None or asked[0] != len(sequence.token_ids) or asked[1].done()


def grammar_mask_of(sequence: RunningSequence) -> GrammarMask | None:
    """The processor that holds a sequence to a grammar; None where it has none."""
    processors = sequence.sampler.pipeline.processors
    return next((item for item in processors if isinstance(item, GrammarMask)), None)
