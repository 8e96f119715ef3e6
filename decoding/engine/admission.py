"""Admission: a queue with deadlines, and the choice of the prompts that a step prefills."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from decoding.checks import checked_integer, checked_real
from decoding.engine.generation import Generation
from decoding.errors import CapacityError, DeadlineError, OverloadedError

MOST_JOINING = 4
"""How many requests may join in one step beside sequences that run: each counts as at least this
part of the prefill chunk."""


class Share(NamedTuple):
    """Tokens of a prompt that go through the model in one step: those from `start` up to `end`."""

    generation: Generation
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Limits:
    """An engine's limits on sequences, prefilled tokens and model memory; None = no limit.

    max_batch_size: sequences. prefill_chunk: prompt tokens a step.
    takes_whole_prompts: whether a prompt goes through the model in one step, however long.
    capacity: tokens that the model's memory holds, in pages of `page_tokens` each.
    """

    max_batch_size: int | None
    prefill_chunk: int | None
    takes_whole_prompts: bool
    capacity: int | None
    page_tokens: int

    def cost(self, generation: Generation) -> int:
        """The tokens that a request's sequences take at their longest."""
        pages = -(-generation.plan.longest // self.page_tokens)
        return pages * self.page_tokens * len(generation.plan.samplers)

    def check(self, generation: Generation) -> None:
        """Check that the memory can hold a request when nothing else runs.

        Raises:
            CapacityError: it cannot.
        """
        cost = self.cost(generation)
        if self.capacity is not None and cost > self.capacity:
            raise CapacityError(cost, self.capacity, "in all")

    def allows(self, rows: int, *, alone: bool) -> bool:
        """Whether so many sequences may run at once; a request that is alone always may."""
        return alone or self.max_batch_size is None or rows <= self.max_batch_size


class Queue:
    """Requests that wait, in the order in which they were submitted, and everyone's deadlines.

    most: how many may wait; None = no limit.
    `waiting` is replaced as a whole or changed in one call, so that no interrupt finds a half of it
    changed.
    """

    __slots__ = ("_deadline_count", "_deadlines", "_most", "waiting")

    def __init__(self, most: int | None) -> None:
        self._most = most
        self.waiting: deque[Generation] = deque()
        # When requests run out of time, the first one at the front: a heap.
        self._deadlines: list[tuple[float, int, Generation, DeadlineError]] = []
        self._deadline_count = count()

    def check_room(self) -> None:
        """Check that one more request may wait.

        Raises:
            OverloadedError: it may not.
        """
        if self._most is not None and len(self.waiting) >= self._most:
            raise OverloadedError(self._most)

    def add(self, generation: Generation, deadlines: Iterable[DeadlineError]) -> None:
        """Let a request wait; the deadlines are counted from when it was submitted."""
        for error in deadlines:
            end = generation.timing.submitted + error.seconds
            heappush(self._deadlines, (end, next(self._deadline_count), generation, error))
        self.waiting.append(generation)

    def remove(self, generation: Generation) -> None:
        """Drop a request from the queue, if it is there."""
        if generation in self.waiting:
            self.waiting.remove(generation)

    def remove_first(self) -> None:
        """Drop requests from the front of the queue as long as they have begun or are done."""
        while self.waiting and (self.waiting[0].sequences or self.waiting[0].done):
            self.waiting.popleft()

    def remove_all(self) -> None:
        """Drop every request from the queue that has begun or is done."""
        self.waiting = deque(item for item in self.waiting if not (item.sequences or item.done))

    def expire(self) -> list[Generation]:
        """End the requests that have run out of time."""
        expired: list[Generation] = []
        while self._deadlines and self._deadlines[0][0] <= time.monotonic():
            _, _, generation, error = self._deadlines[0]
            has_started = generation.timing.started is not None
            if not generation.done and not (error.stage == "queue" and has_started):
                generation.fail(error)
                expired.append(generation)
            heappop(self._deadlines)
        if expired:
            self.waiting = deque(item for item in self.waiting if not item.done)
        return expired


def admitted(
    waiting: Iterable[Generation],
    running: int,
    reserved: int,
    limits: Limits,
    prepare: Callable[[Generation, int], None],
) -> Iterator[Share]:
    """Yield the parts of waiting prompts that the next step prefills, in order.

    running: sequences that run. reserved: tokens that are promised to requests that have started.
    prepare: called for each request that starts, with the tokens that are promised then; it may
    give the request a state that holds the beginning of its prompt.
    """
    rows, alone = running, running == 0
    left = math.inf if limits.prefill_chunk is None else limits.prefill_chunk
    # A request that joins takes time of its own, however short its prompt is.
    least = 0 if alone or limits.prefill_chunk is None else limits.prefill_chunk // MOST_JOINING
    first = True
    for generation in waiting:
        if generation.done:
            continue
        rows += len(generation.plan.samplers)
        if left <= 0 or not limits.allows(rows, alone=alone and first):
            return
        if generation.prefilled is None:
            reserved += limits.cost(generation)
            if limits.capacity is not None and reserved > limits.capacity:
                return
            prepare(generation, reserved)
        start = 0 if generation.prefilled is None else generation.prefilled.length
        length = len(generation.plan.prompt)
        if limits.takes_whole_prompts and length > left and not first:
            return
        is_whole = limits.takes_whole_prompts
        end = length if is_whole else min(length, start + int(min(left, length)))
        yield Share(generation, start, end)
        first = False
        left -= max(end - start, least)


def checked_deadlines(queue_timeout: float | None, timeout: float | None) -> list[DeadlineError]:
    """The errors that end a request which runs out of time; see `Engine.submit`.

    Raises:
        ParameterError: a limit is no number >= 0.
    """
    named = (("queue_timeout", "queue", queue_timeout), ("timeout", "total", timeout))
    deadlines: list[DeadlineError] = []
    for name, stage, seconds in named:
        if seconds is not None:
            checked_real(name, seconds, lambda x: x >= 0, ">= 0, or None")
            deadlines.append(DeadlineError(stage, float(seconds)))
    return deadlines


def checked_limit(name: str, value: int | None) -> int | None:
    """A limit of an engine, checked: an integer >= 1, or None."""
    return None if value is None else checked_integer(name, value, 1, expected=">= 1, or None")
