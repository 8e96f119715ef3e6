"""Runs long Python work in a thread so that the threads which generate keep most of the time.

Python threads run one at a time, and the interpreter knows no priorities: a thread that compiles a
grammar takes half of the time of a thread that steps an engine. `run_yielding` lets it sleep.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

RUN_S, REST_S = 0.0003, 0.003
"""Seconds for which work runs and then sleeps: it takes a tenth of the time."""

_Value = TypeVar("_Value")


class Pace:
    """The pace of work in several threads: together they take no more time than one of them.

    While others are busy, the threads run one after the other, each for `RUN_S` seconds, with
    `REST_S` between two of them.
    """

    __slots__ = ("_taken_until",)

    def __init__(self) -> None:
        self._taken_until = 0.0

    def rest(self, now: float) -> float:
        """Take the next turn: the seconds until it begins."""
        begin = max(now, self._taken_until) + REST_S
        self._taken_until = begin + RUN_S
        return begin - now


def run_yielding(work: Callable[[], _Value], is_busy: Callable[[], bool], pace: Pace) -> _Value:
    """Run work that sleeps regularly while others are busy; returns its result.

    The work is looked at whenever it calls a Python function, by the trace function of this thread.
    In a thread that is traced already, as by a debugger, the work runs as it is.

    is_busy: whether anybody needs the time. It is asked from within the work, in this thread.
    pace: of this work and of all that takes turns with it.
    """
    if sys.gettrace() is not None:
        return work()
    end = time.perf_counter() + RUN_S

    def rest(_frame: FrameType, _event: str, _argument: object) -> None:
        nonlocal end
        now = time.perf_counter()
        if now >= end:
            if is_busy():
                time.sleep(pace.rest(now))
                now = time.perf_counter()
            end = now + RUN_S

    sys.settrace(rest)
    try:
        return work()
    finally:
        sys.settrace(None)
